//go:build soak

package integration_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"concordat.dev/integration/harness"
	"concordat.dev/integration/steady"
)

// held is what lies below a folder of the object store.
type held struct {
	files int
	bytes int64
}

// stored tells what the object store holds, by the first folder: datasets, uploads, releases.
func stored(t *testing.T, m *harness.Mesh) map[string]held {
	t.Helper()
	out, root := map[string]held{}, filepath.Join(m.Home, "objects")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		below, err := filepath.Rel(root, path)
		kind, _, _ := strings.Cut(below, string(filepath.Separator))
		h := out[kind]
		out[kind] = held{h.files + 1, h.bytes + info.Size()}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// minus is what came after before.
func (h held) minus(before held) held { return held{h.files - before.files, h.bytes - before.bytes} }

// each is what one of n takes.
func (h held) each(n int) float64 { return float64(h.bytes) / float64(n) }

// goods is what is in the object store by right: so many releases and versions of the dataset, each of so many files and bytes, beside what was
// there at first.
type goods struct {
	first             map[string]held
	release, version  held // of one, as measured while nobody disturbed
	releases, uploads int
}

// wrong says what of the object store they do not explain.
func (g goods) wrong(now map[string]held) (out []string) {
	if n := now["uploads"].files; n > 0 {
		out = append(out, fmt.Sprintf("%d parts of uploads remain", n))
	}
	for kind, want := range map[string]struct {
		one held
		n   int
	}{"releases": {g.release, g.releases}, "datasets": {g.version, g.uploads}} {
		have := now[kind].minus(g.first[kind])
		explained := int64(want.n) * want.one.bytes
		if have.files != want.n*want.one.files {
			out = append(out, fmt.Sprintf("%s: %d files where %d explain %d", kind, have.files, want.n, want.n*want.one.files))
		}
		if off := have.bytes - explained; max(off, -off) > explained/10 {
			out = append(out, fmt.Sprintf("%s: %d bytes where %d explain %d", kind, have.bytes, want.n, explained))
		}
	}
	slices.Sort(out)
	return out
}

// objects holds the object store to the goods, and then shows that one file too many is found.
func (g goods) objects(t *testing.T, m *harness.Mesh) {
	t.Helper()
	now := stored(t, m)
	t.Logf("object store: %v; %d releases of %v and %d versions of %v beside %v", now, g.releases, g.release, g.uploads, g.version, g.first)
	if wrong := g.wrong(now); len(wrong) > 0 {
		t.Errorf("object store: %v", wrong)
	}
	for _, left := range []string{"uploads/left/1-0", "releases/left/left", "datasets/left"} {
		path := filepath.Join(m.Home, "objects", left)
		plant(t, path, make([]byte, 100))
		if len(g.wrong(stored(t, m))) == 0 {
			t.Errorf("%s is not missed", left)
		}
		uproot(t, path)
	}
}

// disks holds what coordinators keep to log and snapshots, and then shows that a segment or a snapshot of before is found.
func (v *vitals) disks(t *testing.T, m *harness.Mesh) {
	t.Helper()
	for _, c := range m.State().Coordinators {
		folder := filepath.Join(m.Home, c.Name, "data")
		account := func() steady.Disk {
			for {
				d, err := steady.Account(folder, func(index uint64) float64 { return v.stateBytes(float64(index)) })
				switch {
				case err == nil:
					return d
				case !errors.Is(err, fs.ErrNotExist): // it went while it was looked at
					t.Fatal(err)
				}
			}
		}
		d := account()
		for end := time.Now().Add(20 * time.Second); d.Wrong() && time.Now().Before(end); { // it may be taking a snapshot
			d = account()
		}
		t.Logf("%s: %d bytes on disk, %d explained: %d entries of %.0f bytes, snapshots %v", c.Name, d.Taken, d.Explained, d.Entries, d.Entry, d.Snapshots)
		if d.Wrong() {
			t.Errorf("%s: %d bytes on disk, %d explained; unknown: %v", c.Name, d.Taken, d.Explained, d.Unknown)
		}
		first := filepath.Join(folder, "raft", fmt.Sprintf("%020d-%016x.wal", 0, 1<<40))
		plant(t, first, segmentOfNothing())
		if again := account(); !again.Wrong() {
			t.Errorf("%s: a segment too many is not missed: %d bytes on disk, %d explained", c.Name, again.Taken, again.Explained)
		}
		uproot(t, first)
	}
}

// segmentOfNothing is a file of the log without an entry.
func segmentOfNothing() []byte {
	b := make([]byte, steady.SegmentRoom)
	copy(b, []byte{0x0d, 0x6b, 0xeb, 0x58})
	return b
}

// workers hold next to nothing: no row is on their disks.
func (*vitals) workers(t *testing.T, m *harness.Mesh) {
	t.Helper()
	for _, w := range m.State().Workers {
		var taken int64
		err := filepath.WalkDir(filepath.Join(m.Home, w.Name, "data"), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			n, err := steady.Taken(path)
			taken += n
			return err
		})
		if err != nil || taken > 1<<20 {
			t.Errorf("%s: %d bytes on disk, %v", w.Name, taken, err)
		}
	}
}

func plant(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func uproot(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}
