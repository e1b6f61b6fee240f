package authn

import (
	"sync"
	"time"

	"concordat.dev/protocol/key"
)

// memory holds the ids of accepted requests for as long as their time would be accepted again. It is bounded: beyond its limits new
// requests are refused, never old ones forgotten.
type memory struct {
	mu      sync.Mutex
	window  time.Duration
	most    int // in all
	mostKey int // of one key
	latest  time.Time
	count   int
	// generations holds what was accepted in the current window and the two before, by number of the window.
	generations map[int64]*generation
}

type generation struct {
	seen map[[nonceSize]byte]struct{}
	keys map[key.Public]int
}

func newMemory(window time.Duration, most, mostKey int) *memory {
	return &memory{window: window, most: most, mostKey: mostKey, generations: map[int64]*generation{}}
}

// add notes a request and fails with ErrReplay or ErrFull. A clock that goes back does not make it forget.
func (m *memory) add(now time.Time, k key.Public, id [nonceSize]byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now.After(m.latest) {
		m.latest = now
	}
	current := m.latest.UnixNano() / int64(m.window)
	ofKey := 0
	for n, g := range m.generations {
		// A request is accepted from window before its time to window after it: what was accepted 2 windows ago may come again.
		if n < current-2 {
			m.count -= len(g.seen)
			delete(m.generations, n)
			continue
		}
		if _, again := g.seen[id]; again {
			return ErrReplay
		}
		ofKey += g.keys[k]
	}
	if m.count >= m.most || ofKey >= m.mostKey {
		return ErrFull
	}
	g := m.generations[current]
	if g == nil {
		g = &generation{seen: map[[nonceSize]byte]struct{}{}, keys: map[key.Public]int{}}
		m.generations[current] = g
	}
	g.seen[id] = struct{}{}
	g.keys[k]++
	m.count++
	return nil
}
