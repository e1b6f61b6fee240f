package raft

import (
	"crypto/tls"
	"strings"
	"testing"

	"concordat.dev/protocol/key"
)

type noTLS struct{}

func (noTLS) ServerTLS(string) *tls.Config { return &tls.Config{MinVersion: tls.VersionTLS13} }
func (noTLS) ClientTLS(string) *tls.Config { return &tls.Config{MinVersion: tls.VersionTLS13} }

// TestAnnouncedAddress listens somewhere else than where others reach a node, as in a container: they are told the latter.
func TestAnnouncedAddress(t *testing.T) {
	k, err := key.Generate()
	if err != nil {
		t.Fatal(err)
	}
	for announce, want := range map[string]string{"coordinator-1:7100": "@coordinator-1:7100", "": "@127.0.0.1:"} {
		l, err := listen(Config{Address: "127.0.0.1:0", Announce: announce, TLS: noTLS{}}, k, false)
		if err != nil {
			t.Fatal(err)
		}
		if told := l.Addr().String(); !strings.Contains(told, want) {
			t.Errorf("announced as %q, others are told %s", announce, told)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}
