package raft_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft-wal/types"
	"github.com/rs/zerolog"

	"concordat.dev/coordinator/raft"
	"concordat.dev/coordinator/seal"
	"concordat.dev/protocol/key"
	"concordat.dev/protocol/marble"
	"concordat.dev/protocol/marble/marbletest"
)

// words is a machine that remembers each word once, in order.
type words struct {
	mu   sync.Mutex
	Last uint64   `json:"last"`
	List []string `json:"list"`

	entries int // applied since it was made
}

func (w *words) Apply(index uint64, commands [][]byte) (out []raft.Result) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.Last = index
	w.entries++
	for _, command := range commands {
		at := slices.Index(w.List, string(command))
		if at < 0 {
			at = len(w.List)
			w.List = append(w.List, string(command))
		}
		out = append(out, func() []byte { return fmt.Append(nil, at) })
	}
	return out
}

func (w *words) Snapshot() (func(io.Writer) error, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	b, err := json.Marshal(w)
	return func(out io.Writer) error { _, err := out.Write(b); return err }, err
}

func (w *words) Restore(r io.Reader) (uint64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	err := json.NewDecoder(r).Decode(w)
	return w.Last, err
}

func (w *words) all() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.List)
}

func (w *words) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.entries
}

type cluster struct {
	silence time.Duration // after which others stand for election
	t       *testing.T
	mesh    marbletest.Mesh
	dir     string
	voters  []raft.Voter
	nodes   []*raft.Node
	states  []*words
	disk    types.VFS // of nodes that start from now on, where it is set
}

func ports(t *testing.T, n int) []string {
	t.Helper()
	var out []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		defer func() { must(t, l.Close()) }()
		out = append(out, l.Addr().String())
	}
	return out
}

func newCluster(t *testing.T) *cluster { return newClusterOf(t, election) }

// patience bounds what has to happen some time: nothing is measured by it.
const patience = 2 * time.Minute

// newClusterOf has elections after a silence of its own.
func newClusterOf(t *testing.T, silence time.Duration) *cluster {
	t.Helper()
	c := &cluster{t: t, silence: silence, mesh: marbletest.New(t), dir: t.TempDir(), nodes: make([]*raft.Node, 3), states: make([]*words, 3)}
	for i, address := range ports(t, 3) {
		c.voters = append(c.voters, raft.Voter{Name: fmt.Sprint("c", i), Address: address})
	}
	for i := range c.nodes {
		c.start(i)
	}
	must(t, c.nodes[1].Bootstrap(c.ctx())) // not the first: nothing
	must(t, c.nodes[0].Bootstrap(c.ctx()))
	t.Cleanup(func() {
		for i := range c.nodes {
			c.stop(i)
		}
	})
	return c
}

func (c *cluster) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	c.t.Cleanup(cancel)
	return ctx
}

func (c *cluster) config(i int) raft.Config {
	id := c.mesh.Identity(c.t, marble.Coordinator)
	root, err := seal.NewRoot(id.Secret)
	must(c.t, err)
	return raft.Config{
		Name: c.voters[i].Name, Address: c.voters[i].Address, DataDir: filepath.Join(c.dir, c.voters[i].Name),
		Voters: c.voters, Root: root, TLS: id, Logger: zerolog.Nop(), Timeout: cmp.Or(c.silence, election),
		Files: c.disk,
	}
}

func (c *cluster) start(i int) {
	c.t.Helper()
	c.states[i] = &words{}
	n, err := raft.Open(c.config(i), c.states[i])
	must(c.t, err)
	c.nodes[i] = n
}

func (c *cluster) stop(i int) {
	if c.nodes[i] != nil {
		must(c.t, c.nodes[i].Close())
		c.nodes[i] = nil
	}
}

// leader waits, through a read that needs one, and tells which node leads.
func (c *cluster) leader() int {
	c.t.Helper()
	for {
		for i, n := range c.nodes {
			if n == nil {
				continue
			}
			must(c.t, n.Sync(c.ctx()))
			if n.IsLeader() {
				return i
			}
		}
	}
}

func TestEveryNodeTakesCommandsAndReads(t *testing.T) {
	c := newCluster(t)
	for i, n := range c.nodes {
		got, err := n.Apply(c.ctx(), fmt.Append(nil, "word", i))
		must(t, err)
		if string(got) != fmt.Sprint(i) {
			t.Errorf("node %d: result %s", i, got)
		}
		if own := c.states[i].all(); len(own) != i+1 {
			t.Errorf("node %d does not hold its own command: %v", i, own)
		}
		for j, other := range c.nodes {
			must(t, other.Sync(c.ctx()))
			if list := c.states[j].all(); len(list) != i+1 {
				t.Errorf("node %d does not hold what node %d acknowledged: %v", j, i, list)
			}
		}
	}
	down := (c.leader() + 1) % 3
	c.stop(down)
	for _, s := range c.nodes[c.leader()].Nodes(c.ctx()) {
		if want := s.Address != c.voters[down].Address; s.Reachable != want || !s.Voter {
			t.Errorf("%+v: reachable should be %t", s, want)
		}
	}
}

func TestKilledLeaderLosesNothing(t *testing.T) {
	c := newCluster(t)
	var acked []string
	apply := func(word string, n *raft.Node) {
		_, err := n.Apply(c.ctx(), []byte(word))
		must(t, err)
		acked = append(acked, word)
	}
	for i := range 20 {
		apply(fmt.Sprint("before ", i), c.nodes[i%3])
	}
	down := c.leader()
	c.stop(down)
	for i := range 20 {
		apply(fmt.Sprint("without ", i), c.nodes[(down+1+i%2)%3])
	}
	c.start(down)
	apply("again", c.nodes[down])
	for i, n := range c.nodes {
		must(t, n.Sync(c.ctx()))
		if got := c.states[i].all(); !slices.Equal(got, acked) {
			t.Errorf("node %d holds %v\nacknowledged %v", i, got, acked)
		}
	}
}

func TestRestartFromSnapshot(t *testing.T) {
	c := newCluster(t)
	for i := range 10 {
		_, err := c.nodes[0].Apply(c.ctx(), fmt.Append(nil, "w", i))
		must(t, err)
	}
	for _, n := range c.nodes {
		must(t, n.Sync(c.ctx()))
		must(t, n.Compact())
	}
	for i := range c.nodes {
		c.stop(i)
	}
	for i := range c.nodes {
		c.start(i)
	}
	for i, n := range c.nodes {
		must(t, n.Sync(c.ctx()))
		if got := c.states[i].all(); len(got) != 10 {
			t.Errorf("node %d restored %v", i, got)
		}
	}
}

func TestDisksHoldNoPlaintext(t *testing.T) {
	c := newCluster(t)
	const sentinel = "SELECT diagnosis FROM hospital"
	_, err := c.nodes[0].Apply(c.ctx(), []byte(sentinel))
	must(t, err)
	for _, n := range c.nodes {
		must(t, n.Sync(c.ctx()))
		must(t, n.Compact())
	}
	for i := range c.nodes {
		c.stop(i)
	}
	files, snapshots := 0, 0
	must(t, filepath.WalkDir(c.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		if strings.HasSuffix(path, "state.bin") {
			snapshots++
		}
		b, err := os.ReadFile(path) //nolint:gosec // test files
		if bytes.Contains(b, []byte("diagnosis")) {
			t.Errorf("%s holds plaintext", path)
		}
		return err
	}))
	if files < 9 || snapshots != 3 {
		t.Errorf("looked into %d files, %d snapshots", files, snapshots)
	}
}

func TestStrangersAreRefused(t *testing.T) {
	c := newCluster(t)
	_, err := c.nodes[0].Apply(c.ctx(), []byte("w"))
	must(t, err)
	leader := c.voters[c.leader()].Address

	t.Run("a worker", func(t *testing.T) {
		cfg := c.mesh.Identity(t, marble.Worker).ClientTLS(marble.Coordinator)
		refusedAfterHandshake(t, leader, cfg)
	})
	t.Run("another mesh", func(t *testing.T) {
		other := marbletest.New(t).Identity(t, marble.Coordinator)
		cfg := other.ClientTLS(marble.Coordinator)
		cfg.VerifyConnection = nil // the stranger does not mind whom it talks to
		refusedAfterHandshake(t, leader, cfg)
	})
	t.Run("a genuine coordinator that is no voter", func(t *testing.T) {
		cfg := c.config(0)
		cfg.Name, cfg.Address, cfg.DataDir = "c9", "127.0.0.1:0", t.TempDir()
		cfg.Voters = append([]raft.Voter{{Name: "c9", Address: "127.0.0.1:0"}}, c.voters...)
		n, err := raft.Open(cfg, &words{})
		must(t, err)
		defer func() { must(t, n.Close()) }()
		if err := n.Bootstrap(c.ctx()); !errors.Is(err, raft.ErrLost) {
			t.Errorf("a second cluster over the nodes of the first: %v", err)
		}
	})
}

func TestEmptiedFirstVoterDoesNotStartAfresh(t *testing.T) {
	c := newCluster(t)
	_, err := c.nodes[1].Apply(c.ctx(), []byte("w"))
	must(t, err)
	c.stop(0)
	must(t, os.RemoveAll(filepath.Join(c.dir, "c0")))
	c.start(0)
	if err := c.nodes[0].Bootstrap(c.ctx()); !errors.Is(err, raft.ErrLost) {
		t.Errorf("an empty disk began a new cluster: %v", err)
	}
}

func TestNodeKeyOfAnotherMesh(t *testing.T) {
	c := newCluster(t)
	c.stop(0)
	cfg := c.config(0)
	other := marbletest.New(t).Identity(t, marble.Coordinator)
	var err error
	cfg.Root, err = seal.NewRoot(other.Secret)
	must(t, err)
	if _, err := raft.Open(cfg, &words{}); !errors.Is(err, seal.ErrOpen) {
		t.Errorf("a node key of another mesh: %v", err)
	}
}

func TestConfiguredKeysAreChecked(t *testing.T) {
	c := &cluster{t: t, mesh: marbletest.New(t), dir: t.TempDir()}
	wrong, err := key.Generate()
	must(t, err)
	c.voters = []raft.Voter{{Name: "c0", Address: "127.0.0.1:0", Key: wrong.Public()}}
	n, err := raft.Open(c.config(0), &words{})
	must(t, err)
	defer func() { must(t, n.Close()) }()
	if err := n.Bootstrap(c.ctx()); err == nil {
		t.Error("bootstrapped with a key that is not the node's")
	}
}

func TestCommandTooLarge(t *testing.T) {
	c := newClusterOf(t, 5*time.Second) // no election is wanted: a machine with much to do works on 22 MiB for a while
	for i, n := range c.nodes {
		if _, err := n.Apply(c.ctx(), make([]byte, 32<<20+1)); !errors.Is(err, raft.ErrTooLarge) {
			t.Errorf("node %d: %v", i, err)
		}
	}
	large := bytes.Repeat([]byte("x"), 22<<20) // the largest request of a person, in base64
	if _, err := c.nodes[(c.leader()+1)%3].Apply(c.ctx(), large); err != nil {
		t.Errorf("22 MiB: %v", err)
	}
}

func TestNoMajorityNoAnswer(t *testing.T) {
	c := newCluster(t)
	down := c.leader()
	c.stop(down)
	c.stop((down + 1) % 3)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	last := c.nodes[(down+2)%3]
	if _, err := last.Apply(ctx, []byte("w")); !errors.Is(err, raft.ErrNoLeader) {
		t.Errorf("applied without a majority: %v", err)
	}
	if err := last.Sync(ctx); !errors.Is(err, raft.ErrNoLeader) {
		t.Errorf("read without a majority: %v", err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
