package raft

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	hraft "github.com/hashicorp/raft"

	"concordat.dev/protocol/key"
)

// ErrRemoved says that this node no longer belongs to the cluster whose state it holds.
var ErrRemoved = errors.New("this coordinator was removed from its ledger and decides nothing any more: ask another one")

// errWait says that a change of the cluster has to wait.
var errWait = errors.New("the change of coordinators waits")

// caughtUp is how many commands a node may lack when it becomes a voter.
const caughtUp = 64

// Carry takes one step towards a cluster of exactly these voters, if this node leads, and says whether there was none to take. The address of
// a voter counts only while it is new. Each step is committed before it returns, so there are never two at once:
//
// a new node is first a learner without a vote, so that it can't hold up decisions while it has no state, and a voter when it has caught up;
// a leader that has to go hands leadership over first; none is removed while a majority of those that remain does not answer.
func (n *Node) Carry(ctx context.Context, voters []Voter) (done bool, err error) {
	if !n.IsLeader() {
		return false, nil
	}
	if len(voters) == 0 {
		return false, errors.New("raft: carry out a change: no voters")
	}
	servers := n.servers()
	for _, v := range voters {
		i := slices.IndexFunc(servers, func(s hraft.Server) bool { return string(s.ID) == v.Key.String() })
		switch {
		case i < 0:
			err = n.raft.AddNonvoter(hraft.ServerID(v.Key.String()), joinAddress(v.Key, v.Address), 0, n.cfg.Timeout*10).Error()
		case servers[i].Suffrage != hraft.Voter:
			err = n.promote(ctx, servers[i])
		default:
			continue
		}
		return false, carried("add", v.Key.String(), err)
	}
	for _, s := range servers {
		if !slices.ContainsFunc(voters, func(v Voter) bool { return v.Key.String() == string(s.ID) }) {
			return false, carried("remove", string(s.ID), n.remove(ctx, s))
		}
	}
	return true, nil
}

func carried(step, node string, err error) error {
	if err != nil {
		return fmt.Errorf("raft: %s %s: %w", step, node, err)
	}
	return nil
}

// promote gives a learner its vote once it has nearly all that this leader has.
func (n *Node) promote(ctx context.Context, s hraft.Server) error {
	b, err := n.calls.ask(ctx, string(s.Address), callApplied)
	if err != nil {
		return fmt.Errorf("%w: it does not answer: %w", errWait, err)
	}
	if len(b) != 8 {
		return fmt.Errorf("applied index of %d bytes", len(b))
	}
	if applied, _ := n.machine.at(); binary.BigEndian.Uint64(b)+caughtUp < applied {
		return fmt.Errorf("%w: it holds %d of %d commands", errWait, binary.BigEndian.Uint64(b), applied)
	}
	return n.raft.AddVoter(s.ID, s.Address, 0, n.cfg.Timeout*10).Error()
}

func (n *Node) remove(ctx context.Context, s hraft.Server) error {
	if string(s.ID) == n.ID() {
		return n.raft.LeadershipTransfer().Error() // the next leader removes this one
	}
	if s.Suffrage == hraft.Voter {
		voters, answering := 0, 0
		for _, other := range n.Nodes(ctx) {
			if other.Voter && other.ID != string(s.ID) {
				voters++
				if other.Reachable {
					answering++
				}
			}
		}
		if 2*answering <= voters {
			return fmt.Errorf("%w: only %d of the %d that would remain answer", errWait, answering, voters)
		}
	}
	return n.raft.RemoveServer(s.ID, 0, n.cfg.Timeout*10).Error()
}

// Removed says that this node belongs to no cluster any more: its own configuration says so, or a member of the cluster did.
func (n *Node) Removed() bool {
	if n.layer.removed.Load() {
		return true
	}
	servers := n.servers()
	return len(servers) > 0 && !slices.ContainsFunc(servers, func(s hraft.Server) bool { return string(s.ID) == n.ID() })
}

// HasState says that this node belongs, or belonged, to a cluster.
func (n *Node) HasState() bool { return n.layer.hasState.Load() }

// Key is this node's own key.
func (n *Node) Key() key.Public { return n.key.Public() }
