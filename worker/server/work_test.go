package server_test

import (
	"context"
	"runtime"
	"sync"
	"testing"

	"connectrpc.com/connect"

	"concordat.dev/worker/server"
)

// TestWhatNeverFitsIsTold: the caller hears that the query takes more than this worker has, and nothing is loaded.
func TestWhatNeverFitsIsTold(t *testing.T) {
	w := newWorld(t, func(c *server.Config) { c.Memory = "30MB" })
	got, err := w.ingest(rows(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := w.execute(w.request(got.GetSealed(), nil)); connect.CodeOf(err) != connect.CodeResourceExhausted {
		t.Errorf("%v, %s", err, out.GetAnswer())
	}
	if s := w.server.Stats().Queries; s.TooLarge != 1 || s.Loads != 0 || s.Reserved != 0 {
		t.Errorf("%+v", s)
	}
}

// TestManyAtOnce asks more than run at once: all are answered, as many as may wait do, and the rest hear that the worker is busy.
func TestManyAtOnce(t *testing.T) {
	const many = 24
	w := newWorld(t, func(c *server.Config) { c.Queries, c.Queue = 1, 4 })
	got, err := w.ingest(rows(), nil)
	if err != nil {
		t.Fatal(err)
	}
	request := w.request(got.GetSealed(), nil)
	codes := make([]connect.Code, many)
	var work sync.WaitGroup
	for i := range codes {
		work.Go(func() {
			if _, err := w.execute(request); err != nil {
				codes[i] = connect.CodeOf(err)
			}
		})
	}
	work.Wait()
	answered, busy := 0, 0
	for _, c := range codes {
		switch c {
		case 0:
			answered++
		case connect.CodeAborted:
			busy++
		default:
			t.Errorf("code %v", c)
		}
	}
	s := w.server.Stats().Queries
	if answered+busy != many || uint64(answered) != s.Admission.Admitted || uint64(busy) != s.Admission.TurnedAway || s.Admission.Running+s.Admission.Queued != 0 {
		t.Errorf("%d answered, %d turned away: %+v", answered, busy, s)
	}
	if s.Loads != 1 || s.Reserved != s.TableBytes {
		t.Errorf("loaded %d times, %d bytes reserved for a table of %d", s.Loads, s.Reserved, s.TableBytes)
	}
}

// TestCallerGoesAway: what is reserved is given back, whenever it was that the caller went.
func TestCallerGoesAway(t *testing.T) {
	w := newWorld(t, func(c *server.Config) { c.Queries = 1 })
	got, err := w.ingest(rows(), nil)
	if err != nil {
		t.Fatal(err)
	}
	request := w.request(got.GetSealed(), nil)
	var work sync.WaitGroup
	for range 12 {
		work.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			go cancel()
			_, _ = w.client.Execute(ctx, connect.NewRequest(request))
		})
	}
	work.Wait()
	if _, err := w.execute(request); err != nil { // after all others, whose turns came first or were given up
		t.Error(err)
	}
	for { // they leave in their own time; one that leaves something behind keeps this from ending
		if s := w.server.Stats().Queries; s.Reserved == s.TableBytes && s.Admission.Queued+s.Admission.Running == 0 {
			return
		}
		runtime.Gosched()
	}
}
