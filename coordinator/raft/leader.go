package raft

import (
	"context"
	"sync"

	hraft "github.com/hashicorp/raft"
)

// leaders tells when the leader is another one, or none, as this node knows.
type leaders struct {
	mu      sync.Mutex
	changed chan struct{} // closed at the next change
}

// watch follows the library until the node stops.
func (l *leaders) watch(r *hraft.Raft, stop <-chan struct{}) {
	seen := make(chan hraft.Observation, 1) // one that waits stands for all
	o := hraft.NewObserver(seen, false, func(o *hraft.Observation) bool {
		_, ok := o.Data.(hraft.LeaderObservation)
		return ok
	})
	r.RegisterObserver(o)
	defer r.DeregisterObserver(o)
	for {
		select {
		case <-seen:
			l.turn()
		case <-stop:
			return
		}
	}
}

func (l *leaders) turn() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// next is closed at the next change. Whoever looks who leads after the call misses none.
func (l *leaders) next() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	return l.changed
}

// until is a context that also ends with a channel.
func until(ctx context.Context, closed <-chan struct{}) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-closed:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}
