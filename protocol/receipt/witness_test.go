package receipt_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"testing"

	"concordat.dev/protocol/document"
	"concordat.dev/protocol/receipt"
	"concordat.dev/protocol/receipt/receipttest"
)

// witness cosigns as C2SP tlog-cosignature v1 says, written apart from the code that verifies.
type witness struct {
	name string
	key  ed25519.PrivateKey
}

func newWitness(t testing.TB, name string) witness {
	t.Helper()
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return witness{name, k}
}

func (w witness) encoded() []byte { return append([]byte{4}, w.key.Public().(ed25519.PublicKey)...) }

func (w witness) Name() string { return w.name }

func (w witness) KeyHash() uint32 {
	sum := sha256.Sum256(append([]byte(w.name+"\n"), w.encoded()...))
	return binary.BigEndian.Uint32(sum[:4])
}

func (w witness) vkey() string {
	return fmt.Sprintf("%s+%08x+%s", w.name, w.KeyHash(), base64.StdEncoding.EncodeToString(w.encoded()))
}

func (w witness) Sign(msg []byte) ([]byte, error) {
	const at = 1763910000
	sig := ed25519.Sign(w.key, append([]byte(fmt.Sprintf("cosignature/v1\ntime %d\n", at)), msg...))
	return append(binary.BigEndian.AppendUint64(nil, at), sig...), nil
}

func TestWitnesses(t *testing.T) {
	a, b, stranger := newWitness(t, "a.example"), newWitness(t, "b.example"), newWitness(t, "s.example")
	for name, c := range map[string]struct {
		keys   []string
		quorum int
		by     []witness
		check  string
		want   receipt.Status
	}{
		"two of two":      {[]string{a.vkey(), b.vkey()}, 2, []witness{a, b}, receipt.CheckWitnesses, receipt.Proved},
		"one of two":      {[]string{a.vkey(), b.vkey()}, 1, []witness{b}, receipt.CheckWitnesses, receipt.Proved},
		"one is too few":  {[]string{a.vkey(), b.vkey()}, 2, []witness{b}, receipt.CheckWitnesses, receipt.Failed},
		"none demanded":   {[]string{a.vkey()}, 0, []witness{a}, receipt.CheckWitnesses, receipt.Claimed},
		"a stranger's":    {[]string{a.vkey()}, 1, []witness{a, stranger}, receipt.CheckCheckpoint, receipt.Failed},
		"of another name": {[]string{a.vkey()}, 1, []witness{{"a.example", stranger.key}}, receipt.CheckCheckpoint, receipt.Failed},
		"hash is wrong":   {[]string{"x" + a.vkey()}, 0, nil, receipt.CheckCheckpoint, receipt.Failed},
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
