package raft

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	hraft "github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/fs"
	"github.com/rs/zerolog"

	"concordat.dev/coordinator/seal"
	"concordat.dev/protocol/key"
)

// Disk is a replica's folder while no replica runs on it: for a recovery, which begins a new cluster from what one disk holds. Nobody asks a
// majority then, so the caller must know that those who own the ledger agreed.
type Disk struct {
	cfg    DiskConfig
	key    key.Private
	log    *wal.WAL
	snaps  hraft.SnapshotStore
	fsm    *machine
	empty  bool
	index  uint64 // of the last entry, or of the last command of a backup
	term   uint64
	logger zerolog.Logger
}

// DiskConfig is where a disk is. Address is that of the replica.
type DiskConfig struct {
	DataDir string
	Root    seal.Root
	Logger  zerolog.Logger
}

// loading is a machine into which the library's recovery reads a disk. Instead of a snapshot, which would end the recovery, it says that all
// has been read.
type loading struct {
	*machine
	done bool
}

var errLoaded = errors.New("loaded, nothing was changed")

// Snapshot implements raft.FSM.
func (l *loading) Snapshot() (hraft.FSMSnapshot, error) {
	l.done = true
	return nil, errLoaded
}

// OpenDisk opens a folder and reads all that it holds into the machine: also entries that were never committed, since this node can't know.
func OpenDisk(cfg DiskConfig, m Machine) (*Disk, error) {
	d := &Disk{cfg: cfg, fsm: newMachine(m, cfg.Root), logger: cfg.Logger}
	d.fsm.formed = func() {}
	if err := d.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("raft: open disk %s: %w", cfg.DataDir, err), d.Close())
	}
	return d, nil
}

func (d *Disk) open() error {
	dir := filepath.Join(d.cfg.DataDir, "raft")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	var err error
	if d.key, err = loadNodeKey(filepath.Join(d.cfg.DataDir, "node.key"), d.cfg.Root.Key(seal.Node)); err != nil {
		return err
	}
	logger := raftLogger(d.logger)
	if d.log, err = wal.Open(dir, wal.WithSegmentSize(segmentSize), wal.WithLogger(logger), wal.WithSegmentFiler(newSegments(dir, fs.New()))); err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	if d.snaps, err = hraft.NewFileSnapshotStoreWithLogger(d.cfg.DataDir, keptSnapshots, logger); err != nil {
		return fmt.Errorf("open snapshots: %w", err)
	}
	return d.load()
}

// load reads snapshot and log into the machine.
func (d *Disk) load() error {
	last, err := d.log.LastIndex()
	if err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	kept, err := d.snaps.List() // newest first
	if err != nil {
		return fmt.Errorf("read snapshots: %w", err)
	}
	if len(kept) > 0 {
		d.index, d.term = kept[0].Index, kept[0].Term
	}
	if last > d.index {
		var entry hraft.Log
		if err := d.log.GetLog(last, &entry); err != nil {
			return fmt.Errorf("read log: %w", err)
		}
		d.index, d.term = entry.Index, entry.Term
	}
	if d.empty = d.index == 0; d.empty {
		return nil
	}
	conf := hraft.DefaultConfig()
	conf.LocalID, conf.Logger, conf.NoLegacyTelemetry = hraft.ServerID(d.key.Public().String()), raftLogger(d.logger), true
	_, transport := hraft.NewInmemTransport("")
	all := &loading{machine: d.fsm}
	err = hraft.RecoverCluster(conf, all, d.log, d.log, d.snaps, transport, configuration([]Voter{{Key: d.key.Public(), Address: "self"}}))
	if !all.done {
		return fmt.Errorf("read state: %w", err)
	}
	return nil
}

// Key is the node's own key.
func (d *Disk) Key() key.Public { return d.key.Public() }

// Empty says that the folder holds no state of a cluster.
func (d *Disk) Empty() bool { return d.empty }

// Restore replaces the machine's state by that of a backup, in clear. Only an empty disk takes one.
func (d *Disk) Restore(r io.Reader) error {
	if !d.empty {
		return errors.New("raft: restore: the folder holds a state already: empty it, or recover from it without a backup")
	}
	index, err := d.fsm.inner.Restore(r)
	if err != nil {
		return fmt.Errorf("raft: restore: %w", err)
	}
	d.index, d.term = index, 1
	return nil
}

// Recover makes this disk the beginning of a new cluster of these voters, with the machine's state after change. An error of change leaves the
// disk as it was. All other voters must have empty folders.
func (d *Disk) Recover(voters []Voter, change func() error) error {
	if d.index == 0 {
		return errors.New("raft: recover: there is nothing to go on from: bring a backup")
	}
	if err := change(); err != nil {
		return fmt.Errorf("raft: recover: %w", err)
	}
	if err := d.replace(configuration(voters)); err != nil {
		return fmt.Errorf("raft: recover: %w", err)
	}
	return nil
}

// replace puts the machine's state on the disk as a snapshot, in place of all that is there (as the library's own recovery does).
func (d *Disk) replace(c hraft.Configuration) error {
	s, err := d.fsm.Snapshot()
	if err != nil {
		return err
	}
	_, transport := hraft.NewInmemTransport("")
	sink, err := d.snaps.Create(hraft.SnapshotVersionMax, d.index, d.term, c, 1, transport)
	if err != nil {
		return err
	}
	if err := s.Persist(sink); err != nil { // closes the sink
		return err
	}
	first, err := d.log.FirstIndex()
	if err != nil {
		return err
	}
	last, err := d.log.LastIndex()
	if err != nil || last == 0 {
		return err
	}
	return d.log.DeleteRange(first, last)
}

func configuration(voters []Voter) hraft.Configuration {
	var c hraft.Configuration
	for _, v := range voters {
		c.Servers = append(c.Servers, hraft.Server{ID: hraft.ServerID(v.Key.String()), Address: joinAddress(v.Key, v.Address)})
	}
	return c
}

// Close lets go of the folder, for a replica to run on it.
func (d *Disk) Close() error {
	if d.log == nil {
		return nil
	}
	return d.log.Close()
}
