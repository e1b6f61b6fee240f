package server

import (
	"context"
	"time"

	"concordat.dev/coordinator/raft"
	"concordat.dev/coordinator/state"
	"concordat.dev/protocol/key"
)

// carryEvery is how often a change of coordinators that has to wait is tried again, and a node looks whether it was removed.
const carryEvery = 250 * time.Millisecond

// carry has the coordinators become those that organisations agreed to, while this node leads, and says when this node is none of them any more.
func (s *Server) carry(ctx context.Context) {
	tick := time.NewTicker(carryEvery)
	defer tick.Stop()
	removed, waits := false, ""
	for {
		if now := s.node.Removed(); now != removed {
			if removed = now; removed {
				s.log.Error().Err(raft.ErrRemoved).Str("node", s.node.ID()).Msg("this coordinator no longer belongs to its ledger")
			}
		}
		if m := s.state.Membership(); !m.Settled && s.node.IsLeader() {
			err := s.step(ctx, m)
			if err != nil && err.Error() != waits && ctx.Err() == nil { // once: it is tried again soon
				s.log.Warn().Err(err).Int("change", m.Number).Msg("a change of coordinators waits")
			}
			waits = ""
			if err != nil {
				waits = err.Error()
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// step brings the cluster one step towards what was agreed, and writes down when it is there.
func (s *Server) step(ctx context.Context, m state.Membership) error {
	var want []raft.Voter
	for _, v := range m.Voters {
		k, err := key.ParsePublic(v)
		if err != nil {
			return err
		}
		want = append(want, raft.Voter{Key: k, Address: m.Addresses[v]})
	}
	done, err := s.node.Carry(ctx, want)
	if err != nil || !done {
		return err
	}
	_, _, err = state.Submit(ctx, s.node, s.now(), state.SettleNodes{Number: m.Number})
	if err == nil {
		s.log.Info().Int("change", m.Number).Int("voters", len(want)).Msg("the coordinators are those that were agreed")
	}
	return err
}
