package state_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"concordat.dev/coordinator/state"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/version"
)

// TestGolden reads what every version wrote since 0.1.0: entries of the log, each a command behind its length, and a snapshot after them. Both
// give the state that the version had. CONCORDAT_REWRITE=1 writes the files of a version that has none yet; those that are there stay as they are.
func TestGolden(t *testing.T) {
	own := filepath.Join("first", version.Number)
	if _, err := os.Stat(own); err != nil {
		if os.Getenv("CONCORDAT_REWRITE") == "" {
			t.Fatalf("version %s has no golden files: CONCORDAT_REWRITE=1 go test -run TestGolden ./state", version.Number)
		}
		writeGolden(t, own)
	}
	folders, err := filepath.Glob("first/*/entries")
	must(t, err)
	for _, entries := range folders {
		folder := filepath.Dir(entries)
		t.Run(filepath.Base(folder), func(t *testing.T) { readGolden(t, folder) })
	}
}

func readGolden(t *testing.T, folder string) {
	file := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(folder, name))
		must(t, err)
		return b
	}
	want := string(file("agreed.json"))
	played, rest, index := state.New(), file("entries"), uint64(0)
	for len(rest) > 0 {
		n, head := binary.Uvarint(rest)
		if head <= 0 || n > uint64(len(rest)-head) {
			t.Fatal("entries are cut")
		}
		index++
		played.Apply(index, [][]byte{rest[head : head+int(n)]})[0]()
		rest = rest[head+int(n):]
	}
	restored := state.New()
	_, err := restored.Restore(bytes.NewReader(file("snapshot")))
	must(t, err)
	for how, m := range map[string]*state.Machine{"played": played, "restored": restored} {
		got, err := m.Agreed()
		must(t, err)
		if string(got) != want {
			t.Errorf("%s: the state is another one:\n%s\n%s", how, got, want)
		}
	}
	a, err := played.Tree().Root(played.Tree().Size())
	must(t, err)
	b, err := restored.Tree().Root(restored.Tree().Size())
	must(t, err)
	if a != b || played.Tree().Size() < 10 {
		t.Errorf("the logs differ: %d %s, %d %s", played.Tree().Size(), a, restored.Tree().Size(), b)
	}
}

// writeGolden takes the life of a collaboration, in the forms that this build writes.
func writeGolden(t *testing.T, folder string) {
	m, index := state.New(), uint64(0)
	var entries []byte
	s := &script{t: t, m: state.New(), now: begun, forms: map[int]document.SignedForm{}}
	s.also = func(kind string, now time.Time, body any) {
		command, err := state.Encode(kind, now, body)
		must(t, err)
		index++
		m.Apply(index, [][]byte{command})[0]()
		entries = append(binary.AppendUvarint(entries, uint64(len(command))), command...)
	}
	datadriven.RunTest(t, "testdata/query", func(_ *testing.T, d *datadriven.TestData) string { return s.run(d) })
	agreed, err := m.Agreed()
	must(t, err)
	must(t, os.MkdirAll(folder, 0o755))
	for name, content := range map[string][]byte{"entries": entries, "snapshot": s.snapshot(m), "agreed.json": agreed} {
		must(t, os.WriteFile(filepath.Join(folder, name), content, 0o644))
	}
}
