package flight

import (
	"net"
	"sync"
)

// bounded is a listener with so many connections at most. One more is closed at once, so that its client tries another coordinator.
type bounded struct {
	net.Listener
	free chan struct{}
}

func newBounded(l net.Listener, limit int) net.Listener {
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
