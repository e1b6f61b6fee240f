package raft

import (
	"context"
	"encoding/binary"
	"slices"
	"sync"
	"time"

	hraft "github.com/hashicorp/raft"
)

// clocks is what this node knows of the others' clocks. What one told is carried on by this node's monotonic clock, so that a jump of its
// own shows in nothing but its own part.
type clocks struct {
	mu     sync.Mutex
	voters int
	self   bool // this node is one of them
	told   map[hraft.ServerID]reading
}

type reading struct{ told, at time.Time }

// How often the others are asked, and for how long their answer counts, in timeouts of elections.
const (
	clockEvery = 5
	clockFor   = 30
)

// Time is the time at which this node proposes commands: at least one of the clocks that are right shows it or more, as long as fewer than
// half of the voters' are wrong. One clock that leads moves nothing. It is never before the machine's time, which never goes back; where
// too few clocks are known it is that time, or the caller's when there is none yet.
func (n *Node) Time(now time.Time) time.Time {
	out, ok := n.clocks.agreed(n.clock(), n.cfg.Timeout*clockFor)
	var floor time.Time
	if n.cfg.Floor != nil {
		floor = n.cfg.Floor()
	}
	switch {
	case ok && out.After(floor):
		return out
	case floor.Unix() > 0:
		return floor
	case ok:
		return out
	default:
		return now
	}
}

func (n *Node) clock() time.Time {
	if n.cfg.Clock != nil {
		return n.cfg.Clock()
	}
	return time.Now()
}

// agreed is the latest time that more clocks than can be wrong show or have passed; false while a majority is not known.
func (c *clocks) agreed(own time.Time, fresh time.Duration) (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []time.Time
	if c.self {
		all = append(all, own)
	}
	for _, r := range c.told {
		if age := time.Since(r.at); age <= fresh {
			all = append(all, r.told.Add(age))
		}
	}
	if len(all)*2 <= c.voters {
		return time.Time{}, false
	}
	slices.SortFunc(all, time.Time.Compare)
	wrong := (c.voters - 1) / 2
	return all[len(all)-1-wrong].UTC(), true
}

// askClocks keeps the readings fresh until the node stops.
func (n *Node) askClocks() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-n.layer.done:
			return
		case <-timer.C:
		}
		n.readClocks()
		n.readPlaces()
		if n.clocks.known() {
			timer.Reset(n.cfg.Timeout * clockEvery)
		} else {
			timer.Reset(n.cfg.Timeout / 4)
		}
	}
}

func (c *clocks) known() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.voters > 0 && len(c.told) > 0 || c.voters == 1
}

func (n *Node) readClocks() {
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	var asked sync.WaitGroup
	var voters []hraft.ServerID
	readings := map[hraft.ServerID]reading{}
	var mu sync.Mutex
	for _, s := range n.servers() {
		if s.Suffrage != hraft.Voter {
			continue
		}
		voters = append(voters, s.ID)
		if string(s.ID) == n.ID() {
			continue
		}
		asked.Go(func() {
			b, err := n.calls.ask(ctx, string(s.Address), callClock)
			if err != nil || len(b) != 8 {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			// Taken after the answer, so that one that was held up lags.
			readings[s.ID] = reading{told: time.UnixMilli(int64(binary.BigEndian.Uint64(b))), at: time.Now()} //nolint:gosec // serveCall wrote it
		})
	}
	asked.Wait()
	n.clocks.take(voters, hraft.ServerID(n.ID()), readings)
}

// take keeps what is known of voters that did not answer this time.
func (c *clocks) take(voters []hraft.ServerID, self hraft.ServerID, fresh map[hraft.ServerID]reading) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.voters, c.self = len(voters), slices.Contains(voters, self)
	for id, r := range c.told {
		if _, answered := fresh[id]; !answered && slices.Contains(voters, id) {
			fresh[id] = r
		}
	}
	c.told = fresh
}
