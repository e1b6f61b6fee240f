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
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"concordat.dev/integration/harness"
	"concordat.dev/ui/client"
)

// TestInterruptedUpload is the small form of what `make soak` does with 2 GB.
func TestInterruptedUpload(t *testing.T) {
	interruptedUpload(t, 2<<20, 128<<10, 5)
}

// interruptedUpload sends a file of about size bytes in parts, and at random places so many times kills the client, a coordinator or a worker; the
// report is that of an undisturbed upload, and the object store holds the sealed files of both and nothing else of them.
func interruptedUpload(t *testing.T, size, part int64, kills int) {
	m := harness.Up(t)
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
	down   string // a process that was killed and has not returned
}

// run has the upload run, again after each death of the client, until it ends by itself.
func (d *disturbance) run(t *testing.T, u *client.Upload) []byte {
	t.Helper()
	for attempt := 1; ; attempt++ {
		ctx, cancel := context.WithCancel(t.Context())
		moment := make(chan struct{}, 1)
		at := d.random.Int64N(d.size)
		u.Progress = func(done, _, _ int64) {
			if done >= at {
				select {
				case moment <- struct{}{}:
				default:
				}
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
			d.restore()
			return report
		case attempt > 100:
			t.Fatalf("the upload does not end: %v", err)
		case !errors.Is(err, context.Canceled):
			t.Logf("attempt %d: %v", attempt, err) // as an owner sees it, who then gives the same command again
		}
	}
}

// watch kills something at the moment, at most once, and waits for the end of the run.
func (d *disturbance) watch(t *testing.T, moment <-chan struct{}, ended <-chan error, cancel func()) error {
	t.Helper()
	for {
		select {
		case err := <-ended:
			return err
		case <-moment:
			if d.left == 0 {
				moment = nil
				continue
			}
			d.left--
			d.restore()
			victims := []string{"client", "client", "coordinator-1", "coordinator-2", "coordinator-3", "worker-1", "worker-2"}
			victim := victims[d.random.IntN(len(victims))]
			t.Logf("%s dies", victim)
			moment = nil // once a run
			if victim == "client" {
				cancel()
				continue
			}
			d.m.Kill(victim)
			d.down = victim
			if d.left > 0 {
				cancel() // so that there are as many runs as deaths
			}
		}
	}
}

func (d *disturbance) restore() {
	if d.down != "" {
		d.m.Return(d.down)
		d.down = ""
	}
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

func objects(t *testing.T, m *harness.Mesh) []string {
	t.Helper()
	u, err := url.Parse(m.State().ObjectStore)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	err = filepath.WalkDir(u.Path, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			relative, _ := filepath.Rel(u.Path, path) // it lies below
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
