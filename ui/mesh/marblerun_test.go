package mesh

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"concordat.dev/protocol/endorse"
	"concordat.dev/protocol/marble"
	"concordat.dev/protocol/marble/marbletest"
)

// startMarbleRun runs MarbleRun's own coordinator, without manifest.
func startMarbleRun(t *testing.T) *Mesh {
	t.Helper()
	m, err := prepare(Options{Home: t.TempDir(), Bin: binaries, Attached: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Down(); err != nil {
			t.Error(err)
		}
	})
	if err := m.measure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := m.startMarbleRun(t.Context()); err != nil {
		t.Fatal(err)
	}
	return m
}

func activate(t *testing.T, m *Mesh, marbleType string) (*marble.Identity, error) {
	t.Helper()
	s := m.State()
	return marble.Activate(t.Context(), marble.Config{
		CoordinatorAddr: s.MarbleRun.Marbles, ClientAddr: s.MarbleRun.Clients,
		Type: marbleType, DNSNames: []string{"localhost"}, UUIDFile: filepath.Join(t.TempDir(), "uuid"),
	})
}

func mustActivate(t *testing.T, m *Mesh, marbleType string) *marble.Identity {
	t.Helper()
	id, err := activate(t, m, marbleType)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// The whole way with MarbleRun's real coordinator: manifest, activation, TLS between marbles, and who is refused.
func TestMarblesOfARealMarbleRun(t *testing.T) {
	m := startMarbleRun(t)
	if _, err := activate(t, m, marble.Worker); !errors.Is(err, marble.ErrNoManifest) {
		t.Errorf("activated without manifest: %v", err)
	}
	if err := m.pin(t.Context()); err != nil {
		t.Fatal(err)
	}
	coordinator, worker, second := mustActivate(t, m, marble.Coordinator), mustActivate(t, m, marble.Worker), mustActivate(t, m, marble.Worker)
	if coordinator.RootDigest() != m.State().RootCertificate {
		t.Error("root of the identity is not the pinned one")
	}
	if string(coordinator.Secret) == string(worker.Secret) || string(worker.Secret) != string(second.Secret) {
		t.Error("want one secret a marble type")
	}
	if _, err := activate(t, m, "operator"); !errors.Is(err, marble.ErrNotAdmitted) {
		t.Errorf("activated as an unknown type: %v", err)
	}

	elsewhere := startMarbleRun(t)
	if err := elsewhere.pin(t.Context()); err != nil {
		t.Fatal(err)
	}
	stranger, strange := mustActivate(t, elsewhere, marble.Worker), mustActivate(t, elsewhere, marble.Coordinator)

	server := serve(t, coordinator.ServerTLS(marble.Worker))
	if err := greet(t, server, worker.ClientTLS(marble.Coordinator)); err != nil {
		t.Errorf("worker at coordinator: %v", err)
	}
	without := worker.ClientTLS(marble.Coordinator)
	without.Certificates = nil
	for name, client := range map[string]*tls.Config{
		"without certificate":        without,
		"of the wrong type":          coordinator.ClientTLS(marble.Coordinator),
		"of another MarbleRun":       showing(stranger),
		"self-signed with its names": showing(marbleOfNobody(t)),
	} {
		if err := greet(t, server, client); err == nil || !strings.Contains(err.Error(), "remote error: tls") {
			t.Errorf("client %s: got %v, want the server's refusal", name, err)
		}
	}

	if err := greet(t, serve(t, worker.ServerTLS(marble.Worker)), worker.ClientTLS(marble.Coordinator)); !errors.Is(err, endorse.ErrType) {
		t.Errorf("server of the wrong type: %v", err)
	}
	if err := greet(t, serve(t, showing(strange)), worker.ClientTLS(marble.Coordinator)); !errors.Is(err, marble.ErrChain) {
		t.Errorf("server of another MarbleRun: %v", err)
	}

	public, person := serve(t, coordinator.PublicTLS()), marble.ClientConfig(coordinator.RootDigest(), marble.Coordinator)
	if err := greet(t, public, person); err != nil {
		t.Errorf("person at coordinator: %v", err)
	}
	if err := greet(t, serve(t, strange.PublicTLS()), person); !errors.Is(err, marble.ErrPin) {
		t.Errorf("person at another mesh: %v", err)
	}

	// What a marble endorses, a stranger checks with the root alone.
	e, err := endorse.Sign("text/plain", []byte("released"), worker.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Verify("text/plain", worker.RootDigest(), worker.Root, marble.Worker); err != nil {
		t.Errorf("endorsement: %v", err)
	}
}

// MarbleRun's manifest is set once.
func TestManifestCannotBeSetAgain(t *testing.T) {
	m := startMarbleRun(t)
	if err := m.pin(t.Context()); err != nil {
		t.Fatal(err)
	}
	raw, err := marble.Manifest(marble.Measurements{Coordinator: strings.Repeat("0", 64), Worker: strings.Repeat("0", 64)})
	if err != nil {
		t.Fatal(err)
	}
	if err := marble.NewMarbleRun(m.State().MarbleRun.Clients).SetManifest(t.Context(), raw); err == nil {
		t.Error("the manifest was replaced")
	}
	if err := m.pin(t.Context()); err != nil {
		t.Errorf("the first manifest is not in force any more: %v", err)
	}
	if _, err := os.Stat(m.path("root.pem")); err != nil {
		t.Error(err)
	}
}

// marbleOfNobody has made its certificates itself, with all the names of MarbleRun's.
func marbleOfNobody(t *testing.T) *marble.Identity {
	t.Helper()
	return marbletest.New(t).Identity(t, marble.Worker)
}

// showing presents id and trusts anybody, as an attacker would.
func showing(id *marble.Identity) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{id.Certificate}, InsecureSkipVerify: true, ClientAuth: tls.RequestClientCert} //nolint:gosec // G402: plays the attacker
}

// serve greets every client with one byte.
func serve(t *testing.T, cfg *tls.Config) string {
	t.Helper()
	l, err := tls.Listen("tcp", loopback+":0", cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				_ = c.SetDeadline(time.Now().Add(10 * time.Second))
				if c.(*tls.Conn).Handshake() == nil {
					_, _ = c.Write([]byte{1})
				}
			}()
		}
	}()
	return l.Addr().String()
}

// greet connects and reads the byte: in TLS 1.3 a server's refusal arrives with the first read.
func greet(t *testing.T, address string, cfg *tls.Config) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, err := (&tls.Dialer{Config: cfg}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer func(c net.Conn) { _ = c.Close() }(c)
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	_, err = c.Read(make([]byte, 1))
	return err
}
