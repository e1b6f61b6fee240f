package raft

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	hraft "github.com/hashicorp/raft"
)

// Compact takes a snapshot and lets go of all entries and snapshots before it, so that this disk holds nothing that the state no longer
// does. A follower that is behind gets the snapshot.
func (n *Node) Compact() error {
	n.compacting.Lock()
	defer n.compacting.Unlock()
	usual := n.raft.ReloadableConfig()
	bare := usual
	bare.TrailingLogs = 0
	if err := n.raft.ReloadConfig(bare); err != nil {
		return fmt.Errorf("raft: compact: %w", err)
	}
	err := n.raft.Snapshot().Error()
	if errors.Is(err, hraft.ErrNothingNewToSnapshot) {
		err = nil
	}
	if err = errors.Join(err, n.raft.ReloadConfig(usual)); err != nil {
		return fmt.Errorf("raft: compact: %w", err)
	}
	kept, err := n.snapshots.List() // newest first
	if err != nil {
		return fmt.Errorf("raft: compact: %w", err)
	}
	for _, old := range kept[min(1, len(kept)):] {
		if err := os.RemoveAll(filepath.Join(n.cfg.DataDir, "snapshots", old.ID)); err != nil {
			return fmt.Errorf("raft: compact: %w", err)
		}
	}
	return nil
}
