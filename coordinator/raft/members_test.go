package raft_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"concordat.dev/coordinator/raft"
)

// join starts a node that waits to be called.
func (c *cluster) join() int {
	c.t.Helper()
	i := len(c.nodes)
	c.voters = append(c.voters, raft.Voter{Name: fmt.Sprint("c", i), Address: ports(c.t, 1)[0]})
	c.nodes, c.states = append(c.nodes, nil), append(c.states, nil)
	c.startJoining(i)
	return i
}

func (c *cluster) startJoining(i int) {
	c.t.Helper()
	cfg := c.config(i)
	cfg.Voters = nil
	c.states[i] = &words{}
	n, err := raft.Open(cfg, c.states[i])
	must(c.t, err)
	c.nodes[i] = n
}

// carry has whoever leads change the cluster until it is of these nodes.
func (c *cluster) carry(nodes ...int) {
	c.t.Helper()
	var want []raft.Voter
	for _, i := range nodes {
		want = append(want, raft.Voter{Key: c.nodes[i].Key(), Address: c.voters[i].Address})
	}
	for ctx := c.ctx(); ; {
		for _, n := range c.nodes {
			if n == nil {
				continue
			}
			if done, err := n.Carry(ctx, want); done && err == nil {
				return
			}
		}
		if ctx.Err() != nil {
			c.t.Fatal("the change was not carried out")
		}
	}
}

// TestJoinAndRemoveWhileCommandsRun joins two nodes and removes two of the first, the leader among them, while every node that is asked takes
// commands; none that was acknowledged is lost.
func TestJoinAndRemoveWhileCommandsRun(t *testing.T) {
	c := newCluster(t)
	first := c.leader()
	ctx, stop := context.WithCancel(context.Background())
	var mu sync.Mutex
	var acked []string
	var clients sync.WaitGroup
	begun := make(chan struct{}, 2)
	keep := c.nodes[(first+1)%3]
	for client := range 2 {
		clients.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				word := fmt.Sprint(client, "-", i)
				_, err := keep.Apply(c.ctx(), []byte(word)) // not the client's context: what was sent is waited for
				mu.Lock()
				if err == nil {
					acked = append(acked, word)
				} else {
					t.Errorf("%s: %v", word, err)
				}
				mu.Unlock()
				if i == 10 {
					begun <- struct{}{}
				}
			}
		})
	}
	<-begun
	<-begun
	four, five := c.join(), c.join()
	c.carry(0, 1, 2, four)
	c.carry(0, 1, 2, four, five)
	gone := []int{first, (first + 2) % 3}
	left := []int{(first + 1) % 3, four, five}
	c.carry(left...)
	stop()
	clients.Wait()
	for _, i := range left {
		must(t, c.nodes[i].Sync(c.ctx()))
		have := c.states[i].all()
		for _, word := range acked {
			if !slices.Contains(have, word) {
				t.Errorf("node %d lacks %s, which was acknowledged", i, word)
			}
		}
	}
	if n := len(c.nodes[five].Nodes(c.ctx())); n != 3 {
		t.Errorf("%d nodes, want 3", n)
	}
	for _, i := range gone {
		if _, err := c.nodes[i].Apply(c.ctx(), []byte("late")); !errors.Is(err, raft.ErrRemoved) {
			t.Errorf("removed node %d: %v", i, err)
		}
		if err := c.nodes[i].Sync(c.ctx()); !errors.Is(err, raft.ErrRemoved) || !c.nodes[i].Removed() {
			t.Errorf("removed node %d reads: %v", i, err)
		}
	}
	c.stop(gone[0]) // it does not forget
	c.start(gone[0])
	if err := c.nodes[gone[0]].Sync(c.ctx()); !errors.Is(err, raft.ErrRemoved) {
		t.Errorf("removed, and started again: %v", err)
	}
}

// TestLostDiskIsReplaced empties the disk of a voter that is not the first: it says so, is removed under its old key and joins under a new one.
func TestLostDiskIsReplaced(t *testing.T) {
	c := newCluster(t)
	_, err := c.nodes[0].Apply(c.ctx(), []byte("w"))
	must(t, err)
	c.stop(2)
	must(t, os.RemoveAll(filepath.Join(c.dir, "c2")))
	c.start(2)
	if err := c.nodes[2].Await(c.ctx()); !errors.Is(err, raft.ErrLost) {
		t.Errorf("an empty disk: %v", err)
	}
	c.stop(2)
	c.carry(0, 1)
	c.startJoining(2)
	c.carry(0, 1, 2)
	must(t, c.nodes[2].Await(c.ctx()))
	must(t, c.nodes[2].Sync(c.ctx()))
	if got := c.states[2].all(); !slices.Equal(got, []string{"w"}) {
		t.Errorf("it holds %v", got)
	}
}

// TestNoRemovalWithoutAMajorityThatAnswers keeps a voter while the one that would remain is down.
func TestNoRemovalWithoutAMajorityThatAnswers(t *testing.T) {
	c := newCluster(t)
	leader := c.leader()
	down, other := (leader+1)%3, (leader+2)%3
	want := []raft.Voter{{Key: c.nodes[leader].Key()}, {Key: c.nodes[down].Key()}}
	c.stop(down)
	if done, err := c.nodes[leader].Carry(c.ctx(), want); done || err == nil {
		t.Errorf("removed a voter that answers while one that stays is down: %t %v", done, err)
	}
	if n := len(c.nodes[leader].Nodes(c.ctx())); n != 3 {
		t.Errorf("%d voters are left, %d is gone", n, other)
	}
}

// recovered opens the disk of a stopped node and has the cluster go on from it.
func (c *cluster) recovered(i int, backup *words, voters ...int) error {
	c.t.Helper()
	cfg := c.config(i)
	m := &words{}
	d, err := raft.OpenDisk(raft.DiskConfig{DataDir: cfg.DataDir, Root: cfg.Root, Logger: zerolog.Nop()}, m)
	must(c.t, err)
	defer func() { must(c.t, d.Close()) }()
	if backup != nil {
		write, err := backup.Snapshot()
		must(c.t, err)
		file := filepath.Join(c.t.TempDir(), "backup")
		out, err := os.Create(file) //nolint:gosec // of the test
		must(c.t, err)
		must(c.t, write(out))
		_, err = out.Seek(0, 0)
		must(c.t, err)
		if err := d.Restore(out); err != nil {
			return err
		}
		must(c.t, out.Close())
	}
	var to []raft.Voter
	for _, v := range voters {
		to = append(to, raft.Voter{Key: d.Key(), Address: c.voters[v].Address})
		if v != i {
			to[len(to)-1].Key = c.nodes[v].Key()
		}
	}
	return d.Recover(to, func() error {
		m.List = append(m.List, "recovered")
		return nil
	})
}

func TestRecoveryFromTheSurvivor(t *testing.T) {
	c := newCluster(t)
	for i := range 20 {
		_, err := c.nodes[i%3].Apply(c.ctx(), fmt.Append(nil, "w", i))
		must(t, err)
	}
	for _, n := range c.nodes {
		must(t, n.Sync(c.ctx()))
	}
	for i := range 3 {
		c.stop(i)
	}
	for _, i := range []int{1, 2} {
		must(t, os.RemoveAll(filepath.Join(c.dir, c.voters[i].Name)))
		c.startJoining(i)
	}
	must(t, c.recovered(0, nil, 0, 1, 2))
	c.startJoining(0)
	for i, n := range c.nodes {
		must(t, n.Sync(c.ctx()))
		if got := c.states[i].all(); len(got) != 21 || got[20] != "recovered" {
			t.Errorf("node %d holds %v", i, got)
		}
	}
	_, err := c.nodes[2].Apply(c.ctx(), []byte("more"))
	must(t, err)
	c.stop(0)
	if err := c.recovered(0, &words{Last: 9}, 0); err == nil {
		t.Error("a disk that holds a state took a backup")
	}
}

func TestRecoveryFromABackup(t *testing.T) {
	c := &cluster{t: t, mesh: newCluster(t).mesh, dir: t.TempDir()}
	t.Cleanup(func() {
		for i := range c.nodes {
			c.stop(i)
		}
	})
	for range 3 {
		c.join()
	}
	c.stop(0)
	if err := c.recovered(0, nil, 0, 1, 2); err == nil {
		t.Error("an empty disk began a cluster of nothing")
	}
	must(t, c.recovered(0, &words{Last: 4000, List: []string{"kept"}}, 0, 1, 2))
	c.startJoining(0)
	_, err := c.nodes[1].Apply(c.ctx(), []byte("more"))
	must(t, err)
	for i, n := range c.nodes {
		must(t, n.Sync(c.ctx()))
		if got := c.states[i].all(); !slices.Equal(got, []string{"kept", "recovered", "more"}) {
			t.Errorf("node %d holds %v", i, got)
		}
	}
}

// TestNodesOfTwoLedgersDoNotMeet has a node of another lineage called by a cluster that was told to take it.
func TestNodesOfTwoLedgersDoNotMeet(t *testing.T) {
	c := newCluster(t)
	c.stop(2)
	cfg := c.config(2)
	cfg.Lineage = func() string { return "b" }
	c.states[2] = &words{}
	var err error
	c.nodes[2], err = raft.Open(cfg, c.states[2])
	must(t, err)
	_, err = c.nodes[0].Apply(c.ctx(), []byte("w")) // no lineage yet: they meet
	must(t, err)
	must(t, c.nodes[2].Sync(c.ctx()))
	for i := range 2 {
		c.stop(i)
		cfg := c.config(i)
		cfg.Lineage = func() string { return "a" }
		c.states[i] = &words{}
		c.nodes[i], err = raft.Open(cfg, c.states[i])
		must(t, err)
	}
	_, err = c.nodes[0].Apply(c.ctx(), []byte("x"))
	must(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := c.nodes[2].Sync(ctx); !errors.Is(err, raft.ErrNoLeader) || slices.Contains(c.states[2].all(), "x") {
		t.Errorf("a node of another ledger followed: %v %v", err, c.states[2].all())
	}
}
