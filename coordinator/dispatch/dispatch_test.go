package dispatch_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"
	"github.com/rs/zerolog"

	"concordat.dev/coordinator/dispatch"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/gen/concordat/v1/concordatv1connect"
	"concordat.dev/protocol/marble"
	"concordat.dev/protocol/marble/marbletest"
)

// worker answers Analyze by its name, or dies in the middle of the call.
type worker struct {
	concordatv1connect.UnimplementedWorkerServiceHandler
	name  string
	calls atomic.Int32
	fate  func() error
}

func (w *worker) Analyze(context.Context, *connect.Request[concordatv1.AnalyzeRequest]) (*connect.Response[concordatv1.AnalyzeResponse], error) {
	w.calls.Add(1)
	if w.fate != nil {
		if err := w.fate(); err != nil {
			return nil, err
		}
	}
	return connect.NewResponse(&concordatv1.AnalyzeResponse{Question: w.name}), nil
}

func serve(t *testing.T, mesh marbletest.Mesh, w *worker, marbleType string) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle(concordatv1connect.NewWorkerServiceHandler(w))
	s := httptest.NewUnstartedServer(mux)
	s.EnableHTTP2 = true
	s.TLS = mesh.Identity(t, marbleType).ServerTLS(marble.Coordinator)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func ask(ctx context.Context, p *dispatch.Pool, loaded ...string) (string, error) {
	return dispatch.Do(ctx, p, loaded, func(ctx context.Context, c dispatch.Client) (string, error) {
		r, err := c.Analyze(ctx, connect.NewRequest(&concordatv1.AnalyzeRequest{}))
		if err != nil {
			return "", err
		}
		return r.Msg.GetQuestion(), nil
	})
}

func TestAnotherWorkerTakesOver(t *testing.T) {
	mesh := marbletest.New(t)
	pool := dispatch.New(mesh.Identity(t, marble.Coordinator), zerolog.Nop())
	dies := &worker{name: "a", fate: func() error { panic(http.ErrAbortHandler) }}
	busy := &worker{name: "b", fate: func() error { return connect.NewError(connect.CodeUnavailable, errors.New("draining")) }}
	good := &worker{name: "c"}
	for _, w := range []*worker{dies, busy, good} {
		pool.Announce(dispatch.Worker{ID: w.name, Address: serve(t, mesh, w, marble.Worker)})
	}
	got, err := ask(t.Context(), pool)
	if err != nil || got != "c" || dies.calls.Load() != 1 || busy.calls.Load() != 1 {
		t.Fatalf("%q %v after %d and %d calls", got, err, dies.calls.Load(), busy.calls.Load())
	}
	if left := pool.Workers(); len(left) != 1 || left[0].ID != "c" {
		t.Errorf("lost workers are still called: %+v", left)
	}
}

func TestWhatAWorkerMeansIsFinal(t *testing.T) {
	mesh := marbletest.New(t)
	pool := dispatch.New(mesh.Identity(t, marble.Coordinator), zerolog.Nop())
	refuses := &worker{name: "a", fate: func() error { return connect.NewError(connect.CodeInvalidArgument, errors.New("no")) }}
	other := &worker{name: "b"}
	for _, w := range []*worker{refuses, other} {
		pool.Announce(dispatch.Worker{ID: w.name, Address: serve(t, mesh, w, marble.Worker)})
	}
	if _, err := ask(t.Context(), pool); connect.CodeOf(err) != connect.CodeInvalidArgument || other.calls.Load() != 0 {
		t.Errorf("%v, other called %d times", err, other.calls.Load())
	}
}

func TestWorkWaitsForAWorker(t *testing.T) {
	mesh := marbletest.New(t)
	pool := dispatch.New(mesh.Identity(t, marble.Coordinator), zerolog.Nop())
	address := serve(t, mesh, &worker{name: "late"}, marble.Worker)
	done := make(chan string)
	go func() {
		got, _ := ask(t.Context(), pool)
		done <- got
	}()
	pool.Announce(dispatch.Worker{ID: "late", Address: address})
	if got := <-done; got != "late" {
		t.Errorf("%q", got)
	}
}

func TestAffinity(t *testing.T) {
	mesh := marbletest.New(t)
	pool := dispatch.New(mesh.Identity(t, marble.Coordinator), zerolog.Nop())
	pool.Announce(dispatch.Worker{ID: "a", Address: serve(t, mesh, &worker{name: "a"}, marble.Worker)})
	pool.Announce(dispatch.Worker{ID: "b", Address: serve(t, mesh, &worker{name: "b"}, marble.Worker), Loaded: []string{"d1"}, Running: 3})
	if got, err := ask(t.Context(), pool, "d1"); err != nil || got != "b" {
		t.Errorf("%q %v: the one that has the dataset loaded should serve", got, err)
	}
	if got, err := ask(t.Context(), pool); err != nil || got != "a" {
		t.Errorf("%q %v: the least busy one should serve", got, err)
	}
}

// TestBusyWorkersArePassed: one that has no room is asked again once somebody announced itself, and not forgotten.
func TestBusyWorkersArePassed(t *testing.T) {
	mesh := marbletest.New(t)
	pool := dispatch.New(mesh.Identity(t, marble.Coordinator), zerolog.Nop())
	var room atomic.Bool
	full := func() error {
		if room.Load() {
			return nil
		}
		return connect.NewError(connect.CodeAborted, errors.New("busy"))
	}
	first, second := &worker{name: "a", fate: full}, &worker{name: "b"}
	address := serve(t, mesh, first, marble.Worker)
	pool.Announce(dispatch.Worker{ID: "a", Address: address})
	pool.Announce(dispatch.Worker{ID: "b", Address: serve(t, mesh, second, marble.Worker), Running: 1})
	if got, err := ask(t.Context(), pool); err != nil || got != "b" || first.calls.Load() != 1 {
		t.Fatalf("%q %v after %d calls of the one that is busy", got, err, first.calls.Load())
	}
	if len(pool.Workers()) != 2 {
		t.Error("a busy worker was forgotten")
	}
	second.fate = full
	done := make(chan string)
	go func() {
		got, _ := ask(t.Context(), pool)
		done <- got
	}()
	for second.calls.Load() < 2 || first.calls.Load() < 2 {
		runtime.Gosched()
	}
	room.Store(true)
	for {
		select {
		case got := <-done:
			if got != "a" && got != "b" {
				t.Errorf("%q", got)
			}
			return
		default:
			pool.Announce(dispatch.Worker{ID: "a", Address: address}) // again and again, as workers do
			runtime.Gosched()
		}
	}
}

// TestTooLarge: work that one worker has no memory for goes to another; what fits nowhere is told at once.
func TestTooLarge(t *testing.T) {
	mesh := marbletest.New(t)
	pool := dispatch.New(mesh.Identity(t, marble.Coordinator), zerolog.Nop())
	small := func() error {
		return connect.NewError(connect.CodeResourceExhausted, errors.New("more than this worker's memory"))
	}
	first, second := &worker{name: "a", fate: small}, &worker{name: "b"}
	pool.Announce(dispatch.Worker{ID: "a", Address: serve(t, mesh, first, marble.Worker)})
	pool.Announce(dispatch.Worker{ID: "b", Address: serve(t, mesh, second, marble.Worker), Running: 1})
	if got, err := ask(t.Context(), pool); err != nil || got != "b" || first.calls.Load() != 1 {
		t.Errorf("%q %v", got, err)
	}
	second.fate = small
	if _, err := ask(t.Context(), pool); !errors.Is(err, dispatch.ErrTooLarge) || len(pool.Workers()) != 2 {
		t.Errorf("%v, %d workers", err, len(pool.Workers()))
	}
}

func TestOnlyMarblesOfTypeWorkerAreCalled(t *testing.T) {
	mesh := marbletest.New(t)
	pool := dispatch.New(mesh.Identity(t, marble.Coordinator), zerolog.Nop())
	impostor := &worker{name: "a"}
	pool.Announce(dispatch.Worker{ID: "a", Address: serve(t, mesh, impostor, marble.Coordinator)})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := ask(ctx, pool); !errors.Is(err, dispatch.ErrNoWorker) || impostor.calls.Load() != 0 {
		t.Errorf("%v, called %d times", err, impostor.calls.Load())
	}
}

func TestExpiryAndPatience(t *testing.T) {
	mesh := marbletest.New(t)
	identity := mesh.Identity(t, marble.Coordinator)
	synctest.Test(t, func(t *testing.T) {
		pool := dispatch.New(identity, zerolog.Nop())
		pool.Announce(dispatch.Worker{ID: "a", Address: "127.0.0.1:1"})
		time.Sleep(dispatch.Expiry)
		if len(pool.Workers()) != 1 {
			t.Error("forgotten too early")
		}
		time.Sleep(time.Millisecond)
		if len(pool.Workers()) != 0 {
			t.Error("remembered too long")
		}
		start := time.Now()
		if _, err := ask(t.Context(), pool); !errors.Is(err, dispatch.ErrNoWorker) || time.Since(start) != 15*time.Second {
			t.Errorf("%v after %s", err, time.Since(start))
		}
	})
}

func TestGrid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		for _, c := range []struct{ work, leaves time.Duration }{
			{0, 500}, {1, 500}, {499, 500}, {500, 1000}, {1234, 1500},
		} {
			g := dispatch.NewGrid(time.Now(), 500*time.Millisecond)
			begin := time.Now()
			time.Sleep(c.work * time.Millisecond)
			if err := g.Wait(t.Context()); err != nil || time.Since(begin) != c.leaves*time.Millisecond {
				t.Errorf("work of %d ms leaves after %s, want %d ms: %v", c.work, time.Since(begin), c.leaves, err)
			}
		}
		if err := dispatch.NewGrid(start, 0).Wait(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
