package integration_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"concordat.dev/integration/harness"
	"concordat.dev/ui/client"
)

// TestInterruptedUpload is the small form of what `make soak` does with 2 GB.
func TestInterruptedUpload(t *testing.T) {
	interruptedUpload(t, harness.Up(t), 2<<20, 128<<10, 5)
}

// interruptedUpload sends a file of about size bytes in parts, and at random places so many times kills the client, a coordinator, a worker or
// the store, if it is a process; the report is that of an undisturbed upload, and the object store holds the sealed files of both and nothing
// else of them.
func interruptedUpload(t *testing.T, m *harness.Mesh, size, part int64, kills int) {
	r := m.Agree(harness.StudyRoom(), harness.Generous)
	file := events(t, size)
	calm := r.Uploading("registry.events", file)
	calm.PartSize = part
	want, err := calm.Run(t.Context())
	if err != nil || !harness.Accepted(t, want) {
		t.Fatal(err, string(want))
	}
	before := sealedObjects(t, m)

	u := r.Uploading("registry.events", file)
	u.PartSize = part
	d := &disturbance{m: m, random: rand.New(rand.NewPCG(1, uint64(kills))), size: size, left: kills} //nolint:gosec // G404: any place will do
	got := d.run(t, u)
	if !bytes.Equal(got, want) {
		t.Errorf("disturbed:\n%s\nundisturbed:\n%s", got, want)
	}
	after := sealedObjects(t, m)
	if len(after) != 2*len(before) {
		t.Errorf("the store holds %d sealed files after the second upload, %d after the first: %v", len(after), len(before), after)
	}
	for _, object := range objects(t, m) {
		if strings.HasPrefix(object, "uploads/") {
			t.Errorf("%s is left behind", object)
		}
	}
}

// disturbance kills what takes part in an upload.
type disturbance struct {
	m      *harness.Mesh
	random *rand.Rand
	size   int64
	left   int
	at     atomic.Int64 // bytes that are there when the next one dies
	down   string       // a process that was killed and has not returned
}

// run has the upload run, again after each death of the client, until it ends by itself.
func (d *disturbance) run(t *testing.T, u *client.Upload) []byte {
	t.Helper()
	for attempt := 1; ; attempt++ {
		ctx, cancel := context.WithCancel(t.Context())
		moment := make(chan func())
		span := d.size
		if span >= longIngest {
			span += span / 4 // beyond the end lies what the worker does
		}
		d.at.Store(d.random.Int64N(span))
		reached := func(done int64) { // what runs on waits for the death
			if done < d.at.Load() {
				return
			}
			d.at.Store(math.MaxInt64)
			acted, act := context.WithCancel(ctx)
			select {
			case moment <- act:
				<-acted.Done()
			case <-ctx.Done():
				act()
			}
		}
		u.Progress = func(done, _, _ int64) { reached(min(done, d.size-1)) }
		u.Phase = func(phase string) {
			if phase != "verify" {
				reached(2 * d.size)
			}
		}
		ended := make(chan error, 1)
		var report []byte
		go func() {
			var err error
			report, err = u.Run(ctx)
			ended <- err
		}()
		err := d.watch(t, moment, ended, cancel)
		cancel()
		switch {
		case err == nil:
			if d.left > 0 {
				t.Errorf("the upload ended while %d deaths were due", d.left)
			}
			d.restore()
			return report
		case attempt > 100:
			t.Fatalf("the upload does not end: %v", err)
		case d.down == theStore:
			if !strings.Contains(err.Error(), "the object store doesn't answer as it should") {
				t.Errorf("the owner is not told that the object store is away: %v", err)
			}
			d.restore()
		case !errors.Is(err, context.Canceled):
			t.Logf("attempt %d: %v", attempt, err) // as an owner sees it, who then gives the same command again
		}
	}
}

// watch kills something at the moment, at most once, and waits for the end of the run.
func (d *disturbance) watch(t *testing.T, moment <-chan func(), ended <-chan error, cancel func()) error {
	t.Helper()
	for {
		select {
		case err := <-ended:
			return err
		case acted := <-moment:
			if d.left > 0 {
				d.left--
				d.restore()
				d.death(t, cancel)
			}
			acted()
		}
	}
}

// death is that of somebody; the client dies with whatever dies while more are due, so that there are as many runs as deaths.
func (d *disturbance) death(t *testing.T, cancel func()) {
	t.Helper()
	victims := []string{"client", "client", "coordinator-1", "coordinator-2", "coordinator-3", "worker-1", "worker-2"}
	victim := victims[d.random.IntN(len(victims))]
	if d.m.Store != nil && d.random.IntN(3) == 0 {
		victim = theStore
	}
	t.Logf("%s dies", victim)
	switch victim {
	case "client":
		cancel()
	case theStore:
		d.storeDies()
	default:
		d.m.Kill(victim)
		d.down = victim
		if d.left > 0 {
			cancel()
		}
	}
}

// longIngest is the size of a file that a worker takes in for so long that something can die meanwhile.
const longIngest = 1 << 30

// theStore is the object store as a victim.
const theStore = "store"

// storeDies kills the store. Every other time it is back before anybody gives up, and something else dies in what is left of the run; else it
// comes back when the owner has been told.
func (d *disturbance) storeDies() {
	d.m.Store.Kill()
	if d.left == 0 || d.random.IntN(2) == 0 {
		d.down = theStore
		return
	}
	d.m.Store.Start()
	d.at.Store(0)
}

func (d *disturbance) restore() {
	switch d.down {
	case "":
	case theStore:
		d.m.Store.Start()
	default:
		d.m.Return(d.down)
	}
	d.down = ""
}

// events writes a file of the registry's columns.
func events(t *testing.T, size int64) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "events.csv")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriterSize(f, 1<<20)
	kinds := []string{"afib", "htn", "nafld", "MI", "stroke"}
	n, err := w.WriteString("id,days,event\n")
	for i := 0; int64(n) < size && err == nil; i++ {
		h := sha256.Sum256(fmt.Append(nil, i/3))
		var m int
		m, err = fmt.Fprintf(w, "%s,%d,%s\n", hex.EncodeToString(h[:]), i%7000, kinds[i%5])
		n += m
	}
	if err := errors.Join(err, w.Flush(), f.Close()); err != nil {
		t.Fatal(err)
	}
	return name
}

// objects are the names of what is in the object store of a mesh.
func objects(t *testing.T, m *harness.Mesh) []string {
	t.Helper()
	u, err := url.Parse(m.State().ObjectStore)
	if err != nil {
		t.Fatal(err)
	}
	root := u.Path
	if m.Store != nil {
		root = m.Store.Dir
	}
	var out []string
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			relative, _ := filepath.Rel(root, path) // it lies below
			out = append(out, filepath.ToSlash(relative))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func sealedObjects(t *testing.T, m *harness.Mesh) []string {
	t.Helper()
	var out []string
	for _, o := range objects(t, m) {
		if strings.HasPrefix(o, "datasets/") {
			out = append(out, o)
		}
	}
	return out
}
