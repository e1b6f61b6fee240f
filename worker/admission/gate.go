// Package admission decides when a piece of work may begin in a worker: so many at once, each only when what it needs is there, and in an
// order that is fair among those who ask.
//
// Invariant: work waits, or is turned away at once with a reason; it never begins without what it needs. Whoever asks much delays himself
// before he delays others.
//
// Sees: metadata
package admission

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrBusy says that too much waits already. Another worker may have room, or this one later.
var ErrBusy = errors.New("busy")

// Gate admits work. It is safe for concurrent use.
type Gate struct {
	limits Limits
	now    func() time.Time

	mu     sync.Mutex
	queues map[string]*queue
	turns  []*queue // whose turn comes next, in order; those who wait for something
	count  Counts
}

// Limits bound what goes on at once.
type Limits struct {
	Running int // pieces of work at once
	Queued  int // that wait for their turn
}

// Counts is what goes on, and what went on since the start.
type Counts struct {
	Running, Queued int
	Admitted        uint64
	Waited          uint64        // of those admitted, that had to wait
	Waiting         time.Duration // of those admitted, together
	Longest         time.Duration
	TurnedAway      uint64 // since too much waited
	Left            uint64 // whose caller went away while they waited
}

// queue is the work of one person that waits, first come first served.
type queue struct {
	who  string
	list []*waiting
}

type waiting struct {
	take  func() bool
	since time.Time
	begun chan struct{} // closed when it may begin
	done  bool
}

// New makes a gate.
func New(limits Limits, now func() time.Time) *Gate {
	return &Gate{limits: limits, now: now, queues: map[string]*queue{}}
}

// Enter waits until work of somebody may begin. Take says whether what it needs is there, and takes it when it is; it is called under the
// gate's lock, also later and by others, but not after Enter has returned. Whoever entered has to Leave.
func (g *Gate) Enter(ctx context.Context, who string, take func() bool) error {
	g.mu.Lock()
	if len(g.turns) == 0 && g.count.Running < g.limits.Running && take() {
		g.begin(0)
		g.mu.Unlock()
		return nil
	}
	if g.count.Queued >= g.limits.Queued {
		g.count.TurnedAway++
		defer g.mu.Unlock()
		return fmt.Errorf("%w: %d run and %d wait, which is as many as may", ErrBusy, g.count.Running, g.count.Queued)
	}
	w := g.enqueue(who, take)
	g.mu.Unlock()
	select {
	case <-w.begun:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if w.done { // admitted in the same moment
		return nil
	}
	g.count.Left++
	g.remove(who, w)
	g.admit() // what it held up may fit
	return ctx.Err()
}

// Leave ends a piece of work. Give puts back what it took, under the gate's lock.
func (g *Gate) Leave(give func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	give()
	g.count.Running--
	g.admit()
}

// Do runs something under the gate's lock; what waits is looked at anew afterwards.
func (g *Gate) Do(work func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	work()
	g.admit()
}

// Counts is what goes on now.
func (g *Gate) Counts() Counts {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.count
}

func (g *Gate) enqueue(who string, take func() bool) *waiting {
	w := &waiting{take: take, since: g.now(), begun: make(chan struct{})}
	q := g.queues[who]
	if q == nil {
		q = &queue{who: who}
		g.queues[who] = q
		g.turns = append(g.turns, q)
	}
	q.list = append(q.list, w)
	g.count.Queued++
	return w
}

func (g *Gate) remove(who string, w *waiting) {
	q := g.queues[who]
	for i, other := range q.list {
		if other == w {
			q.list = append(q.list[:i], q.list[i+1:]...)
			g.count.Queued--
			break
		}
	}
	if len(q.list) > 0 {
		return
	}
	delete(g.queues, who)
	for i, other := range g.turns {
		if other == q {
			g.turns = append(g.turns[:i], g.turns[i+1:]...)
			break
		}
	}
}

// admit begins what may begin: of each person in turn the work that came first. What does not fit yet holds up all behind it; else small work
// would pass it for ever.
func (g *Gate) admit() {
	for len(g.turns) > 0 && g.count.Running < g.limits.Running {
		q := g.turns[0]
		w := q.list[0]
		if !w.take() {
			return
		}
		w.done = true
		close(w.begun)
		g.begin(g.now().Sub(w.since))
		g.remove(q.who, w)
		if len(g.turns) > 0 && g.turns[0] == q { // there is more: behind the others
			g.turns = append(g.turns[1:], q)
		}
	}
}

func (g *Gate) begin(waited time.Duration) {
	g.count.Running++
	g.count.Admitted++
	if waited > 0 {
		g.count.Waited++
		g.count.Waiting += waited
		g.count.Longest = max(g.count.Longest, waited)
	}
}
