package raft

import (
	"context"
	"fmt"
	"io"
	"sync"

	hraft "github.com/hashicorp/raft"

	"concordat.dev/coordinator/seal"
)

// Machine is what is replicated. All methods but those of the snapshot run one after another.
type Machine interface {
	// Apply changes the state by the commands of one entry, in order, and tells each one's result. It must be deterministic and apply a
	// command that comes twice once. It panics on what it can't decode: going on would let replicas drift apart.
	Apply(index uint64, commands [][]byte) []Result
	// Snapshot captures the state now; the returned function writes it, while Apply may go on.
	Snapshot() (func(io.Writer) error, error)
	// Restore replaces the state and tells the index of the last command that it holds.
	Restore(io.Reader) (index uint64, err error)
}

// Result gives the bytes of what a command came to. It is called where somebody waits for them, at any time later.
type Result = func() []byte

const entryContext = "entry"

// machine seals what leaves towards the disk, and counts what was applied.
type machine struct {
	inner   Machine
	entries seal.Key
	snaps   seal.Key

	formed func() // called when this node learns that it belongs to a cluster

	mu      sync.Mutex
	applied uint64 // index of the last command
	moved   chan struct{}
}

func newMachine(m Machine, root seal.Root) *machine {
	return &machine{inner: m, entries: root.Key(seal.Raft), snaps: root.Key(seal.Snap), moved: make(chan struct{})}
}

func (m *machine) seal(entry []byte) []byte { return m.entries.Seal(entry, entryContext) }

// Apply implements raft.FSM.
func (m *machine) Apply(l *hraft.Log) any {
	entry, err := m.entries.Open(l.Data, entryContext)
	if err != nil {
		panic(fmt.Sprintf("raft: entry %d: %v", l.Index, err))
	}
	commands, err := splitEntry(entry)
	if err != nil {
		panic(fmt.Sprintf("raft: entry %d: %v", l.Index, err))
	}
	results := m.inner.Apply(l.Index, commands)
	m.advance(l.Index)
	return results
}

// StoreConfiguration implements raft.ConfigurationStore.
func (m *machine) StoreConfiguration(uint64, hraft.Configuration) { m.formed() }

// Snapshot implements raft.FSM.
func (m *machine) Snapshot() (hraft.FSMSnapshot, error) {
	write, err := m.inner.Snapshot()
	return snapshot{write: write, key: m.snaps}, err
}

// Restore implements raft.FSM.
func (m *machine) Restore(r io.ReadCloser) error {
	defer func() { _ = r.Close() }()
	plain, err := m.snaps.Reader(r)
	if err != nil {
		return fmt.Errorf("raft: restore: %w", err)
	}
	index, err := m.inner.Restore(plain)
	if err != nil {
		return fmt.Errorf("raft: restore: %w", err)
	}
	m.formed()
	m.advance(index)
	return nil
}

func (m *machine) advance(index uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.applied = index
	close(m.moved)
	m.moved = make(chan struct{})
}

func (m *machine) at() (uint64, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.applied, m.moved
}

// wait returns when the machine holds the command of this index.
func (m *machine) wait(ctx context.Context, index uint64) error {
	for {
		applied, moved := m.at()
		if applied >= index {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

type snapshot struct {
	write func(io.Writer) error
	key   seal.Key
}

// Persist implements raft.FSMSnapshot.
func (s snapshot) Persist(sink hraft.SnapshotSink) error {
	err := func() error {
		w, err := s.key.Writer(sink)
		if err != nil {
			return err
		}
		if err := s.write(w); err != nil {
			return err
		}
		return w.Close()
	}()
	if err != nil {
		_ = sink.Cancel()
		return fmt.Errorf("raft: snapshot: %w", err)
	}
	return sink.Close()
}

// Release implements raft.FSMSnapshot.
func (snapshot) Release() {}
