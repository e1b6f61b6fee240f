package integration_test

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"concordat.dev/integration/harness"
	"concordat.dev/protocol/checkpoint"
	"concordat.dev/protocol/document"
	"concordat.dev/ui/mesh"
	"concordat.dev/ui/witness"
)

// runWitness is `concordat witness run` in this process. It stops with stop.
func runWitness(t *testing.T, dir, log string) (key, url string, stop func()) {
	t.Helper()
	w, err := witness.Open(dir, []string{log}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(w.Handler())
	return w.Key(), server.URL, func() {
		server.Close()
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestWitnesses has a manifest that demands a witness: releases verify with its cosignature, none leaves without it, and a mesh whose
// disks were all set back gets no release, even from a witness that forgot.
func TestWitnesses(t *testing.T) {
	m := harness.Up(t)
	ledger, public, err := m.Client(m.Founder).LogKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	log, err := checkpoint.LogKey(ledger, public)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "witness")
	if err := witness.Create(dir, "clinic.example/witness"); err != nil {
		t.Fatal(err)
	}
	vkey, url, stop := runWitness(t, dir, log)
	again := func() {
		t.Helper()
		if err := m.Down(); err != nil {
			t.Fatal(err)
		}
		m.Witnesses = []mesh.Witness{{Key: vkey, URL: url}}
		m.Again()
	}
	again()
	r := m.Agree(harness.StudyRoom(), func(b *document.Bundle) {
		harness.Generous(b)
		b.Manifest.Witnesses = &document.Witnesses{Keys: []string{vkey}, Quorum: 1}
	})
	waitCosigned(t, m)
	r.UploadStudy("clinic.patients")
	if got := r.Verified(r.Released(harness.Question(0).SQL).Receipt); !strings.Contains(got.Checkpoint, "— clinic.example/witness ") {
		t.Errorf("the receipt's checkpoint is not cosigned:\n%s", got.Checkpoint)
	}

	stop()
	if got, err := r.Query(t.Context(), harness.Analyst, harness.Question(2)); connect.CodeOf(err) != connect.CodeUnavailable {
		t.Errorf("without the witness: %v %+v", err, got.Answer)
	}
	_, url, stop = runWitness(t, dir, log)
	again()
	disks := copies(t, m)
	began := time.Now()
	r.Released(harness.Question(4).SQL) // by one worker; the other sees the log, too
	waitFollowed(t, m, began)
	if err := m.Down(); err != nil {
		t.Fatal(err)
	}
	disks()
	stop()
	forget(t, dir)
	_, url, stop = runWitness(t, dir, log)
	defer func() { stop() }()
	again()
	waitCosigned(t, m)
	for i, alone := range []string{"worker-1", "worker-2"} {
		if i > 0 {
			m.Return(alone)
			m.Kill("worker-1")
		} else {
			m.Kill("worker-2")
		}
		if got, err := r.Query(t.Context(), harness.Analyst, harness.Question(6)); connect.CodeOf(err) != connect.CodeUnavailable || len(got.Rows) > 0 {
			t.Errorf("a mesh that was set back, %s: %v %+v", alone, err, got.Answer)
		}
	}
}

// waitFollowed waits until every worker wrote down what it saw of the log after a time.
func waitFollowed(t *testing.T, m *harness.Mesh, after time.Time) {
	t.Helper()
	for end, fresh := time.Now().Add(20*time.Second), 0; fresh < 2; {
		if time.Now().After(end) {
			t.Fatalf("%d of 2 workers followed the log", fresh)
		}
		names, err := filepath.Glob(filepath.Join(m.Home, "worker-*", "data", "*.checkpoint"))
		if err != nil {
			t.Fatal(err)
		}
		fresh = 0
		for _, name := range names {
			if info, err := os.Stat(name); err == nil && info.ModTime().After(after) {
				fresh++
			}
		}
	}
}

func waitCosigned(t *testing.T, m *harness.Mesh) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); m.Ask().GetCosignedSize() == 0; {
		if time.Now().After(end) {
			t.Fatalf("nothing was cosigned: %v", m.Ask().GetWitnesses())
		}
	}
}

// copies takes copies of the coordinators' disks while the mesh is down, and brings it up again. The function that it returns sets those of
// some coordinators back, of all where none is named.
func copies(t *testing.T, m *harness.Mesh) func(...string) {
	t.Helper()
	if err := m.Down(); err != nil {
		t.Fatal(err)
	}
	old := t.TempDir()
	names, err := filepath.Glob(filepath.Join(m.Home, "coordinator-*", "data"))
	if err != nil || len(names) != 3 {
		t.Fatalf("disks %v: %v", names, err)
	}
	kept := func(name string) string { return filepath.Join(old, filepath.Base(filepath.Dir(name))) }
	for _, name := range names {
		if err := os.CopyFS(kept(name), os.DirFS(name)); err != nil {
			t.Fatal(err)
		}
	}
	m.Again()
	return func(only ...string) {
		for _, name := range names {
			if len(only) > 0 && !slices.Contains(only, filepath.Base(filepath.Dir(name))) {
				continue
			}
			if err := os.RemoveAll(name); err != nil {
				t.Fatal(err)
			}
			if err := os.CopyFS(name, os.DirFS(kept(name))); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// forget takes from a witness what it saw.
func forget(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.checkpoint"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v %v", files, err)
	}
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
}
