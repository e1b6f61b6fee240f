package raft_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// refusedAfterHandshake connects with a certificate that the server must not take. In TLS 1.3 a client learns of it at its first
// read only.
func refusedAfterHandshake(t *testing.T, address string, cfg *tls.Config) {
	t.Helper()
	raw, err := net.DialTimeout("tcp", address, 5*time.Second)
	must(t, err)
	defer func() { _ = raw.Close() }()
	must(t, raw.SetDeadline(time.Now().Add(5*time.Second)))
	conn := tls.Client(raw, cfg)
	if err := conn.Handshake(); err != nil {
		return
	}
	got, err := io.ReadAll(conn)
	if err == nil || len(got) > 0 {
		t.Errorf("the server talked to a stranger: %q, %v", got, err)
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		t.Errorf("the server kept a stranger waiting: %v", err)
	}
}
