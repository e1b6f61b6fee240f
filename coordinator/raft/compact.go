package raft

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	hraft "github.com/hashicorp/raft"
)

// errRemains says that entries which were dropped are still in a file.
var errRemains = errors.New("a file still holds entries that were dropped")

// removalFor is how long files may be read by others before they go.
const removalFor = 5 * time.Second

// Compact takes a snapshot and lets go of all entries and snapshots before it, so that no file of this disk holds anything that the state no
// longer does. A follower that is behind gets the snapshot.
func (n *Node) Compact() error {
	n.compacting.Lock()
	defer n.compacting.Unlock()
	err := n.compact()
	if err == nil {
		err = n.dropSnapshots(1)
	}
	if err != nil {
		return fmt.Errorf("raft: compact: %w", err)
	}
	return nil
}

// compact drops entries twice where later ones came into the same file meanwhile: then a new file is begun between.
func (n *Node) compact() error {
	last, err := n.log.LastIndex()
	if err != nil {
		return err
	}
	if err := n.snapshot(); err != nil {
		return err
	}
	if remains, err := n.segments.from(last); err != nil || !remains {
		return err
	}
	n.segments.turn(true)
	defer n.segments.turn(false)
	if err := n.append(); err != nil {
		return fmt.Errorf("begin a new file: %w", err)
	}
	if err := n.snapshot(); err != nil {
		return err
	}
	for end := time.Now().Add(removalFor); ; time.Sleep(retryEvery) {
		remains, err := n.segments.from(last)
		if err != nil || !remains {
			return err
		}
		if time.Now().After(end) {
			return errRemains
		}
	}
}

// snapshot takes a snapshot and drops all entries before it.
func (n *Node) snapshot() error {
	usual := n.raft.ReloadableConfig()
	bare := usual
	bare.TrailingLogs = 0
	if err := n.raft.ReloadConfig(bare); err != nil {
		return err
	}
	err := n.raft.Snapshot().Error()
	if errors.Is(err, hraft.ErrNothingNewToSnapshot) {
		err = nil
	}
	return errors.Join(err, n.raft.ReloadConfig(usual))
}

// append adds an entry of no commands, and returns when it was applied here.
func (n *Node) append() error {
	ctx, cancel := context.WithTimeout(context.Background(), callLimit)
	defer cancel()
	return n.atLeader(ctx, func(ctx context.Context, leader string) error {
		if leader == "" {
			index, err := n.appendHere(ctx)
			if err != nil {
				return err
			}
			return n.wait(ctx, index)
		}
		b, err := n.calls.do(ctx, leader, callAppend, nil)
		if err != nil {
			return err
		}
		if len(b) != 8 {
			return fmt.Errorf("index of %d bytes", len(b))
		}
		return n.wait(ctx, binary.BigEndian.Uint64(b))
	})
}

func (n *Node) appendHere(ctx context.Context) (uint64, error) {
	f := n.raft.Apply(n.machine.seal(joinEntry(nil)), enqueueTimeout(ctx))
	if err := f.Error(); err != nil {
		return 0, fmt.Errorf("%w: %w", errElsewhere, err)
	}
	return f.Index(), nil
}

// dropSnapshots removes all but the newest ones.
func (n *Node) dropSnapshots(keep int) error {
	kept, err := n.snapshots.List() // newest first
	if err != nil {
		return err
	}
	for _, old := range kept[min(keep, len(kept)):] {
		if err := os.RemoveAll(filepath.Join(n.cfg.DataDir, "snapshots", old.ID)); err != nil {
			return err
		}
	}
	return nil
}

// dropTornSnapshots removes what a death in the middle of a snapshot left, which the library never looks at again.
func dropTornSnapshots(dir string) error {
	torn, err := filepath.Glob(filepath.Join(dir, "snapshots", "*.tmp"))
	if err != nil {
		return err
	}
	for _, name := range torn {
		if err := os.RemoveAll(name); err != nil {
			return err
		}
	}
	return nil
}
