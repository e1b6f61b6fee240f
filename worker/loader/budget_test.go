package loader_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"concordat.dev/worker/admission"
	"concordat.dev/worker/loader"
)

// acquire asks for some of the world's versions, which take a little more than a mebibyte each, and need bytes beside.
func (w *world) acquire(ctx context.Context, who string, need int64, versions ...int) (*loader.Held, error) {
	work := loader.Work{Who: who, Need: func(func(string) int64) int64 { return need }}
	for _, v := range versions {
		work.Datasets = append(work.Datasets, w.versions[v])
	}
	return w.loader.Acquire(ctx, work)
}

const mebibyte = 1 << 20

func TestEvictionMakesRoom(t *testing.T) {
	w := newWorld(t)
	w.loader.Budget = 3*mebibyte - mebibyte/2
	first, err := w.acquire(t.Context(), "ada", 0, 0)
	check(t, err)
	first.Release()
	w.now = w.now.Add(time.Minute)
	second, err := w.acquire(t.Context(), "ada", mebibyte, 1) // which leaves no room for the first
	check(t, err)
	if w.has(first.Datasets[0].Loaded) || !w.has(second.Datasets[0].Loaded) {
		t.Error("the table that nobody holds did not make room")
	}
	second.Release()
	both, err := w.acquire(t.Context(), "ada", 0, 0, 1)
	check(t, err)
	if !w.has(second.Datasets[0].Loaded) {
		t.Error("a table went that there was room for")
	}
	s := w.loader.Stats()
	if s.Loads != 3 || s.Evictions != 1 || s.Tables != 2 || s.LoadedRows != 6 || s.Reserved != s.TableBytes || s.Reserved < 2*mebibyte {
		t.Errorf("%+v", s)
	}
	both.Release()
}

// TestHeldTablesStay: a query waits for memory that another one holds, and gets it afterwards; one that goes away meanwhile leaves nothing.
func TestHeldTablesStay(t *testing.T) {
	w := newWorld(t)
	w.loader.Budget = 3 * mebibyte
	held, err := w.acquire(t.Context(), "ada", mebibyte, 0)
	check(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		_, err := w.acquire(ctx, "bob", mebibyte, 1)
		gone <- err
	}()
	waits := func(n int) {
		for w.loader.Gate.Counts().Queued != n {
			runtime.Gosched() // another goroutine gets there
		}
	}
	waits(1)
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	done := make(chan error, 1)
	go func() {
		next, err := w.acquire(t.Context(), "bob", mebibyte, 1)
		if err == nil {
			next.Release()
		}
		done <- err
	}()
	waits(1)
	if !w.has(held.Datasets[0].Loaded) {
		t.Error("a table went that a query holds")
	}
	held.Release()
	held.Release() // changes nothing
	check(t, <-done)
	if s := w.loader.Stats(); s.Evictions != 1 || s.Reserved != s.TableBytes || s.Admission.Running != 0 || s.Admission.Left != 1 {
		t.Errorf("%+v", s)
	}
}

func TestTooLargeIsToldBeforeLoading(t *testing.T) {
	w := newWorld(t)
	w.loader.Budget = 3*mebibyte - 1
	if _, err := w.acquire(t.Context(), "ada", mebibyte, 0, 1); !errors.Is(err, loader.ErrTooLarge) {
		t.Errorf("%v", err)
	}
	if s := w.loader.Stats(); s.Loads != 0 || s.TooLarge != 1 || s.Reserved != 0 {
		t.Errorf("%+v", s)
	}
}

// TestAlone: what needs all memory waits until it has it.
func TestAlone(t *testing.T) {
	w := newWorld(t)
	w.loader.Budget = 10 * mebibyte
	first, err := w.acquire(t.Context(), "ada", 0, 0)
	check(t, err)
	done := make(chan error, 1)
	go func() {
		alone, err := w.loader.Acquire(t.Context(), loader.Work{Who: "bob", Datasets: w.versions[1:], Alone: true})
		if err == nil {
			if s := w.loader.Stats(); s.Reserved < w.loader.Budget-mebibyte/2 || s.Tables != 1 {
				err = errors.New("it is not alone")
			}
			alone.Release()
		}
		done <- err
	}()
	for w.loader.Gate.Counts().Queued == 0 {
		runtime.Gosched() // another goroutine gets there
	}
	first.Release()
	check(t, <-done)
}

// TestTooLowAnEstimate: a table that takes more than was thought holds nothing up for ever.
func TestTooLowAnEstimate(t *testing.T) {
	w := newWorld(t)
	w.loader.Gate = admission.New(admission.Limits{Running: 1, Queued: 1}, func() time.Time { return w.now })
	first, err := w.acquire(t.Context(), "ada", 0, 0)
	check(t, err)
	done := make(chan error, 1)
	go func() {
		next, err := w.acquire(t.Context(), "bob", mebibyte, 1)
		if err == nil {
			next.Release()
		}
		done <- err
	}()
	for w.loader.Gate.Counts().Queued == 0 {
		runtime.Gosched() // another goroutine gets there
	}
	w.loader.Gate.Do(func() { w.loader.Budget = mebibyte / 2 })
	first.Release()
	check(t, <-done)
	if w.has(first.Datasets[0].Loaded) {
		t.Error("what nobody holds was not evicted")
	}
}

func TestBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.loader.Gate = admission.New(admission.Limits{Running: 1}, time.Now)
		held, err := w.acquire(t.Context(), "ada", 0, 0)
		check(t, err)
		if _, err := w.acquire(t.Context(), "bob", 0, 0); !errors.Is(err, admission.ErrBusy) {
			t.Errorf("%v", err)
		}
		held.Release()
	})
}

// TestAside: memory that is set aside evicts what nobody holds, and has queries wait that would need it; never more than half of all.
func TestAside(t *testing.T) {
	w := newWorld(t)
	w.loader.Budget = 4 * mebibyte
	first, err := w.acquire(t.Context(), "ada", 0, 0)
	check(t, err)
	first.Release()
	back, err := w.loader.Aside(t.Context(), 1<<40)
	check(t, err)
	if s := w.loader.Stats(); !w.has(first.Datasets[0].Loaded) || s.Reserved-s.TableBytes != 2*mebibyte {
		t.Errorf("%+v", s)
	}
	again, err := w.loader.Aside(t.Context(), mebibyte)
	check(t, err)
	if s := w.loader.Stats(); w.has(first.Datasets[0].Loaded) || s.Evictions != 1 || s.Reserved != 3*mebibyte {
		t.Errorf("%+v", s)
	}
	answered := make(chan error, 1)
	go func() {
		held, err := w.acquire(t.Context(), "bob", 3*mebibyte/2, 1)
		if err == nil {
			held.Release()
		}
		answered <- err
	}()
	for w.loader.Stats().Admission.Queued == 0 {
		runtime.Gosched()
	}
	back()
	back()
	check(t, <-answered)
	again()
	if s := w.loader.Stats(); s.Reserved != s.TableBytes || s.Admission.Admitted != 2 {
		t.Errorf("%+v", s)
	}
}
