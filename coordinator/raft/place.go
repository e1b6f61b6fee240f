package raft

import (
	"context"
	"slices"
	"sync"

	hraft "github.com/hashicorp/raft"
)

// places is where workers reach the other nodes, as these told.
type places struct {
	mu    sync.Mutex
	told  map[hraft.ServerID]string
	round int
}

// placeEvery is how many rounds of asking for clocks go by before a node that told its place is asked again.
const placeEvery = 20

// Workers is where workers reach the nodes of the cluster, as far as these told; this node comes first.
func (n *Node) Workers() []string {
	var out []string
	if n.cfg.Workers != "" {
		out = append(out, n.cfg.Workers)
	}
	n.places.mu.Lock()
	defer n.places.mu.Unlock()
	for _, s := range n.servers() {
		if at := n.places.told[s.ID]; at != "" && !slices.Contains(out, at) {
			out = append(out, at)
		}
	}
	return out
}

// readPlaces asks those who have not told, and now and then all. What a node told that does not answer now still counts.
func (n *Node) readPlaces() {
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	known, again := n.places.next()
	fresh := map[hraft.ServerID]string{}
	var mu sync.Mutex
	var asked sync.WaitGroup
	for _, s := range n.servers() {
		if string(s.ID) == n.ID() {
			continue
		}
		mu.Lock()
		fresh[s.ID] = known[s.ID]
		mu.Unlock()
		if known[s.ID] != "" && !again {
			continue
		}
		asked.Go(func() {
			if b, err := n.calls.ask(ctx, string(s.Address), callPlace); err == nil {
				mu.Lock()
				defer mu.Unlock()
				fresh[s.ID] = string(b)
			}
		})
	}
	asked.Wait()
	n.places.mu.Lock()
	defer n.places.mu.Unlock()
	n.places.told = fresh
}

// next is what is known, which nobody changes any more, and whether all are to be asked again.
func (p *places) next() (known map[hraft.ServerID]string, again bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.round++
	return p.told, p.round%placeEvery == 0
}
