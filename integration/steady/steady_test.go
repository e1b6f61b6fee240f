package steady_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"concordat.dev/integration/steady"
)

// series is a level that goes up and down by noise, and rises in all by so much.
func series(seed uint64, noise, rise float64) []steady.Point {
	r := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // G404: noise of a test
	var out []steady.Point
	for i := range 200 {
		out = append(out, steady.Point{X: float64(i), Y: 100 + noise*r.NormFloat64() + rise*float64(i)/200})
	}
	return out
}

func TestRisesAreFound(t *testing.T) {
	wrong, missed := 0, 0
	for seed := range uint64(200) {
		quiet, err := steady.Fit(series(seed, 5, 0))
		must(t, err)
		rising, err := steady.Fit(series(seed, 5, 10))
		must(t, err)
		if quiet.Rises(0, 1) {
			wrong++
		}
		if !rising.Rises(0, 1) {
			missed++
		}
		if rising.Rises(10.0/200, 1) && !quiet.Rises(0, 1) {
			wrong++
		}
	}
	if wrong > 2 || missed > 2 {
		t.Errorf("of 200 level series %d rise, of 200 that rise %d do not", wrong, missed)
	}
	if l, err := steady.Fit(series(1, 0, 10)); err != nil || l.Rises(0, 20) || !l.Rises(0, 5) {
		t.Errorf("what matters: %v %v", l, err)
	}
	level := series(2, 0, 0)
	for i := range level { // the same, at another level and later
		level[i] = steady.Point{X: level[i].X + 500, Y: level[i].Y + 50}
	}
	if l, err := steady.Fit(series(1, 0, 0), level); err != nil || l.Slope > 1e-9 || l.Slope < -1e-9 {
		t.Errorf("two levels: %v %v", l, err)
	}
	if _, err := steady.Fit(series(1, 0, 0)[:31]); err == nil {
		t.Error("a line through hardly any points")
	}
}

// disk makes a coordinator's folder of segments of so many entries of 1000 bytes each, and of snapshots of so many bytes.
type disk struct {
	t      *testing.T
	folder string
	next   uint64
}

const entry = 1000

func (d *disk) segment(first uint64, entries int, room bool) {
	d.t.Helper()
	b := make([]byte, 32, steady.SegmentRoom)
	binary.LittleEndian.PutUint64(b, 0x58eb6b0d)
	binary.LittleEndian.PutUint64(b[8:], first)
	for range entries {
		frame := make([]byte, 8+entry)
		frame[0] = 1
		binary.LittleEndian.PutUint32(frame[4:], entry)
		b = append(append(b, frame...), 3, 0, 0, 0, 1, 2, 3, 4)
	}
	if room {
		b = b[:steady.SegmentRoom]
	}
	d.write(fmt.Sprintf("raft/%020d-%016x.wal", first, first), b)
	d.next = first + uint64(entries)
}

func (d *disk) write(name string, b []byte) {
	d.t.Helper()
	path := filepath.Join(d.folder, name)
	must(d.t, os.MkdirAll(filepath.Dir(path), 0o700))
	must(d.t, os.WriteFile(path, b, 0o600))
}

func (d *disk) snapshot(index, bytes int) {
	folder := fmt.Sprintf("snapshots/1-%d-0/", index)
	d.write(folder+"meta.json", fmt.Appendf(nil, `{"Index": %d}`, index))
	d.write(folder+"state.bin", make([]byte, bytes))
}

func TestDiskIsExplained(t *testing.T) {
	const full = 16_000 // entries of a segment
	for name, c := range map[string]struct {
		leave func(d *disk)
		wrong bool
	}{
		"nothing":                    {func(*disk) {}, false},
		"a segment from before":      {func(d *disk) { d.segment(1, full, true) }, true},
		"a third snapshot":           {func(d *disk) { d.snapshot(100, 8_000_000) }, true},
		"a snapshot that came to no": {func(d *disk) { d.write("snapshots/1-9-9.tmp/state.bin", make([]byte, 9<<20)) }, true},
		"snapshots of twice the state": {func(d *disk) {
			d.snapshot(40_000, 16_000_000)
			d.snapshot(45_000, 18_000_000)
		}, true},
		"any other file": {func(d *disk) { d.write("raft/left", make([]byte, 10<<20)) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			d := &disk{t: t, folder: t.TempDir()}
			d.write("node.key", make([]byte, 100))
			d.segment(1+2*full, full, true)
			d.segment(d.next, full, true)
			d.segment(d.next, 100, true)
			d.snapshot(40_000, 8_000_000)
			d.snapshot(45_000, 9_000_000)
			c.leave(d)
			got, err := steady.Account(d.folder, func(index uint64) float64 { return 200 * float64(index) })
			must(t, err)
			if got.Wrong() != c.wrong {
				t.Errorf("%d bytes, %d explained, unknown %v", got.Taken, got.Explained, got.Unknown)
			}
			if c.wrong && got.Taken < got.Explained*11/10 {
				t.Errorf("%d bytes are within a tenth of %d", got.Taken, got.Explained)
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
