package raft_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"concordat.dev/coordinator/raft"
)

// Commands that come at once share entries, each is applied once, and each caller is told what its own came to.
func TestCommandsShareEntries(t *testing.T) {
	c := newCluster(t)
	_, err := c.nodes[0].Apply(c.ctx(), []byte("first"))
	must(t, err)
	leader := c.leader()
	const callers, each = 32, 8
	var running sync.WaitGroup
	told := make([][]string, callers)
	for i := range callers {
		running.Go(func() {
			for k := range each {
				n := c.nodes[leader]
				if i%4 == 0 { // some over a follower
					n = c.nodes[(leader+1)%3]
				}
				got, err := n.Apply(c.ctx(), fmt.Append(nil, "word ", i, " ", k))
				if err != nil {
					t.Error(err)
				}
				told[i] = append(told[i], string(got))
			}
		})
	}
	running.Wait()
	words, entries := c.states[leader].all(), c.states[leader].count()
	if len(words) != 1+callers*each {
		t.Fatalf("%d words, want %d", len(words), 1+callers*each)
	}
	if entries >= len(words)/2 {
		t.Errorf("%d commands had %d entries", len(words), entries)
	}
	for i := range callers {
		for k := range each {
			if at := slices.Index(words, fmt.Sprint("word ", i, " ", k)); fmt.Sprint(at) != told[i][k] {
				t.Errorf("word %d of caller %d is at %d, told %s", k, i, at, told[i][k])
			}
		}
	}
}

// Whoever stops waiting is told at once; the command may still be applied, once.
func TestCallerThatGoesAway(t *testing.T) {
	c := newCluster(t)
	_, err := c.nodes[0].Apply(c.ctx(), []byte("first"))
	must(t, err)
	leader := c.leader()
	for i := range c.nodes { // without the others nothing is committed
		if i != leader {
			c.stop(i)
		}
	}
	ctx, cancel := context.WithCancel(c.ctx())
	var running sync.WaitGroup
	for i := range 8 {
		running.Go(func() {
			if _, err := c.nodes[leader].Apply(ctx, fmt.Append(nil, "word ", i)); !errors.Is(err, raft.ErrNoLeader) {
				t.Errorf("want ErrNoLeader: %v", err)
			}
		})
	}
	cancel()
	running.Wait()
	if words := c.states[leader].all(); len(words) != 1 {
		t.Errorf("applied without a majority: %q", words)
	}
}
