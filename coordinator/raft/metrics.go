package raft

import (
	hraft "github.com/hashicorp/raft"

	"concordat.dev/observe"
)

// Metrics tells of this replica. Entries are commands of all kinds: their number says nothing of rows.
func (n *Node) Metrics() *observe.Collector {
	return observe.NewCollector([]observe.Metric{
		{Name: "concordat_raft_term", Kind: observe.Gauge, Help: "Term of this coordinator: it rises with each election."},
		{Name: "concordat_raft_commit_index", Kind: observe.Gauge, Help: "Last entry that this coordinator knows to be on a majority's disks."},
		{Name: "concordat_raft_applied_index", Kind: observe.Gauge, Help: "Last entry that this coordinator's state holds."},
		{Name: "concordat_raft_last_index", Kind: observe.Gauge, Help: "Last entry on this coordinator's disk."},
		{Name: "concordat_raft_is_leader", Kind: observe.Gauge, Help: "1 on the coordinator that leads, 0 on the others."},
		{Name: "concordat_raft_has_leader", Kind: observe.Gauge, Help: "1 if this coordinator knows of a leader: without one nothing can be asked, signed or uploaded."},
		{Name: "concordat_raft_voters", Kind: observe.Gauge, Help: "Coordinators that vote, as this one knows them."},
		{Name: "concordat_raft_removed", Kind: observe.Gauge, Help: "1 if organisations signed that this coordinator is none of them any more."},
	}, func(emit observe.Emit) {
		emit("concordat_raft_term", float64(n.raft.CurrentTerm()))
		emit("concordat_raft_commit_index", float64(n.raft.CommitIndex()))
		emit("concordat_raft_applied_index", float64(n.raft.AppliedIndex()))
		emit("concordat_raft_last_index", float64(n.raft.LastIndex()))
		emit("concordat_raft_is_leader", truth(n.IsLeader()))
		emit("concordat_raft_has_leader", truth(n.Leader() != ""))
		emit("concordat_raft_removed", truth(n.Removed()))
		voters := 0
		for _, s := range n.servers() {
			if s.Suffrage == hraft.Voter {
				voters++
			}
		}
		emit("concordat_raft_voters", float64(voters))
	})
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
