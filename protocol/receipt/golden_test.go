package receipt_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/receipt"
	"concordat.dev/protocol/version"
)

// TestGolden verifies receipts that every version wrote, and opens the manifests in them. CONCORDAT_REWRITE=1 keeps the present vectors as those of
// a version that has none yet; files of earlier versions are never written again.
func TestGolden(t *testing.T) {
	own := filepath.Join("testdata", "receipts-"+version.Number+".json")
	if _, err := os.Stat(own); err != nil {
		if os.Getenv("CONCORDAT_REWRITE") == "" {
			t.Fatalf("version %s has no golden receipts: CONCORDAT_REWRITE=1 go test -run TestGolden ./receipt", version.Number)
		}
		raw, err := os.ReadFile("../testdata/receipt.json")
		if err == nil {
			err = os.WriteFile(own, raw, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob("testdata/receipts-*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var all []vector
		if err := json.Unmarshal(raw, &all); err != nil || len(all) == 0 {
			t.Fatalf("%s: %v", file, err)
		}
		for _, v := range all {
			r, err := receipt.Parse([]byte(v.Receipt))
			if err != nil {
				t.Errorf("%s: %s: %v", file, v.Name, err)
				continue
			}
			if ok := receipt.Verify(r, receipt.Options{Manifest: v.Manifest}).OK(); ok != v.OK {
				t.Errorf("%s: %s: verifies %v, did %v", file, v.Name, ok, v.OK)
			}
			var policies [][]byte
			for _, p := range r.Policies {
				policies = append(policies, p)
			}
			if b, err := document.OpenSigned(r.Manifest, policies); v.OK && (err != nil || canon.Sum(r.Manifest) != v.Manifest || b.Manifest.Collaboration == "") {
				t.Errorf("%s: %s: its manifest: %v", file, v.Name, err)
			}
		}
	}
}
