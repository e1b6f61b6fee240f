package linearize_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"concordat.dev/protocol/marble"
)

// How one node's connections to another fare.
type condition int

const (
	open condition = iota
	held           // what is sent waits, as when the peer's process is paused
	cut            // connections break, new ones are refused
)

// link is one direction of dialling: from a node to another.
type link struct{ from, to int }

// network is a TCP proxy before every node. It learns who dials from the server name, which nodes set to their own name.
type network struct {
	mu      sync.Mutex
	state   map[link]condition
	changed chan struct{}
	conns   map[net.Conn]link
}

func newNetwork() *network {
	return &network{state: map[link]condition{}, changed: make(chan struct{}), conns: map[net.Conn]link{}}
}

// set changes links, and breaks their connections where they are cut.
func (n *network) set(to condition, links ...link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, l := range links {
		n.state[l] = to
		for c, of := range n.conns {
			if of == l && to == cut {
				_ = c.Close()
			}
		}
	}
	close(n.changed)
	n.changed = make(chan struct{})
}

// serve forwards what comes to a listener to the node behind it.
func (n *network) serve(t testing.TB, front net.Listener, node int, back string) {
	t.Cleanup(func() { _ = front.Close() })
	go func() {
		for {
			c, err := front.Accept()
			if err != nil {
				return
			}
			go n.forward(c, node, back)
		}
	}()
}

func (n *network) forward(c net.Conn, node int, back string) {
	defer func() { _ = c.Close() }()
	name, hello := peek(c)
	l := link{from: nodeNamed(name), to: node}
	if !n.pass(l) {
		return
	}
	to, err := net.DialTimeout("tcp", back, time.Second)
	if err != nil {
		return
	}
	defer func() { _ = to.Close() }()
	n.mu.Lock()
	n.conns[c], n.conns[to] = l, l
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		delete(n.conns, c)
		delete(n.conns, to)
		n.mu.Unlock()
	}()
	if _, err := to.Write(hello); err != nil {
		return
	}
	done := make(chan struct{}, 2)
	go func() { n.pump(to, c, l); done <- struct{}{} }()
	go func() { n.pump(c, to, l); done <- struct{}{} }()
	<-done
}

func (n *network) pump(to, from net.Conn, l link) {
	b := make([]byte, 32<<10)
	for {
		got, err := from.Read(b)
		if err != nil || !n.pass(l) {
			return
		}
		if _, err := to.Write(b[:got]); err != nil {
			return
		}
	}
}

// pass waits while the link is held, and says whether it is open then.
func (n *network) pass(l link) bool {
	for {
		n.mu.Lock()
		state, changed := n.state[l], n.changed
		n.mu.Unlock()
		if state != held {
			return state == open
		}
		<-changed
	}
}

var errPeeked = errors.New("seen enough")

// peek reads a client's first message of TLS: the server name in it, and its bytes.
func peek(c net.Conn) (name string, hello []byte) {
	var seen bytes.Buffer
	_ = tls.Server(mute{c, io.TeeReader(c, &seen)}, &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			name = h.ServerName
			return nil, errPeeked
		},
	}).Handshake()
	return name, seen.Bytes()
}

// mute is a connection that only listens.
type mute struct {
	net.Conn
	r io.Reader
}

func (m mute) Read(b []byte) (int, error)  { return m.r.Read(b) }
func (m mute) Write(b []byte) (int, error) { return len(b), nil }

// named is an identity that tells its node's name to whom it dials.
type named struct {
	*marble.Identity
	name string
}

func (n named) ClientTLS(wantType string) *tls.Config {
	cfg := n.Identity.ClientTLS(wantType)
	cfg.ServerName = n.name
	return cfg
}
