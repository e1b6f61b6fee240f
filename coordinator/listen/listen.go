// Package listen bounds what strangers cost a coordinator before anybody knows who they are: connections, and the time that a body takes to arrive.
//
// Invariant: connections to one listener never take the file descriptors that the ledger needs; a request whose body stalls ends.
//
// Sees: ciphertext, metadata
package listen

import (
	"net"
	"sync"
)

// bounded is a listener with so many connections at most. One more is closed at once, so that its client tries another coordinator.
type bounded struct {
	net.Listener
	free chan struct{}
}

// Bounded has a listener hold so many connections at most.
func Bounded(l net.Listener, limit int) net.Listener {
	return bounded{l, make(chan struct{}, limit)}
}

// Accept implements net.Listener.
func (b bounded) Accept() (net.Conn, error) {
	for {
		c, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case b.free <- struct{}{}:
			return &counted{Conn: c, done: sync.OnceFunc(func() { <-b.free })}, nil
		default:
			_ = c.Close() // it has not been spoken to
		}
	}
}

type counted struct {
	net.Conn
	done func()
}

// Close implements net.Conn.
func (c *counted) Close() error {
	defer c.done()
	return c.Conn.Close()
}
