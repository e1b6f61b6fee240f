package witness_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"concordat.dev/protocol/key"
	"concordat.dev/protocol/witness"
)

var clock = func() time.Time { return time.Unix(1763910000, 0) }

func seeded(t testing.TB, b byte) key.Private {
	t.Helper()
	k, err := key.FromSeed(bytes.Repeat([]byte{b}, 32))
	must(t, err)
	return k
}

// TestVector holds the verifier key that torchwood v0.9.0 gives for this name and seed.
func TestVector(t *testing.T) {
	s, err := witness.NewSigner("clinic.example/witness", seeded(t, 7), clock)
	must(t, err)
	const vkey = "clinic.example/witness+74703649+BOpKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs"
	if s.String() != vkey {
		t.Errorf("verifier key %s, want %s", s.Verifier, vkey)
	}
	v, err := witness.Parse(s.String())
	must(t, err)
	const text = "log.example\n3\n" + "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
	signed, err := note.Sign(&note.Note{Text: text}, s)
	must(t, err)
	n, err := note.Open(signed, note.VerifierList(v))
	must(t, err)
	want := n.Sigs[0]
	if at, ok := witness.Time(mustDecode(t, want)); !ok || !at.Equal(clock()) {
		t.Errorf("time %v %v", at, ok)
	}
	for i := range signed { // flipping any byte loses the signature, or leaves a line that has another form
		bad := bytes.Clone(signed)
		bad[i] ^= 4
		if n, err := note.Open(bad, note.VerifierList(v)); err == nil && n.Text == text && n.Sigs[0] == want {
			t.Errorf("byte %d is loose", i)
		}
	}
}

func mustDecode(t testing.TB, s note.Signature) []byte {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(s.Base64)
	must(t, err)
	return raw[4:]
}

func TestParseRefuses(t *testing.T) {
	s, err := witness.NewSigner("w.example", seeded(t, 1), clock)
	must(t, err)
	good := s.String()
	plain, err := note.NewEd25519VerifierKey("w.example", s.Key().Bytes())
	must(t, err)
	for name, text := range map[string]string{
		"nothing": "", "a name": "w.example", "other name": "x" + good, "other hash": strings.Replace(good, "+", "+0", 1),
		"algorithm 1": plain, "more": good + "A", "spaces": " " + good, "long": strings.Repeat("n", witness.MaxKey) + good,
	} {
		if _, err := witness.Parse(text); !errors.Is(err, witness.ErrKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"", "a b", "a+b", "a\nb", "a\x00"} {
		if _, err := witness.NewVerifier(name, s.Key()); !errors.Is(err, witness.ErrKey) {
			t.Errorf("name %q: %v", name, err)
		}
	}
}

func TestRequest(t *testing.T) {
	for _, r := range []witness.Request{
		{Checkpoint: []byte("a\n1\nb\n\n— x y\n")},
		{Old: 5, Checkpoint: []byte("a\n5\nb\n\n— x y\n")},
		{Old: 1 << 40, Proof: []tlog.Hash{{1}, {2}}, Checkpoint: []byte("a\n\n— x y\n")},
	} {
		again, err := witness.ParseRequest(r.Marshal())
		must(t, err)
		if again.Old != r.Old || len(again.Proof) != len(r.Proof) || !bytes.Equal(again.Checkpoint, r.Checkpoint) {
			t.Errorf("%+v, want %+v", again, r)
		}
	}
	hash := tlog.Hash{}.String()
	for name, body := range map[string]string{
		"nothing": "", "no empty line": "old 1\na\n", "no old": "new 1\n\na\n", "negative": "old -1\n\na\n", "not decimal": "old 0x1\n\na\n",
		"leading zero": "old 01\n\na\n", "no hash": "old 1\nAAAA\n\na\n", "proof from 0": "old 0\n" + hash + "\n\na\n",
		"long proof": "old 1\n" + strings.Repeat(hash+"\n", 64) + "\na\n", "long": "old 1\n\n" + strings.Repeat("a", witness.MaxRequest),
	} {
		if _, err := witness.ParseRequest([]byte(body)); !errors.Is(err, witness.ErrRequest) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzRequest(f *testing.F) {
	f.Add([]byte("old 5\n" + tlog.Hash{}.String() + "\n\norigin\n9\nroot\n\n— x y\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := witness.ParseRequest(body)
		if err == nil && !bytes.Equal(r.Marshal(), body) {
			t.Errorf("two forms of one request: %q and %q", body, r.Marshal())
		}
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
