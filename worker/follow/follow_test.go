package follow_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"concordat.dev/protocol/checkpoint"
	"concordat.dev/worker/follow"
)

const ledger = "00112233445566778899aabbccddeeff"

type tree []tlog.Hash

func (s *tree) ReadHashes(at []int64) ([]tlog.Hash, error) {
	var out []tlog.Hash
	for _, i := range at {
		out = append(out, (*s)[i])
	}
	return out, nil
}

func grown(t *testing.T, size int64, fork byte) *tree {
	t.Helper()
	var s tree
	for i := range size {
		more, err := tlog.StoredHashes(i, []byte{byte(i), fork}, &s)
		must(t, err)
		s = append(s, more...)
	}
	return &s
}

func (s *tree) at(t *testing.T, size int64) checkpoint.Checkpoint {
	t.Helper()
	root, err := tlog.TreeHash(size, s)
	must(t, err)
	return checkpoint.Checkpoint{Size: size, Root: root}
}

func (s *tree) proof(t *testing.T, old, size int64) [][]byte {
	t.Helper()
	hashes, err := tlog.ProveTree(size, old, s)
	must(t, err)
	var out [][]byte
	for _, h := range hashes {
		out = append(out, h[:])
	}
	return out
}

func newFollower(t *testing.T, dir string) *follow.Follower {
	t.Helper()
	f, err := follow.New(dir, bytes.Repeat([]byte{7}, follow.KeySize))
	must(t, err)
	return f
}

func TestOnlyExtensionsAreTaken(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		f, s, fork := newFollower(t, dir), grown(t, 20, 0), grown(t, 20, 1)
		must(t, f.Extend(ledger, s.at(t, 5), 0, nil))
		must(t, f.Extend(ledger, s.at(t, 5), 5, nil))
		for name, c := range map[string]struct {
			next  checkpoint.Checkpoint
			from  int64
			proof [][]byte
			want  error
		}{
			"from another size": {s.at(t, 9), 4, s.proof(t, 4, 9), follow.ErrMoved},
			"from nothing":      {s.at(t, 9), 0, nil, follow.ErrMoved},
			"rolled back":       {s.at(t, 4), 5, nil, checkpoint.ErrRolledBack},
			"forked":            {fork.at(t, 9), 5, fork.proof(t, 5, 9), checkpoint.ErrForked},
			"forked at a size":  {fork.at(t, 5), 5, nil, checkpoint.ErrForked},
			"no proof":          {s.at(t, 9), 5, nil, checkpoint.ErrForked},
		} {
			if err := f.Extend(ledger, c.next, c.from, c.proof); !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", name, err, c.want)
			}
		}
		must(t, f.Extend(ledger, s.at(t, 9), 5, s.proof(t, 5, 9)))
		must(t, f.Extend("other", fork.at(t, 3), 0, nil))
		if n, err := f.Seen(ledger); n != 9 || err != nil {
			t.Errorf("seen %d %v", n, err)
		}
	}
}

func TestItSurvivesARestart(t *testing.T) {
	dir, s := t.TempDir(), grown(t, 20, 0)
	must(t, newFollower(t, dir).Extend(ledger, s.at(t, 9), 0, nil))
	again := newFollower(t, dir)
	if err := again.Extend(ledger, s.at(t, 5), 9, nil); !errors.Is(err, checkpoint.ErrRolledBack) {
		t.Errorf("rolled back: %v", err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.checkpoint"))
	must(t, err)
	sealed, err := os.ReadFile(files[0])
	must(t, err)
	if bytes.Contains(sealed, []byte("size")) {
		t.Error("it is not sealed")
	}
	for name, content := range map[string][]byte{"changed": append([]byte{sealed[0] ^ 1}, sealed[1:]...), "cut": sealed[:5]} {
		must(t, os.WriteFile(files[0], content, 0o600))
		if _, err := newFollower(t, dir).Seen(ledger); !errors.Is(err, follow.ErrSealed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	must(t, os.WriteFile(files[0], sealed, 0o600))
	must(t, os.Rename(files[0], filepath.Join(dir, "6f74686572.checkpoint"))) // "other"
	if _, err := newFollower(t, dir).Seen("other"); !errors.Is(err, follow.ErrSealed) {
		t.Errorf("the file of another ledger: %v", err)
	}
}

func TestWhatCannotBeStoredIsNotTaken(t *testing.T) {
	dir, s := filepath.Join(t.TempDir(), "d"), grown(t, 20, 0)
	f := newFollower(t, dir)
	must(t, f.Extend(ledger, s.at(t, 5), 0, nil))
	must(t, os.RemoveAll(dir))
	if err := f.Extend(ledger, s.at(t, 9), 5, s.proof(t, 5, 9)); err == nil {
		t.Error("took what it could not store")
	}
	if n, err := f.Seen(ledger); n != 5 || err != nil {
		t.Errorf("seen %d %v", n, err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
