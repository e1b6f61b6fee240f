package api

import (
	"sync"
	"time"

	"concordat.dev/protocol/fault"
)

// How often one person may have a text explained by one coordinator: a page asks with every pause in typing.
const (
	paceEvery = 100 * time.Millisecond
	paceBurst = 20
	maxPaced  = 10_000
)

var errTooFast = fault.Newf("explain", fault.TooLarge, "too many texts to explain in a short time: wait a second")

// pace admits each person's explanations at a rate. They cost a worker's time and nothing else: no budget, no entry in any log that is kept.
type pace struct {
	mu   sync.Mutex
	free map[string]time.Time // when a person's bucket was, or will be, empty of calls
}

// admit counts one call of a person, unless it comes too early.
func (p *pace) admit(person string, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.free == nil {
		p.free = map[string]time.Time{}
	}
	if len(p.free) >= maxPaced {
		for who, at := range p.free {
			if at.Before(now) {
				delete(p.free, who)
			}
		}
	}
	at := p.free[person]
	if at.Before(now) {
		at = now
	}
	if at.Sub(now) > paceBurst*paceEvery {
		return false
	}
	p.free[person] = at.Add(paceEvery)
	return true
}
