// Package raft replicates the state machine among the coordinators: hashicorp/raft and raft-wal over mutual TLS between marbles, with
// every entry and snapshot encrypted before it reaches a disk. Any node takes commands; followers forward them to the leader.
//
// Invariant: what Apply returned is durable on a majority, and applied by the local machine. After Sync, the local machine holds everything that any node acknowledged
// before Sync was called. A peer is let in by its marble certificate and by its node key, which is among the voters.
//
// Sees: metadata
package raft

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	hraft "github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/types"
	"github.com/rs/zerolog"

	"concordat.dev/coordinator/seal"
	"concordat.dev/protocol/key"
)

// Config is what a node needs. All fields but Timeout, Files and those that are functions are required.
type Config struct {
	Name    string
	Address string // host:port to listen on
	DataDir string // belongs to this process alone
	Voters  []Voter
	Root    seal.Root
	TLS     TLS
	Logger  zerolog.Logger
	Timeout time.Duration // of heartbeats and elections; 0 means 1 s
	// Announce is the host:port at which the other voters reach Address; empty where that is itself what they know.
	Announce string
	// Lineage tells which ledger, after which recovery, the machine holds, empty before there is one; nil where nothing tells.
	Lineage func() string
	// Clock is this node's, the host's where it is nil; Floor is the machine's time, before which nothing is proposed.
	Clock, Floor func() time.Time
	// Workers is the host:port at which workers reach this node, which it tells the others (Node.Workers); empty where it has none.
	Workers string
	// Files are those of the log, on a disk that a test makes slow or full; the host's where they are nil.
	Files types.VFS
}

// Voter is a coordinator of the cluster. The key is learnt at the first start when it is zero.
type Voter struct {
	Name    string
	Address string
	Key     key.Public
}

// Node is one replica.
type Node struct {
	cfg        Config
	key        key.Private
	raft       *hraft.Raft
	log        *wal.WAL
	segments   *segments
	layer      *layer
	machine    *machine
	calls      *calls
	snapshots  hraft.SnapshotStore
	compacting sync.Mutex
	group      group
	clocks     clocks
	places     places
	leaders    leaders

	barrier atomic.Uint64 // the term in which everything of earlier terms was applied
}

const (
	segmentSize     = 16 << 20
	keptSnapshots   = 2
	snapshotEvery   = 4096 // entries
	trailingEntries = 1024
	poolSize        = 8
	commitTimeout   = 10 * time.Millisecond // how soon followers learn of a commit when nothing follows it; less costs idle CPU
	entryTimeout    = 30 * time.Second      // of one message of entries, the largest ones to a slow disk included; elections do not wait for it
	dialTimeout     = 2 * time.Second
	probeTimeout    = 500 * time.Millisecond

	// messagesInFlight is how many messages of entries a leader has under way to one follower. With more than one the library pipelines them, and
	// its sender can wait for good after a follower refused one (a disk that failed once is enough): that follower gets no more entries from this
	// leader, which can't be stopped either (hashicorp/raft issue 612, in 1.7.3). Commands share entries, and entries messages, so little is lost.
	messagesInFlight = 1
)

// Open starts the replica. A new one does nothing until Bootstrap, or until the leader of a cluster that knows it calls.
func Open(cfg Config, m Machine) (*Node, error) {
	if cfg.Timeout == 0 {
		cfg.Timeout = time.Second
	}
	n := &Node{cfg: cfg, machine: newMachine(m, cfg.Root)}
	if err := n.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("raft: open %s: %w", cfg.Name, err), n.Close())
	}
	return n, nil
}

func (n *Node) open() error {
	dir := filepath.Join(n.cfg.DataDir, "raft")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	var err error
	if n.key, err = loadNodeKey(filepath.Join(n.cfg.DataDir, "node.key"), n.cfg.Root.Key(seal.Node)); err != nil {
		return err
	}
	logger := raftLogger(n.cfg.Logger)
	files := n.cfg.Files
	if files == nil {
		files = fs.New()
	}
	n.segments = newSegments(dir, files)
	if n.log, err = wal.Open(dir, wal.WithSegmentSize(segmentSize), wal.WithLogger(logger), wal.WithSegmentFiler(n.segments)); err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	n.snapshots, err = hraft.NewFileSnapshotStoreWithLogger(n.cfg.DataDir, keptSnapshots, logger)
	if err != nil {
		return fmt.Errorf("open snapshots: %w", err)
	}
	if err := dropTornSnapshots(n.cfg.DataDir); err != nil {
		return fmt.Errorf("open snapshots: %w", err)
	}
	hasState, err := hraft.HasExistingState(n.log, n.log, n.snapshots)
	if err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	if n.layer, err = listen(n.cfg, n.key, hasState); err != nil {
		return err
	}
	n.calls = newCalls(n.layer)
	n.machine.formed = func() { n.layer.hasState.Store(true) }
	transport := hraft.NewNetworkTransportWithConfig(&hraft.NetworkTransportConfig{
		Stream: n.layer, MaxPool: poolSize, Timeout: entryTimeout, Logger: logger, MaxRPCsInFlight: messagesInFlight,
	})
	if n.raft, err = hraft.NewRaft(n.raftConfig(logger), n.machine, n.log, n.log, n.snapshots, transport); err != nil {
		return errors.Join(fmt.Errorf("start: %w", err), transport.Close())
	}
	n.layer.serve(view{known: n.known, led: func() bool { return n.Leader() != "" }, answer: n.answer})
	go n.askClocks()
	go n.leaders.watch(n.raft, n.layer.done)
	return nil
}

func (n *Node) raftConfig(logger hclog.Logger) *hraft.Config {
	c := hraft.DefaultConfig()
	c.LocalID = hraft.ServerID(n.ID())
	c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLeaseTimeout = n.cfg.Timeout, n.cfg.Timeout, n.cfg.Timeout/2
	c.CommitTimeout = commitTimeout
	c.SnapshotThreshold, c.TrailingLogs = snapshotEvery, trailingEntries
	c.NoLegacyTelemetry = true
	c.ShutdownOnRemove = false // whoever is removed goes on to say so
	c.Logger = logger
	return c
}

// ID is this node's key in text.
func (n *Node) ID() string { return n.key.Public().String() }

// known says whether a key belongs to the cluster; before there is one, any marble may introduce itself.
func (n *Node) known(k key.Public) bool {
	servers := n.servers()
	return len(servers) == 0 || slices.ContainsFunc(servers, func(s hraft.Server) bool { return string(s.ID) == k.String() })
}

func (n *Node) servers() []hraft.Server {
	f := n.raft.GetConfiguration()
	if f.Error() != nil {
		return nil
	}
	return f.Configuration().Servers
}

// Status tells of one node of the cluster.
type Status struct {
	ID        string
	Address   string
	Voter     bool
	Leader    bool
	Reachable bool // it answered from here just now
}

// Nodes lists the cluster as this node knows it, and asks each of the others whether it is there.
func (n *Node) Nodes(ctx context.Context) []Status {
	_, leader := n.raft.LeaderWithID()
	servers := n.servers()
	out := make([]Status, len(servers))
	var asked sync.WaitGroup
	for i, s := range servers {
		_, address := splitAddress(s.Address)
		out[i] = Status{ID: string(s.ID), Address: address, Voter: s.Suffrage == hraft.Voter, Leader: s.ID == leader}
		asked.Go(func() { out[i].Reachable = string(s.ID) == n.ID() || n.reaches(ctx, out[i]) })
	}
	asked.Wait()
	return out
}

func (n *Node) reaches(ctx context.Context, s Status) bool {
	want, err := key.ParsePublic(s.ID)
	if err != nil {
		return false
	}
	conn, _, err := n.layer.connect(ctx, s.Address, want, forHello, probeTimeout)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// Leader is the id of the leader, empty while there is none.
func (n *Node) Leader() string {
	_, id := n.raft.LeaderWithID()
	return string(id)
}

// IsLeader says whether this node believes to lead.
func (n *Node) IsLeader() bool { return n.raft.State() == hraft.Leader }

// Close stops the replica. What was acknowledged is on disk already.
func (n *Node) Close() error {
	var errs []error
	if n.raft != nil {
		errs = append(errs, n.raft.Shutdown().Error())
	}
	if n.layer != nil {
		errs = append(errs, n.layer.Close())
	}
	if n.calls != nil {
		n.calls.close()
	}
	if n.log != nil {
		errs = append(errs, n.log.Close())
	}
	return errors.Join(errs...)
}

func raftLogger(l zerolog.Logger) hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{Name: "raft", Level: hclog.Warn, Output: lines{l}, DisableTime: true})
}

// lines passes the library's log lines on; they hold terms, ids and addresses only.
type lines struct{ log zerolog.Logger }

func (w lines) Write(p []byte) (int, error) {
	w.log.Debug().Bytes("line", p[:max(0, len(p)-1)]).Msg("raft")
	return len(p), nil
}
