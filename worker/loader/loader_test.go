package loader_test

import (
	"bytes"
	"context"
	"io"
	"sync"
	"testing"
	"time"

	"concordat.dev/protocol/document"
	"concordat.dev/worker/admission"
	"concordat.dev/worker/engine"
	"concordat.dev/worker/ingest"
	"concordat.dev/worker/loader"
	"concordat.dev/worker/query"
	"concordat.dev/worker/storage"
	"concordat.dev/worker/token"
)

var policy = *(&document.Policy{
	Dataset: "clinic.patients", Owner: "clinic", Unit: document.Unit{Column: "id", Namespace: "patient"},
	Columns:    map[string]document.Column{"id": {Type: "varchar", Role: "identifier"}, "male": {Type: "integer", Role: "dimension"}},
	Aggregates: []string{"count"}, Release: &document.Release{Mechanism: document.DifferentialPrivacy, MinUnits: 2, RhoPerAggregate: 0.01},
	Budget: &document.Budget{Rho: 1, Delta: 1e-6, Period: "30d", LifetimeRho: 3},
}).WithDefaults()

// world is a store with two sealed versions of one dataset, and a loader whose clock the test moves.
type world struct {
	loader   *loader.Loader
	versions []loader.Request
	now      time.Time
}

func newWorld(t *testing.T) *world {
	t.Helper()
	root := bytes.Repeat([]byte{7}, 32)
	store, err := storage.Open(t.Context(), "file://"+t.TempDir())
	check(t, err)
	wrapper, err := storage.NewWrapper(root)
	check(t, err)
	e, err := engine.Open(engine.Config{Threads: 1})
	check(t, err)
	t.Cleanup(func() { check(t, e.Close()); check(t, store.Close()) })
	w := &world{now: time.Unix(1_800_000_000, 0)}
	now := func() time.Time { return w.now }
	w.loader = &loader.Loader{Store: store, Engine: e, Now: now, Budget: 1 << 30, Gate: admission.New(admission.Limits{Running: 8, Queued: 8}, now)}
	for version := uint32(1); version <= 2; version++ {
		binding := storage.Binding{Ledger: "l", Collaboration: "c", Owner: "k", Dataset: policy.Dataset, Version: version}
		schema, err := ingest.Schema(policy)
		check(t, err)
		writer, err := storage.NewWriter(t.Context(), store, wrapper, binding, schema)
		check(t, err)
		tokens, err := token.New(root, "c", "patient", document.Namespace{Normalize: "trim"})
		check(t, err)
		source := func(context.Context) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader([]byte("id,male\na,0\nb,1\n"))), nil
		}
		_, err = ingest.File(t.Context(), ingest.Options{Policy: policy, Tokenizer: tokens}, source, writer)
		check(t, err)
		sealed, err := writer.Seal()
		check(t, err)
		w.versions = append(w.versions, loader.Request{Binding: binding, Sealed: sealed, Policy: &policy, Wrapper: wrapper})
	}
	return w
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// load acquires one dataset.
func (w *world) load(ctx context.Context, r loader.Request) (query.Dataset, func(), error) {
	held, err := w.loader.Acquire(ctx, loader.Work{Who: "ada", Datasets: []loader.Request{r}})
	if err != nil {
		return query.Dataset{}, func() {}, err
	}
	return held.Datasets[0], held.Release, nil
}

// has says whether the engine holds what was loaded under a name.
func (w *world) has(name string) bool {
	_, err := w.loader.Engine.Tables(map[string]string{policy.Dataset: name})
	return err == nil
}

func TestOneLoadServesAll(t *testing.T) {
	w := newWorld(t)
	names := make([]string, 8)
	var wg sync.WaitGroup
	for i := range names {
		wg.Go(func() {
			d, release, err := w.load(t.Context(), w.versions[0])
			if err != nil {
				t.Error(err)
			}
			names[i] = d.Loaded
			release()
		})
	}
	wg.Wait()
	for _, n := range names {
		if n != names[0] {
			t.Errorf("loaded as %q and as %q", names[0], n)
		}
	}
	if got := w.loader.Loaded(); len(got) != 1 || got[0] != w.versions[0].Sealed.Digest.String() {
		t.Errorf("loaded %v", got)
	}
}

func TestSweepFreesWhatNobodyAsksFor(t *testing.T) {
	w := newWorld(t)
	d, release, err := w.load(t.Context(), w.versions[0])
	check(t, err)
	w.now = w.now.Add(2 * time.Hour)
	check(t, w.loader.Sweep(t.Context(), time.Hour))
	if !w.has(d.Loaded) {
		t.Fatal("rows that a query holds were freed")
	}
	release()
	release() // a second call changes nothing
	check(t, w.loader.Sweep(t.Context(), time.Hour))
	if !w.has(d.Loaded) {
		t.Fatal("rows that were just used were freed")
	}
	w.now = w.now.Add(time.Hour)
	check(t, w.loader.Sweep(t.Context(), time.Hour))
	if w.has(d.Loaded) || len(w.loader.Loaded()) != 0 {
		t.Error("idle rows stay in memory")
	}
	again, release, err := w.load(t.Context(), w.versions[0])
	check(t, err)
	defer release()
	if !w.has(again.Loaded) {
		t.Error("what was freed is not loaded anew")
	}
}

func TestSweepFreesOldVersions(t *testing.T) {
	w := newWorld(t)
	old, release, err := w.load(t.Context(), w.versions[0])
	check(t, err)
	release()
	fresh, release, err := w.load(t.Context(), w.versions[1])
	check(t, err)
	defer release()
	check(t, w.loader.Sweep(t.Context(), time.Hour))
	if w.has(old.Loaded) || !w.has(fresh.Loaded) {
		t.Errorf("old version in memory: %v, new one: %v", w.has(old.Loaded), w.has(fresh.Loaded))
	}
}

func TestFailedLoadLeavesNothing(t *testing.T) {
	w := newWorld(t)
	bad := w.versions[0]
	bad.Binding.Version = 9 // the wrap is for version 1
	for range 2 {
		if _, release, err := w.load(t.Context(), bad); err == nil {
			t.Fatal("a file of another version was loaded")
		} else {
			release()
		}
	}
	if got := w.loader.Loaded(); len(got) != 0 {
		t.Errorf("a failed load is listed: %v", got)
	}
}
