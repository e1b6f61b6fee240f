// Package dispatch knows which workers serve and has one of them do a piece of work, or another one when that one dies.
//
// Invariant: soft state only; a worker that did not announce itself for three seconds is not called. Work is given to one worker at a
// time, and to the next only when the former is lost: executing again gives the same release, so that is safe.
//
// Sees: metadata; released aggregates pass through
package dispatch

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
	"github.com/rs/zerolog"

	"concordat.dev/protocol/gen/concordat/v1/concordatv1connect"
	"concordat.dev/protocol/marble"
)

// Expiry is how long a worker is remembered after it announced itself.
const Expiry = 3 * time.Second

// patience is how long work waits for a worker when none is there.
const patience = 15 * time.Second

// maxResponse bounds what a worker may answer, in bytes.
const maxResponse = 128 << 20

// ErrNoWorker says that no worker could do the work in time.
var ErrNoWorker = errors.New("no worker is available")

// ErrBusy says that all workers had as much work as they take, for as long as work waits.
var ErrBusy = errors.New("all workers are busy: ask again in a moment")

// ErrTooLarge says that the work needs more memory than any worker has.
var ErrTooLarge = errors.New("the datasets of this query need more memory than a worker has: the operator can give workers more, or start a larger one")

// Worker is what a worker tells of itself. Loaded are digests of sealed datasets that it has in memory.
type Worker struct {
	ID      string
	Address string // host:port
	Loaded  []string
	Running int // queries at work there
	Queued  int // that wait there
	Slots   int // that may be at work there at once; 0: not told
	Seen    time.Time
}

// Client calls one worker.
type Client interface {
	concordatv1connect.WorkerServiceClient
	concordatv1connect.WorkerHandoverServiceClient
}

type client struct {
	concordatv1connect.WorkerServiceClient
	concordatv1connect.WorkerHandoverServiceClient
}

// Pool is the workers that announced themselves to this coordinator.
type Pool struct {
	http    *http.Client
	through connect.ClientOption
	log     zerolog.Logger

	mu       sync.Mutex
	workers  map[string]*entry
	announce chan struct{} // closed when somebody announces
	waiting  int           // pieces of work that no worker takes now

	calls [len(outcomes)]atomic.Uint64 // by what came of them
}

type entry struct {
	Worker
	client Client
	given  int            // pieces of work from here
	coming map[string]int // datasets that such work has it load
}

// TLS is what a marble identity gives to call marbles of a type.
type TLS interface {
	ClientTLS(wantType string) *tls.Config
}

// New makes an empty pool. The interceptors see all calls to workers.
func New(identity TLS, log zerolog.Logger, calls ...connect.Interceptor) *Pool {
	transport := &http.Transport{
		TLSClientConfig:     identity.ClientTLS(marble.Worker),
		ForceAttemptHTTP2:   true,
		TLSHandshakeTimeout: 5 * time.Second,
		IdleConnTimeout:     time.Minute,
		HTTP2:               &http.HTTP2Config{SendPingTimeout: 10 * time.Second, PingTimeout: 10 * time.Second},
	}
	return &Pool{http: &http.Client{Transport: transport}, through: connect.WithInterceptors(calls...), log: log, workers: map[string]*entry{}, announce: make(chan struct{})}
}

// Announce notes that a worker serves.
func (p *Pool) Announce(w Worker) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w.Seen = time.Now()
	e := p.workers[w.ID]
	if e == nil || e.Address != w.Address {
		url, limit := "https://"+w.Address, connect.WithReadMaxBytes(maxResponse)
		e = &entry{coming: map[string]int{}, client: client{concordatv1connect.NewWorkerServiceClient(p.http, url, limit, p.through), concordatv1connect.NewWorkerHandoverServiceClient(p.http, url, limit, p.through)}}
		p.workers[w.ID] = e
		p.log.Info().Str("worker", w.ID).Str("address", w.Address).Msg("worker announced itself")
	}
	e.Worker = w
	close(p.announce)
	p.announce = make(chan struct{})
}

// Workers lists who serves now, by id.
func (p *Pool) Workers() []Worker {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []Worker
	for _, e := range p.alive() {
		out = append(out, e.Worker)
	}
	slices.SortFunc(out, func(a, b Worker) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

func (p *Pool) alive() []*entry {
	var out []*entry
	for id, e := range p.workers {
		if time.Since(e.Seen) > Expiry {
			delete(p.workers, id)
			continue
		}
		out = append(out, e)
	}
	return out
}

// Load is how many pieces of work workers have from here, and how many wait for a worker.
func (p *Pool) Load() (given, waiting int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.workers {
		given += e.given
	}
	return max(0, given), p.waiting
}

func (p *Pool) wait(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting += n
}

// Close ends idle connections.
func (p *Pool) Close() { p.http.CloseIdleConnections() }

// Do has one worker do a piece of work. When that one is lost, or says that it can't serve now, the next one tries; when none is left, Do
// waits a while for one. An error that a worker means is final.
func Do[T any](ctx context.Context, p *Pool, datasets []string, work func(context.Context, Client) (T, error)) (T, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var none T
	var last error
	tried := map[string]bool{} // workers that had no room for it, since one announced itself last
	waits := false             // some of them may have room later
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		e, announced := p.take(datasets, tried)
		if e == nil {
			if errors.Is(last, ErrTooLarge) && !waits {
				return none, fmt.Errorf("dispatch: %w", last)
			}
			p.wait(1)
			select {
			case <-announced:
				p.wait(-1)
				clear(tried)
				waits = false
				continue
			case <-timer.C:
				p.wait(-1)
				return none, fmt.Errorf("dispatch: waited %s: %w", patience, errors.Join(ErrNoWorker, last))
			case <-ctx.Done():
				p.wait(-1)
				return none, fmt.Errorf("dispatch: %w", errors.Join(ErrNoWorker, ctx.Err(), last))
			}
		}
		result, err := work(ctx, e.client)
		outcome := judge(err)
		p.give(e, datasets, outcome)
		p.calls[outcome].Add(1)
		switch {
		case err == nil || ctx.Err() != nil || outcome == meant:
			return result, err
		case outcome == busy:
			tried[e.ID], waits, last = true, true, errors.Join(ErrBusy, err)
		case outcome == tooLarge:
			tried[e.ID], last = true, errors.Join(ErrTooLarge, err)
		default:
			p.log.Warn().Str("worker", e.ID).Err(err).Msg("worker lost; another one takes over")
			last = err
		}
	}
}

// outcome is what came of a call.
type outcome int

const (
	meant    outcome = iota // an answer, or an error that is one
	lost                    // no answer, or that it can't serve now
	busy                    // it has as much work as it takes
	tooLarge                // it has not enough memory for this work
)

func judge(err error) outcome {
	switch {
	case err == nil:
		return meant
	case !connect.IsWireError(err):
		return lost
	}
	switch connect.CodeOf(err) {
	case connect.CodeUnavailable:
		return lost
	case connect.CodeAborted:
		return busy
	case connect.CodeResourceExhausted:
		return tooLarge
	}
	return meant
}

// give back a worker; a lost one is forgotten until it announces itself again.
func (p *Pool) give(e *entry, datasets []string, o outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e.given--
	for _, d := range datasets {
		if e.coming[d]--; e.coming[d] <= 0 {
			delete(e.coming, d)
		}
		if o == meant && !slices.Contains(e.Loaded, d) { // until it announces what it has
			e.Loaded = append(e.Loaded, d)
		}
	}
	if o == lost && p.workers[e.ID] == e {
		delete(p.workers, e.ID)
	}
}
