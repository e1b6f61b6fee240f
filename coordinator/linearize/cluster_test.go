package linearize_test

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"concordat.dev/coordinator/raft"
	"concordat.dev/coordinator/seal"
	"concordat.dev/coordinator/state"
	"concordat.dev/policies/approval"
	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/key"
	"concordat.dev/protocol/marble"
	"concordat.dev/protocol/marble/marbletest"
)

const nodes = 3

var ledger = strings.Repeat("ab", 16)

// pins are what the manifests of all rooms have to name.
var pins = approval.Mesh{
	Mode: "simulation", MarbleRunManifest: canon.Sum([]byte("m")).String(), RootCertificate: canon.Sum([]byte("r")).String(),
	Coordinator: canon.Sum([]byte("c")).String(), Ledger: ledger,
}

// cluster is three replicas of the whole state machine that reach one another through the network only.
type cluster struct {
	t        *testing.T
	configs  [nodes]raft.Config
	net      *network
	founder  key.Private
	clocks   [nodes]atomic.Int64 // how far each node's clock is off, nanoseconds
	disks    [nodes]*disk
	mu       sync.RWMutex
	replicas [nodes]*replica
}

// replica is a node that runs.
type replica struct {
	*raft.Node
	state *state.Machine
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	founder, err := key.Generate()
	must(t, err)
	c := &cluster{t: t, net: newNetwork(), founder: founder}
	ca, dir := marbletest.New(t), t.TempDir()
	var voters []raft.Voter
	for i := range nodes {
		front, back := listen(t), listen(t)
		must(t, back.Close()) // the node's, when it starts
		voters = append(voters, raft.Voter{Name: nodeName(i), Address: front.Addr().String()})
		c.net.serve(t, front, i, back.Addr().String())
		id := ca.Identity(t, marble.Coordinator)
		root, err := seal.NewRoot(id.Secret)
		must(t, err)
		c.configs[i] = raft.Config{
			Name: nodeName(i), Address: back.Addr().String(), DataDir: filepath.Join(dir, nodeName(i)), Root: root,
			TLS: named{id, nodeName(i)}, Logger: zerolog.Nop(), Timeout: 300 * time.Millisecond,
			Clock: func() time.Time { return c.now(i) },
		}
		c.disks[i] = newDisk()
		c.configs[i].Files = c.disks[i]
	}
	for i := range nodes {
		c.configs[i].Voters = voters
		c.start(i)
	}
	t.Cleanup(func() {
		for i := range nodes {
			c.stop(i)
		}
		c.net.set(cut, allLinks()...)
	})
	must(t, c.at(0).Bootstrap(t.Context()))
	init := state.Init{Ledger: ledger, Founders: []string{founder.Public().String()}, Mesh: pins}
	_, _, err = state.Submit(t.Context(), c.at(0), c.now(0), init)
	must(t, err)
	return c
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	return l
}

func nodeName(i int) string { return fmt.Sprint("c", i) }

// nodeNamed is nodeName's inverse; strangers are -1, and their link is open.
func nodeNamed(name string) int {
	for i := range nodes {
		if nodeName(i) == name {
			return i
		}
	}
	return -1
}

func (c *cluster) start(i int) {
	m, config := state.New(), c.configs[i]
	config.Floor = func() time.Time { return m.Basis().Time }
	n, err := raft.Open(config, m)
	if err != nil {
		c.t.Errorf("start node %d: %v", i, err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.replicas[i] = &replica{Node: n, state: m}
}

func (c *cluster) stop(i int) {
	c.mu.Lock()
	r := c.replicas[i]
	c.replicas[i] = nil
	c.mu.Unlock()
	if r != nil {
		if err := r.Close(); err != nil {
			c.t.Errorf("stop node %d: %v", i, err)
		}
	}
}

// at is a node, nil while it is down.
func (c *cluster) at(i int) *replica {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.replicas[i]
}

// leader is a node that believes to lead, else any.
func (c *cluster) leader() int {
	for i := range nodes {
		if r := c.at(i); r != nil && r.IsLeader() {
			return i
		}
	}
	return 0
}

func (c *cluster) now(i int) time.Time { return time.Now().Add(time.Duration(c.clocks[i].Load())) }

// settled waits until every node holds all that was acknowledged.
func (c *cluster) settled() {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	for i := range nodes {
		must(c.t, c.at(i).Sync(ctx))
	}
}

// around are all links to and from a node.
func around(i int) []link {
	return append(into(i), from(i)...)
}

func into(i int) []link { return []link{{(i + 1) % nodes, i}, {(i + 2) % nodes, i}} }
func from(i int) []link { return []link{{i, (i + 1) % nodes}, {i, (i + 2) % nodes}} }

func allLinks() (out []link) {
	for i := range nodes {
		out = append(out, from(i)...)
	}
	return out
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
