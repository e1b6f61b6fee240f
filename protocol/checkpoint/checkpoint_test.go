package checkpoint_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"concordat.dev/protocol/checkpoint"
	"concordat.dev/protocol/key"
	"concordat.dev/protocol/witness"
)

const ledger = "00112233445566778899aabbccddeeff"

type logSigner struct {
	note.Verifier
	key key.Private
}

func (s logSigner) Sign(msg []byte) ([]byte, error) { return s.key.Sign(msg), nil }

func seeded(t testing.TB, b byte) key.Private {
	t.Helper()
	k, err := key.FromSeed(bytes.Repeat([]byte{b}, 32))
	must(t, err)
	return k
}

func signer(t testing.TB) logSigner {
	t.Helper()
	v, err := checkpoint.LogVerifier(ledger, seeded(t, 1).Public())
	must(t, err)
	return logSigner{v, seeded(t, 1)}
}

func cosigner(t testing.TB, name string, at int64) witness.Signer {
	t.Helper()
	s, err := witness.NewSigner(name, seeded(t, name[0]), func() time.Time { return time.Unix(at, 0) })
	must(t, err)
	return s
}

// tree has leaves of salt i and body "b", and proves.
type tree []tlog.Hash

func (s *tree) ReadHashes(at []int64) ([]tlog.Hash, error) {
	var out []tlog.Hash
	for _, i := range at {
		out = append(out, (*s)[i])
	}
	return out, nil
}

func record(i int64) []byte {
	return checkpoint.Leaf(bytes.Repeat([]byte{byte(i)}, checkpoint.SaltSize), []byte("b"))
}

func grown(t testing.TB, size int64) *tree {
	t.Helper()
	var s tree
	for i := range size {
		more, err := tlog.StoredHashes(i, record(i), &s)
		must(t, err)
		s = append(s, more...)
	}
	return &s
}

func raw(hashes []tlog.Hash) [][]byte {
	var out [][]byte
	for _, h := range hashes {
		out = append(out, h[:])
	}
	return out
}

func signed(t testing.TB, s *tree, size int64, by ...note.Signer) string {
	t.Helper()
	root, err := tlog.TreeHash(size, s)
	must(t, err)
	b, err := note.Sign(&note.Note{Text: checkpoint.Text(ledger, size, root)}, by...)
	must(t, err)
	return string(b)
}

func TestOpenCountsTheExpectedWitnesses(t *testing.T) {
	s := grown(t, 5)
	log, a, b, c := signer(t), cosigner(t, "a.example", 100), cosigner(t, "b.example", 300), cosigner(t, "c.example", 900)
	expected := []string{a.String(), b.String(), c.String()}
	text := signed(t, s, 5, log, c, a, b)
	got, err := checkpoint.Open(text, ledger, log.key.Public(), expected)
	must(t, err)
	if at, ok := got.Time(); got.Size != 5 || len(got.Cosigned) != 3 || !ok || at.Unix() != 300 {
		t.Errorf("%+v at %v", got, at)
	}
	two, err := checkpoint.Open(checkpoint.Keep(text, ledger, expected[:2]), ledger, log.key.Public(), expected[:2])
	must(t, err)
	if at, _ := two.Time(); len(two.Cosigned) != 2 || at.Unix() != 100 {
		t.Errorf("%+v at %v: of two, the earlier time counts", two, at)
	}
	bare, err := checkpoint.Open(checkpoint.Keep(text, ledger, nil), ledger, log.key.Public(), nil)
	must(t, err)
	if _, ok := bare.Time(); ok || len(bare.Cosigned) != 0 {
		t.Errorf("%+v", bare)
	}
}

func TestOpenRefuses(t *testing.T) {
	s := grown(t, 5)
	log, a, b := signer(t), cosigner(t, "a.example", 100), cosigner(t, "b.example", 300)
	good := signed(t, s, 5, log, a)
	_, line, _ := strings.Cut(signed(t, s, 5, a), "\n\n")
	for name, text := range map[string]string{
		"nothing": "", "not by the log": signed(t, s, 5, a), "a stranger": signed(t, s, 5, log, a, b), "twice": good + line,
		"other size": strings.Replace(good, "\n5\n", "\n6\n", 1), "other ledger": strings.Replace(good, ledger, strings.Repeat("0", 32), 1),
		"one more line": strings.Replace(good, "\n\n", "\nmore\n\n", 1),
	} {
		if got, err := checkpoint.Open(text, ledger, log.key.Public(), []string{a.String()}); err == nil {
			t.Errorf("%s: opened %+v", name, got)
		}
	}
	if _, err := checkpoint.Open(good, ledger, seeded(t, 2).Public(), []string{a.String()}); err == nil {
		t.Error("opened with another log key")
	}
	for i := range good {
		bad := []byte(good)
		bad[i] ^= 1
		if got, err := checkpoint.Open(string(bad), ledger, log.key.Public(), []string{a.String()}); err == nil {
			t.Errorf("byte %d is loose: %+v", i, got)
		}
	}
}

func TestCosignatures(t *testing.T) {
	s := grown(t, 5)
	log, a, b := signer(t), cosigner(t, "a.example", 100), cosigner(t, "b.example", 300)
	text, _, _ := strings.Cut(signed(t, s, 5, log), "\n\n")
	text += "\n"
	got, err := checkpoint.Cosignatures(signed(t, s, 5, log, a, b), text, []string{b.String()})
	must(t, err)
	if len(got) != 1 || got[0].Witness != b.String() || got[0].At.Unix() != 300 {
		t.Errorf("%+v", got)
	}
	if none, err := checkpoint.Cosignatures(signed(t, s, 5, log), text, []string{b.String()}); err != nil || len(none) != 0 {
		t.Errorf("%+v %v", none, err)
	}
	if _, err := checkpoint.Cosignatures(signed(t, s, 4, log, b), text, []string{b.String()}); !errors.Is(err, checkpoint.ErrInvalid) {
		t.Errorf("of another text: %v", err)
	}
	forged := []byte(signed(t, s, 5, log, b))
	forged[len(forged)-20] ^= 1
	if got, err := checkpoint.Cosignatures(string(forged), text, []string{b.String()}); err == nil {
		t.Errorf("forged: %+v", got)
	}
}

func TestProofs(t *testing.T) {
	const n = 9
	s := grown(t, n)
	at := func(size int64) checkpoint.Checkpoint {
		c, err := checkpoint.Open(signed(t, s, size, signer(t)), ledger, seeded(t, 1).Public(), nil)
		must(t, err)
		return c
	}
	for size := int64(1); size <= n; size++ {
		for i := range size {
			proof, err := tlog.ProveRecord(size, i, s)
			must(t, err)
			must(t, at(size).Includes(i, record(i), raw(proof)))
			if err := at(size).Includes(i, record(i+1), raw(proof)); !errors.Is(err, checkpoint.ErrNotLogged) {
				t.Errorf("another record at %d of %d: %v", i, size, err)
			}
		}
		for old := int64(1); old < size; old++ {
			proof, err := tlog.ProveTree(size, old, s)
			must(t, err)
			must(t, at(size).Extends(at(old), raw(proof)))
			if err := at(old).Extends(at(size), raw(proof)); !errors.Is(err, checkpoint.ErrRolledBack) {
				t.Errorf("%d after %d: %v", old, size, err)
			}
			if err := at(size).Extends(checkpoint.Checkpoint{Size: old}, raw(proof)); !errors.Is(err, checkpoint.ErrForked) {
				t.Errorf("fork from %d to %d: %v", old, size, err)
			}
		}
		must(t, at(size).Extends(checkpoint.Checkpoint{}, nil))
		must(t, at(size).Extends(at(size), nil))
		if err := at(size).Extends(checkpoint.Checkpoint{Size: size}, nil); !errors.Is(err, checkpoint.ErrForked) {
			t.Errorf("two roots of size %d: %v", size, err)
		}
	}
	if err := at(3).Includes(3, record(3), nil); !errors.Is(err, checkpoint.ErrNotLogged) {
		t.Errorf("outside: %v", err)
	}
	if err := at(3).Includes(0, record(0), [][]byte{{1}}); !errors.Is(err, checkpoint.ErrNotLogged) {
		t.Errorf("short hash: %v", err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
