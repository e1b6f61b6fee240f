package log_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"concordat.dev/coordinator/log"
	"concordat.dev/protocol/checkpoint"
)

func grown(n int) *log.Tree {
	t := &log.Tree{}
	for i := range n {
		t.Append(checkpoint.Leaf(bytes.Repeat([]byte{byte(i)}, checkpoint.SaltSize), []byte("body")))
	}
	return t
}

func hashes(raw [][]byte) []tlog.Hash {
	out := make([]tlog.Hash, len(raw))
	for i, h := range raw {
		copy(out[i][:], h)
	}
	return out
}

func TestProofsVerifyByTheLibrary(t *testing.T) {
	const n = 37
	tree := grown(n)
	for size := int64(1); size <= n; size++ {
		root, err := tree.Root(size)
		must(t, err)
		for i := int64(0); i < size; i++ {
			proof, err := tree.Inclusion(size, i)
			must(t, err)
			leaf := tlog.RecordHash(checkpoint.Leaf(bytes.Repeat([]byte{byte(i)}, checkpoint.SaltSize), []byte("body")))
			must(t, tlog.CheckRecord(hashes(proof), size, root, i, leaf))
		}
		for old := int64(1); old < size; old++ {
			proof, err := tree.Consistency(size, old)
			must(t, err)
			before, err := tree.Root(old)
			must(t, err)
			must(t, tlog.CheckTree(hashes(proof), size, root, old, before))
		}
	}
}

func TestGrowthKeepsOldRootsAndViews(t *testing.T) {
	tree := grown(5)
	view := tree.View()
	before, err := view.Root(5)
	must(t, err)
	tree.Append(checkpoint.Leaf(nil, []byte("more")))
	for _, v := range []*log.Tree{view, tree} {
		if after, err := v.Root(5); err != nil || after != before {
			t.Errorf("the root of size 5 changed: %v", err)
		}
	}
	if view.Size() != 5 || tree.Size() != 6 {
		t.Errorf("sizes %d and %d", view.Size(), tree.Size())
	}
}

func TestJSON(t *testing.T) {
	tree := grown(11)
	b, err := json.Marshal(tree)
	must(t, err)
	var again log.Tree
	must(t, json.Unmarshal(b, &again))
	tree.Append(checkpoint.Leaf(nil, []byte("x")))
	again.Append(checkpoint.Leaf(nil, []byte("x")))
	one, err := tree.Root(12)
	must(t, err)
	two, err := again.Root(12)
	must(t, err)
	if one != two {
		t.Error("a restored tree grows otherwise")
	}
	for _, bad := range []string{`{"size":2,"hashes":""}`, `{"size":-1,"hashes":""}`, `{"size":1,"hashes":"AAAA"}`} {
		if json.Unmarshal([]byte(bad), &again) == nil {
			t.Errorf("accepted %s", bad)
		}
	}
}

func TestOutside(t *testing.T) {
	tree := grown(3)
	_, err1 := tree.Root(4)
	_, err2 := tree.Inclusion(3, 3)
	_, err3 := tree.Consistency(4, 1)
	_, err4 := tree.Consistency(2, 3)
	for i, err := range []error{err1, err2, err3, err4} {
		if !errors.Is(err, log.ErrRange) {
			t.Errorf("%d: %v", i, err)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
