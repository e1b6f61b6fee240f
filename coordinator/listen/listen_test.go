package listen_test

import (
	"io"
	"net"
	"testing"

	"concordat.dev/coordinator/listen"
)

// One connection more than the limit is closed at once, and its place is free again when another one ends.
func TestBounded(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := listen.Bounded(inner, 1)
	defer func() { _ = l.Close() }()
	accepted := make(chan net.Conn)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				close(accepted)
				return
			}
			accepted <- c
		}
	}()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	dial()
	first := <-accepted
	if _, err := dial().Read(make([]byte, 1)); err != io.EOF { //nolint:errorlint // Read of net gives it as it is
		t.Errorf("one more: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	_ = first.Close() // closing twice frees one place
	dial()
	second := <-accepted
	if _, err := dial().Read(make([]byte, 1)); err != io.EOF { //nolint:errorlint // as above
		t.Errorf("one more after one ended: %v", err)
	}
	_ = second.Close()
}
