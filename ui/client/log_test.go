package client_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"concordat.dev/protocol/checkpoint"
	"concordat.dev/protocol/key"
	"concordat.dev/ui/client"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

var ledger = strings.Repeat("ab", 16)

// tree is a log in memory whose leaves depend on salt from some index on: two salts are a fork.
type tree struct {
	hashes []tlog.Hash
	size   int64
}

func grow(t *testing.T, n int64, forkAt int64) *tree {
	t.Helper()
	out := &tree{size: n}
	for i := range n {
		text := fmt.Sprint(i)
		if i >= forkAt {
			text = "other " + text
		}
		more, err := tlog.StoredHashes(i, []byte(text), out)
		if err != nil {
			t.Fatal(err)
		}
		out.hashes = append(out.hashes, more...)
	}
	return out
}

// ReadHashes implements tlog.HashReader.
func (r *tree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var out []tlog.Hash
	for _, i := range indexes {
		out = append(out, r.hashes[i])
	}
	return out, nil
}

func (r *tree) checkpoint(t *testing.T, k key.Private) client.Checkpoint {
	t.Helper()
	root, err := tlog.TreeHash(r.size, r)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := checkpoint.LogVerifier(ledger, k.Public())
	if err != nil {
		t.Fatal(err)
	}
	signed, err := note.Sign(&note.Note{Text: checkpoint.Text(ledger, r.size, root)}, signer{verifier, k})
	if err != nil {
		t.Fatal(err)
	}
	cp, err := client.OpenCheckpoint(string(signed), ledger, k.Public())
	if err != nil || cp.Size != r.size || cp.Root != root {
		t.Fatal(cp, err)
	}
	return cp
}

type signer struct {
	note.Verifier
	key key.Private
}

func (s signer) Sign(msg []byte) ([]byte, error) { return s.key.Sign(msg), nil }

func (r *tree) proof(t *testing.T, old int64) [][]byte {
	t.Helper()
	if old == 0 || old >= r.size {
		return nil
	}
	proof, err := tlog.ProveTree(r.size, old, r)
	if err != nil {
		t.Fatal(err)
	}
	var out [][]byte
	for _, h := range proof {
		out = append(out, h[:])
	}
	return out
}

func TestLogOnlyGrows(t *testing.T) {
	k := newKey(t)
	now := grow(t, 21, 100)
	for old := range int64(22) {
		if err := client.Grew(grow(t, old, 100).checkpointOrZero(t, k), now.checkpoint(t, k), now.proof(t, old)); err != nil {
			t.Errorf("from %d: %v", old, err)
		}
	}
	for old := int64(1); old < 22; old++ {
		forked := grow(t, old, old-1).checkpoint(t, k)
		if err := client.Grew(forked, now.checkpoint(t, k), now.proof(t, old)); !errors.Is(err, client.ErrForked) {
			t.Errorf("fork at %d: %v", old-1, err)
		}
	}
	if err := client.Grew(now.checkpoint(t, k), grow(t, 20, 100).checkpoint(t, k), nil); !errors.Is(err, client.ErrRolledBack) {
		t.Error(err)
	}
	if err := client.Grew(grow(t, 5, 100).checkpoint(t, k), now.checkpoint(t, k), [][]byte{{1}}); !errors.Is(err, client.ErrForked) {
		t.Error(err)
	}
}

func (r *tree) checkpointOrZero(t *testing.T, k key.Private) client.Checkpoint {
	if r.size == 0 {
		return client.Checkpoint{}
	}
	return r.checkpoint(t, k)
}

func TestCheckpointOfAnotherLedgerOrKeyIsRefused(t *testing.T) {
	k, other := newKey(t), newKey(t)
	cp := grow(t, 3, 100).checkpoint(t, k)
	if _, err := client.OpenCheckpoint(cp.Note, ledger, other.Public()); err == nil {
		t.Error("another key is accepted")
	}
	if _, err := client.OpenCheckpoint(cp.Note, strings.Repeat("cd", 16), k.Public()); err == nil {
		t.Error("another ledger is accepted")
	}
	home := t.TempDir()
	if seen, err := client.SeenCheckpoint(home, ledger, k.Public()); err != nil || seen.Size != 0 {
		t.Error(seen, err)
	}
	if err := cp.Keep(home, ledger); err != nil {
		t.Fatal(err)
	}
	if seen, err := client.SeenCheckpoint(home, ledger, k.Public()); err != nil || seen != cp {
		t.Error(seen, err)
	}
}
