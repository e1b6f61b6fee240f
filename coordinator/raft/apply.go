package raft

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	hraft "github.com/hashicorp/raft"
)

// ErrNoLeader says that the cluster could not be reached in time. The command may still have been, or yet be, applied.
var ErrNoLeader = errors.New("no leader of the coordinators answered in time")

// ErrTooLarge says that a command is larger than an entry may be.
var ErrTooLarge = errors.New("command is too large")

// errElsewhere says that this node does not lead, or stopped leading while it worked.
var errElsewhere = errors.New("not the leader")

const retryEvery = 50 * time.Millisecond

// Apply has a command committed and applied, here too, and returns the machine's result. It tries again while leaders change, until
// the context ends: the machine applies a command that comes twice once.
func (n *Node) Apply(ctx context.Context, command []byte) ([]byte, error) {
	if len(command) > maxCommand {
		return nil, fmt.Errorf("raft: apply: %w: %d bytes, at most %d", ErrTooLarge, len(command), maxCommand)
	}
	var reply []byte
	err := n.atLeader(ctx, func(ctx context.Context, leader string) (err error) {
		if leader == "" {
			reply, err = n.applyHere(ctx, command)
		} else {
			reply, err = n.calls.do(ctx, leader, callApply, command)
		}
		return err
	})
	if err == nil && len(reply) < 8 {
		err = fmt.Errorf("reply of %d bytes", len(reply))
	}
	if err == nil {
		err = n.wait(ctx, binary.BigEndian.Uint64(reply))
	}
	if err != nil {
		return nil, fmt.Errorf("raft: apply: %w", err)
	}
	return reply[8:], nil
}

// Sync returns when the local machine holds everything that was acknowledged before the call.
func (n *Node) Sync(ctx context.Context) error {
	err := n.atLeader(ctx, func(ctx context.Context, leader string) error {
		if leader == "" {
			_, err := n.readIndex()
			return err
		}
		b, err := n.calls.do(ctx, leader, callRead, nil)
		if err != nil {
			return err
		}
		if len(b) != 8 {
			return fmt.Errorf("read index of %d bytes", len(b))
		}
		return n.wait(ctx, binary.BigEndian.Uint64(b))
	})
	if err != nil {
		return fmt.Errorf("raft: sync: %w", err)
	}
	return nil
}

// wait returns when the machine holds the command of this index. A node that is removed meanwhile gets no more entries: whoever asked goes on
// with another one.
func (n *Node) wait(ctx context.Context, index uint64) error {
	for {
		short, cancel := context.WithTimeout(ctx, retryEvery)
		err := n.machine.wait(short, index)
		cancel()
		if err == nil || ctx.Err() != nil {
			return err
		}
		if n.Removed() {
			return ErrRemoved
		}
	}
}

// atLeader runs try with the leader's address, or "" when this node leads, until it works or the context ends. The context of a try at another
// node ends when that one no longer leads, as this node knows: who stands still keeps connections open and would be waited for in vain.
func (n *Node) atLeader(ctx context.Context, try func(ctx context.Context, leader string) error) error {
	timer := time.NewTimer(retryEvery)
	defer timer.Stop()
	last := errElsewhere
	for ; ; timer.Reset(retryEvery) {
		if n.Removed() {
			return ErrRemoved
		}
		changed := n.leaders.next()
		if listens, id := n.raft.LeaderWithID(); id != "" {
			leader, while, done := n.addressOf(id, listens), ctx, func() {}
			if leader != "" {
				while, done = until(ctx, changed)
			}
			last = try(while, leader)
			if done(); last == nil {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w: %w", ErrNoLeader, ctx.Err(), last)
		case <-n.layer.done:
			return fmt.Errorf("%w: this node stops", ErrNoLeader)
		case <-timer.C:
		}
	}
}

// addressOf is where the cluster's configuration has a node, "" for this one. What a leader tells of itself is where it listens, which
// need not be where others reach it.
func (n *Node) addressOf(id hraft.ServerID, listens hraft.ServerAddress) string {
	if string(id) == n.ID() {
		return ""
	}
	for _, s := range n.servers() {
		if s.ID == id {
			return string(s.Address)
		}
	}
	return string(listens)
}

// readIndex is the index of a command such that everything acknowledged before the call is at or below it, here applied already.
func (n *Node) readIndex() (uint64, error) {
	term := n.raft.CurrentTerm()
	if n.barrier.Load() != term {
		if err := n.raft.Barrier(n.cfg.Timeout).Error(); err != nil {
			return 0, fmt.Errorf("%w: %w", errElsewhere, err)
		}
		n.barrier.Store(term)
	}
	index, _ := n.machine.at()
	if err := n.raft.VerifyLeader().Error(); err != nil {
		return 0, fmt.Errorf("%w: %w", errElsewhere, err)
	}
	if n.raft.CurrentTerm() != term { // led, lost and led again: somebody else may have acknowledged between
		return 0, errElsewhere
	}
	return index, nil
}

// enqueueTimeout is how long raft may take to begin on an entry.
func enqueueTimeout(ctx context.Context) time.Duration {
	if end, ok := ctx.Deadline(); ok {
		return max(time.Millisecond, time.Until(end))
	}
	return 10 * time.Second
}
