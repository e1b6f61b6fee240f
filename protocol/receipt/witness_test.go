package receipt_test

import (
	"testing"

	"concordat.dev/protocol/document"
	"concordat.dev/protocol/receipt"
	"concordat.dev/protocol/receipt/receipttest"
)

func TestWitnesses(t *testing.T) {
	a, b, stranger := receipttest.NewWitness(t, "a.example"), receipttest.NewWitness(t, "b.example"), receipttest.NewWitness(t, "s.example")
	for name, c := range map[string]struct {
		keys   []string
		quorum int
		by     []receipttest.Witness
		check  string
		want   receipt.Status
	}{
		"two of two":      {[]string{a.VKey(), b.VKey()}, 2, []receipttest.Witness{a, b}, receipt.CheckWitnesses, receipt.Proved},
		"one of two":      {[]string{a.VKey(), b.VKey()}, 1, []receipttest.Witness{b}, receipt.CheckWitnesses, receipt.Proved},
		"one is too few":  {[]string{a.VKey(), b.VKey()}, 2, []receipttest.Witness{b}, receipt.CheckWitnesses, receipt.Failed},
		"none demanded":   {[]string{a.VKey()}, 0, []receipttest.Witness{a}, receipt.CheckWitnesses, receipt.Claimed},
		"a stranger's":    {[]string{a.VKey()}, 1, []receipttest.Witness{a, stranger}, receipt.CheckCheckpoint, receipt.Failed},
		"of another name": {[]string{a.VKey()}, 1, []receipttest.Witness{stranger.As("a.example")}, receipt.CheckCheckpoint, receipt.Failed},
		"hash is wrong":   {[]string{"x" + a.VKey()}, 0, nil, receipt.CheckCheckpoint, receipt.Failed},
	} {
		w := receipttest.New(t)
		w.Bundle.Manifest.Witnesses = &document.Witnesses{Keys: c.keys, Quorum: c.quorum}
		for _, x := range c.by {
			w.Cosign = append(w.Cosign, x)
		}
		r, o := w.Receipt(t)
		if report := receipt.Verify(r, o); statusOf(report, c.check) != c.want {
			t.Errorf("%s:\n%s", name, report)
		}
	}
}
