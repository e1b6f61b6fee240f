// Package linearize_test runs three replicas of the coordinators' state machine under clients and faults, and checks by porcupine that what
// clients saw is what one machine that never fails would have told them, one call after another.
package linearize_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"math"
	mathrand "math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"concordat.dev/coordinator/log"
	"concordat.dev/coordinator/raft"
	"concordat.dev/coordinator/state"
	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/checkpoint"
	"concordat.dev/protocol/key"
)

const clients = 6

// runFor is how long clients and faults go on: CONCORDAT_SOAK (of `make soak`), or a while that every run of the tests can bear.
func runFor(t *testing.T) time.Duration {
	text := os.Getenv("CONCORDAT_SOAK")
	if text == "" {
		return 20 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("CONCORDAT_SOAK: %v", err)
	}
	return d
}

func TestLinearizable(t *testing.T) {
	c := newCluster(t)
	k, err := key.Generate()
	must(t, err)
	signer, err := log.NewSigner(ledger, k)
	must(t, err)
	h := &history{cluster: c, began: time.Now(), signer: signer, paid: map[int][2]int64{}, notes: map[int64]string{}}
	ctx, cancel := context.WithTimeout(t.Context(), runFor(t))
	defer cancel()
	var running sync.WaitGroup
	for id := range clients {
		running.Go(func() { h.client(ctx, id) })
	}
	suffered := c.suffer(ctx)
	running.Wait()
	c.settled()
	h.alike()
	h.resolve()
	h.audit()
	h.judge()
	h.enough()
	t.Logf("%v of clients, %v in all; faults: %v", runFor(t), time.Since(h.began).Round(time.Second), suffered)
}

// enough wants each kind of call to have succeeded, and tells what was checked.
func (h *history) enough() {
	tally, amended := map[action]map[verdict]int{}, false
	for _, op := range h.operations {
		c, o := op.Input.(call), op.Output.(outcome)
		if tally[c.do] == nil {
			tally[c.do] = map[verdict]int{}
		}
		tally[c.do][o.verdict]++
		amended = amended || c.do == reserve && c.version == 2 && o.verdict == done
	}
	if !amended {
		h.t.Error("no reservation was ever acknowledged under an amended manifest")
	}
	for _, do := range []action{propose, approve, pause, resume, reserve, record, balance, manifest, size} {
		if tally[do][done] == 0 {
			h.t.Errorf("no %s was ever acknowledged: %v", do, tally[do])
		}
	}
	h.t.Logf("%d operations in %d rooms; per call, done 0, refused 1, short 2, unclear 3: %v", len(h.operations), len(h.rooms), tally)
	h.t.Logf("without an answer %d, of which %d had happened by the log", h.unclear, h.happened)
}

// suffer lets one fault follow another until the context ends, and heals each; it counts them by name.
func (c *cluster) suffer(ctx context.Context) map[string]int {
	faults := []struct {
		name        string
		begin, heal func(node int)
	}{
		{"leader stopped", func(int) {}, nil}, // the node is chosen below
		{"isolated", func(i int) { c.net.set(cut, around(i)...) }, func(i int) { c.net.set(open, around(i)...) }},
		{"deaf", func(i int) { c.net.set(cut, into(i)...) }, func(i int) { c.net.set(open, into(i)...) }},
		{"mute", func(i int) { c.net.set(cut, from(i)...) }, func(i int) { c.net.set(open, from(i)...) }},
		{"traffic waits", func(i int) { c.net.set(held, around(i)...) }, func(i int) { c.net.set(open, around(i)...) }},
		{"paused", c.pause, c.resume},
		{"disk slow", func(i int) { c.disks[i].set(slow) }, func(i int) { c.disks[i].set(sound) }},
		{"disk full", func(i int) { c.disks[i].set(full) }, func(i int) { c.disks[i].set(sound) }},
		{"disk fails", func(i int) { c.disks[i].set(failing) }, func(i int) { c.disks[i].set(sound) }},
		{"connections broken", func(i int) { c.net.set(cut, around(i)...); c.net.set(open, around(i)...) }, func(int) {}},
		{"clock jumped", func(i int) { c.clocks[i].Store(mathrand.Int64N(int64(20*time.Hour)) - int64(10*time.Hour)) }, func(i int) { c.clocks[i].Store(0) }},
		{"compacted", c.compact, func(int) {}},
	}
	faults[0].begin, faults[0].heal = c.stop, c.start
	count := map[string]int{}
	for n := mathrand.IntN(len(faults)); ; n++ {
		f, node := faults[n%len(faults)], c.leader()
		if n%len(faults) > 0 && mathrand.IntN(2) == 0 {
			node = mathrand.IntN(nodes)
		}
		if !pass(ctx, 300*time.Millisecond+mathrand.N(400*time.Millisecond)) {
			return count
		}
		count[f.name]++
		f.begin(node)
		more := pass(ctx, 300*time.Millisecond+mathrand.N(900*time.Millisecond))
		f.heal(node)
		if !more {
			return count
		}
	}
}

// pause lets nothing leave a node, nor reach it or its disk.
func (c *cluster) pause(i int) {
	c.disks[i].set(stalled)
	c.net.set(held, around(i)...)
}

func (c *cluster) resume(i int) {
	c.disks[i].set(sound)
	c.net.set(open, around(i)...)
}

// compact lets a node restore from a snapshot when it starts next, and followers that are behind take one. It may need a leader, and there may be none
// for longer than it waits.
func (c *cluster) compact(i int) {
	if err := c.at(i).Compact(); err != nil && !errors.Is(err, raft.ErrNoLeader) {
		c.t.Errorf("compact node %d: %v", i, err)
	}
}

// pass lets time pass, and says whether the context has not ended.
func pass(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// alike wants all replicas to hold the same, bit by bit. A command that came late is waited for.
func (h *history) alike() {
	var held [nodes]canon.Digest
	for range 5 {
		h.settled()
		for i := range nodes {
			sum := sha256.New()
			write, err := h.at(i).state.Snapshot()
			must(h.t, err)
			must(h.t, write(sum))
			held[i] = canon.Of([sha256.Size]byte(sum.Sum(nil)))
		}
		if held[0] == held[1] && held[1] == held[2] {
			return
		}
	}
	h.t.Errorf("the replicas' states differ: %v", held)
}

// audit compares what every node holds in the end with what was acknowledged.
func (h *history) audit() {
	for i := range nodes {
		s := h.at(i).state
		h.checkpoint(s.Tree())
		if at := s.Basis().Time; time.Until(at) > time.Second { // one clock that jumped moves nothing
			h.t.Errorf("node %d: the state's time leads by %v", i, time.Until(at))
		}
		for _, l := range h.leaves {
			e, ok := s.Entry(l.index)
			first, _ := h.at(0).state.Entry(l.index)
			opens := bytes.Equal(e.Leaf, checkpoint.Leaf(e.Salt, e.Body)) && bytes.Equal(e.Leaf, first.Leaf)
			if !ok || !opens || e.Kind != l.kind || !strings.Contains(string(e.Body), l.query) {
				h.t.Errorf("node %d: the %s of %s, acknowledged as leaf %d, is not there: %+v", i, l.kind, l.query, l.index, e)
			}
		}
		for _, p := range h.rooms {
			h.balances(i, s, p)
		}
	}
}

// balances wants the accounts of a room to hold what its queries paid, at least what was acknowledged, and no more than the budget.
func (h *history) balances(node int, s *state.Machine, p *place) {
	var paid [2]int64
	for _, q := range s.Queries(p.name, math.MaxInt, func(*state.Query) bool { return true }) {
		for k, price := range q.Price {
			paid[k] += int64(price.Amount.Rho)
		}
	}
	for k, b := range s.Balances(p.name, "ann") {
		acknowledged := h.paid[p.number][k]
		if spent := int64(b.Spent.Rho); spent != paid[k] || acknowledged > spent || spent > limit {
			h.t.Errorf("node %d, %s: %s spent %d of %d, its queries paid %d, %d were acknowledged", node, p.name, b.Owner, spent, limit, paid[k], acknowledged)
		}
	}
}
