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

// Worker is what a worker tells of itself. Loaded are digests of sealed datasets that it has in memory.
type Worker struct {
	ID      string
	Address string // host:port
	Loaded  []string
	Running int
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
	http *http.Client
	log  zerolog.Logger

	mu       sync.Mutex
	workers  map[string]*entry
	announce chan struct{} // closed when somebody announces
}

type entry struct {
	Worker
	client Client
	given  int // pieces of work from here
}

// TLS is what a marble identity gives to call marbles of a type.
type TLS interface {
	ClientTLS(wantType string) *tls.Config
}

// New makes an empty pool.
func New(identity TLS, log zerolog.Logger) *Pool {
	transport := &http.Transport{
		TLSClientConfig:     identity.ClientTLS(marble.Worker),
		ForceAttemptHTTP2:   true,
		TLSHandshakeTimeout: 5 * time.Second,
		IdleConnTimeout:     time.Minute,
		HTTP2:               &http.HTTP2Config{SendPingTimeout: 10 * time.Second, PingTimeout: 10 * time.Second},
	}
	return &Pool{http: &http.Client{Transport: transport}, log: log, workers: map[string]*entry{}, announce: make(chan struct{})}
}

// Announce notes that a worker serves.
func (p *Pool) Announce(w Worker) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w.Seen = time.Now()
	e := p.workers[w.ID]
	if e == nil || e.Address != w.Address {
		url, limit := "https://"+w.Address, connect.WithReadMaxBytes(maxResponse)
		e = &entry{client: client{concordatv1connect.NewWorkerServiceClient(p.http, url, limit), concordatv1connect.NewWorkerHandoverServiceClient(p.http, url, limit)}}
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

// Close ends idle connections.
func (p *Pool) Close() { p.http.CloseIdleConnections() }

// Do has one worker do a piece of work: best one that has the wanted datasets loaded, else the least busy. When it is lost, or says
// that it can't serve now, the next one tries; when none is left, Do waits a while for one. An error that a worker means is final.
func Do[T any](ctx context.Context, p *Pool, loaded []string, work func(context.Context, Client) (T, error)) (T, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var none T
	var last error
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		e, announced := p.take(loaded)
		if e == nil {
			select {
			case <-announced:
				continue
			case <-timer.C:
				return none, fmt.Errorf("dispatch: waited %s: %w", patience, errors.Join(ErrNoWorker, last))
			case <-ctx.Done():
				return none, fmt.Errorf("dispatch: %w", errors.Join(ErrNoWorker, ctx.Err(), last))
			}
		}
		result, err := work(ctx, e.client)
		p.give(e, err == nil || !lost(err))
		if err == nil || ctx.Err() != nil || !lost(err) {
			return result, err
		}
		p.log.Warn().Str("worker", e.ID).Err(err).Msg("worker lost; another one takes over")
		last = err
	}
}

// lost says that a worker did not answer, or answered that it can't serve now.
func lost(err error) bool {
	return !connect.IsWireError(err) || connect.CodeOf(err) == connect.CodeUnavailable
}

func (p *Pool) take(loaded []string) (*entry, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.alive()
	if len(all) == 0 {
		return nil, p.announce
	}
	best := slices.MinFunc(all, func(a, b *entry) int {
		return cmp.Or(
			-cmp.Compare(a.has(loaded), b.has(loaded)),
			cmp.Compare(a.given, b.given),
			cmp.Compare(a.Running, b.Running),
			cmp.Compare(a.ID, b.ID),
		)
	})
	best.given++
	return best, nil
}

func (e *entry) has(loaded []string) int {
	n := 0
	for _, d := range loaded {
		if slices.Contains(e.Loaded, d) {
			n++
		}
	}
	return n
}

// give back a worker; a lost one is forgotten until it announces itself again.
func (p *Pool) give(e *entry, alive bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e.given--
	if !alive && p.workers[e.ID] == e {
		delete(p.workers, e.ID)
	}
}
