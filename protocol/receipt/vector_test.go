package receipt_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"testing"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/receipt"
	"concordat.dev/protocol/receipt/receipttest"
)

var update = flag.Bool("update", false, "write the vectors anew, with fresh keys")

type vector struct {
	Name     string                    `json:"name"`
	Receipt  string                    `json:"receipt"`
	Manifest canon.Digest              `json:"manifest"`
	OK       bool                      `json:"ok"`
	Checks   map[string]receipt.Status `json:"checks"`
}

func writeVectors(t *testing.T) {
	t.Helper()
	var all []vector
	add := func(name string, r receipt.Receipt, o receipt.Options) {
		b, err := r.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		report := receipt.Verify(r, receipt.Options{Manifest: o.Manifest})
		v := vector{name, string(b), o.Manifest, report.OK(), map[string]receipt.Status{}}
		for _, c := range report.Checks {
			v.Checks[c.Name] = c.Status
		}
		all = append(all, v)
	}
	w := receipttest.New(t)
	r, o := w.Receipt(t)
	add("simulation, no witness", r, o)
	r.Result = bytes.Replace(r.Result, []byte("120"), []byte("121"), 1)
	add("result changed", r, o)
	w, wit := receipttest.New(t), receipttest.NewWitness(t, "w.example")
	w.Bundle.Manifest.Witnesses = &document.Witnesses{Keys: []string{wit.VKey()}, Quorum: 1}
	w.Cosign = append(w.Cosign, wit)
	r, o = w.Receipt(t)
	add("one witness", r, o)
	w = receipttest.New(t)
	w.SSH(t)
	r, o = w.Receipt(t)
	add("approved by ssh-keygen", r, o)
	w = receipttest.New(t)
	w.SGX(t, nil)
	r, o = w.Receipt(t)
	add("on hardware of which the reader knows nothing", r, o)
	raw, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("../testdata/receipt.json", append(raw, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
}

// The vectors are read by TypeScript too: receipts, the manifests to trust, and what each check must find.
func TestVectors(t *testing.T) {
	if *update {
		writeVectors(t)
	}
	raw, err := os.ReadFile("../testdata/receipt.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []vector
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
