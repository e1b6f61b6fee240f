package dispatch

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"
)

// fullAt is how many pieces of work make a worker full that did not tell.
const fullAt = 4

// take chooses a worker for work on datasets, none of those that were tried.
//
// Each set of datasets has a home among the workers that are there, so that all coordinators send queries of the same data to the same worker,
// and sets spread over all workers. The home gets the work, with three exceptions: a worker that has as much work as it runs at once is passed by
// while another has not; where another has the data loaded and the home does not yet, one piece of work has the home load it, and the others
// go where the data is; and work without datasets goes to whoever has least to do. So data moves to a worker that joins, one load at a time.
func (p *Pool) take(datasets []string, tried map[string]bool) (*entry, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []*entry
	for _, e := range p.alive() {
		if !tried[e.ID] {
			all = append(all, e)
		}
	}
	if len(all) == 0 {
		return nil, p.announce
	}
	best := home(all, datasets)
	if best.full() || len(datasets) == 0 || best.has(datasets) < len(datasets) && best.loads(datasets) {
		best = slices.MinFunc(all, func(a, b *entry) int {
			return cmp.Or(
				cmp.Compare(rank(a.full()), rank(b.full())),
				-cmp.Compare(a.has(datasets), b.has(datasets)),
				-cmp.Compare(rank(a.loads(datasets)), rank(b.loads(datasets))),
				cmp.Compare(a.busy(), b.busy()),
				cmp.Compare(a.ID, b.ID),
			)
		})
	}
	best.given++
	for _, d := range datasets {
		best.coming[d]++
	}
	return best, nil
}

// home is the worker of the highest hash of its id and the datasets (rendezvous hashing): when a worker joins or goes, only its own sets
// move.
func home(all []*entry, datasets []string) *entry {
	sorted := slices.Sorted(slices.Values(datasets))
	set := strings.Join(sorted, " ")
	weight := func(e *entry) uint64 {
		sum := sha256.Sum256([]byte(e.ID + "\n" + set))
		return binary.BigEndian.Uint64(sum[:])
	}
	return slices.MaxFunc(all, func(a, b *entry) int { return cmp.Or(cmp.Compare(weight(a), weight(b)), cmp.Compare(a.ID, b.ID)) })
}

// full says that more work would wait there.
func (e *entry) full() bool {
	slots := e.Slots
	if slots == 0 {
		slots = fullAt
	}
	return e.busy() >= slots
}

// busy is how much it has to do: what it told, or what was given to it from here since.
func (e *entry) busy() int { return max(e.Running+e.Queued, e.given) }

// has counts the datasets that it has loaded.
func (e *entry) has(datasets []string) int {
	n := 0
	for _, d := range datasets {
		if slices.Contains(e.Loaded, d) {
			n++
		}
	}
	return n
}

// loads says that work was given to it that has it load what it does not have of these.
func (e *entry) loads(datasets []string) bool {
	for _, d := range datasets {
		if !slices.Contains(e.Loaded, d) && e.coming[d] > 0 {
			return true
		}
	}
	return false
}

func rank(b bool) int {
	if b {
		return 1
	}
	return 0
}
