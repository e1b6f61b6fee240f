package loader_test

import (
	"os"
	"runtime"
	"testing"
	"time"

	"concordat.dev/protocol/document"
	"concordat.dev/worker/loader"
	"concordat.dev/worker/noise"
	"concordat.dev/worker/query"
)

// usage is what a process must not have more and more of.
type usage struct {
	heap, engine            int64
	goroutines, descriptors int
}

func (w *world) usage(t *testing.T) usage {
	t.Helper()
	var m runtime.MemStats
	for range 3 { // finalizers of the first make garbage for the second
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	files, err := os.ReadDir("/proc/self/fd")
	check(t, err)
	held, err := w.loader.Engine.Memory(t.Context())
	check(t, err)
	return usage{int64(m.HeapAlloc), held, runtime.NumGoroutine(), len(files)} //nolint:gosec // less than 2^63
}

// TestNothingGrows has two datasets take each other's place again and again, with a query in between: heap, engine, goroutines and descriptors
// stay what they were after the first rounds.
func TestNothingGrows(t *testing.T) {
	w := newWorld(t)
	w.loader.Budget = 2*mebibyte - mebibyte/2
	analyser, err := query.NewAnalyser()
	check(t, err)
	t.Cleanup(func() { check(t, analyser.Close()) })
	bundle := &document.Bundle{Policies: map[string]*document.Policy{policy.Dataset: &policy}, Manifest: &document.Manifest{
		Collaboration: "c", Datasets: []document.Dataset{{ID: policy.Dataset, Owner: policy.Owner}}}}
	round := func() {
		for v := range w.versions {
			a, err := analyser.Analyse(t.Context(), bundle, "SELECT count(*) AS n FROM clinic.patients", 0)
			check(t, err)
			held, err := w.loader.Acquire(t.Context(), loader.Work{Who: "ada", Datasets: w.versions[v : v+1]})
			check(t, err)
			_, err = (&query.Executor{Engine: w.loader.Engine, Noise: noise.Key{1}}).Execute(t.Context(), a, held.Datasets)
			check(t, err)
			held.Release()
			w.now = w.now.Add(time.Second)
		}
	}
	for range 30 {
		round()
	}
	before := w.usage(t)
	const rounds = 150
	for range rounds {
		round()
	}
	after := w.usage(t)
	if s := w.loader.Stats(); s.Evictions < 2*rounds {
		t.Fatalf("nothing was evicted: %+v", s)
	}
	// a leak of one batch, table or connection a round is far above; what caches and the runtime do is far below
	if after.heap > before.heap+rounds*4<<10 || after.engine > before.engine+mebibyte || after.goroutines > before.goroutines+3 || after.descriptors > before.descriptors+3 {
		t.Errorf("after %d rounds %+v, before %+v", rounds, after, before)
	}
}
