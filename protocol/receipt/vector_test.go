package receipt_test

import (
	"encoding/json"
	"os"
	"testing"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/receipt"
)

// The vectors are read by TypeScript too: receipts, the manifests to trust, and what each check must find.
func TestVectors(t *testing.T) {
	raw, err := os.ReadFile("../testdata/receipt.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Name     string
		Receipt  string
		Manifest canon.Digest
		OK       bool
		Checks   map[string]receipt.Status
	}
	if err := json.Unmarshal(raw, &vectors); err != nil {
		t.Fatal(err)
	}
	for _, v := range vectors {
		r, err := receipt.Parse([]byte(v.Receipt))
		if err != nil {
			t.Fatal(v.Name, err)
		}
		report := receipt.Verify(r, receipt.Options{Manifest: v.Manifest})
		if report.OK() != v.OK {
			t.Errorf("%s:\n%s", v.Name, report)
		}
		for name, want := range v.Checks {
			if statusOf(report, name) != want {
				t.Errorf("%s: %s is not %s:\n%s", v.Name, name, want, report)
			}
		}
	}
}
