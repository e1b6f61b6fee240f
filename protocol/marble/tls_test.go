package marble_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"concordat.dev/protocol/endorse"
	"concordat.dev/protocol/marble"
	"concordat.dev/protocol/marble/marbletest"
)

// handshake runs both sides over a pipe to the end; a server's verdict reaches a TLS 1.3 client with its first read.
func handshake(t *testing.T, server, client *tls.Config) (serverErr, clientErr error) {
	t.Helper()
	a, b := net.Pipe()
	deadline := time.Now().Add(10 * time.Second)
	_, _ = a.SetDeadline(deadline), b.SetDeadline(deadline)
	s, c := tls.Server(a, server), tls.Client(b, client)
	done := make(chan error, 1)
	go func() {
		err := s.Handshake()
		if err == nil {
			_, err = s.Write([]byte{1})
		}
		_ = a.Close()
		done <- err
	}()
	clientErr = c.Handshake()
	if clientErr == nil {
		_, clientErr = c.Read(make([]byte, 1))
	}
	_ = b.Close()
	return <-done, clientErr
}

func TestMarblesAcceptEachOtherByChainAndType(t *testing.T) {
	mesh, other := marbletest.New(t), marbletest.New(t)
	coordinator, worker := mesh.Identity(t, marble.Coordinator), mesh.Identity(t, marble.Worker)
	noCertificate := worker.ClientTLS(marble.Coordinator)
	noCertificate.Certificates = nil
	noType := mesh.Identity(t, marble.Worker)
	noType.Certificate = mesh.Marble(t)
	withoutIntermediate := mesh.Identity(t, marble.Worker)
	withoutIntermediate.Certificate.Certificate = withoutIntermediate.Certificate.Certificate[:1]

	for _, tt := range []struct {
		name           string
		server, client *tls.Config
		want           error  // from the side that refuses
		text           string // instead of want, for the library's own errors
	}{
		{name: "worker calls coordinator", server: coordinator.ServerTLS(marble.Worker), client: worker.ClientTLS(marble.Coordinator)},
		{name: "coordinator calls coordinator", server: coordinator.ServerTLS(marble.Coordinator), client: coordinator.ClientTLS(marble.Coordinator)},
		{name: "client of wrong type", server: worker.ServerTLS(marble.Coordinator), client: worker.ClientTLS(marble.Worker), want: endorse.ErrType},
		{name: "server of wrong type", server: worker.ServerTLS(marble.Worker), client: worker.ClientTLS(marble.Coordinator), want: endorse.ErrType},
		{name: "client of no type", server: coordinator.ServerTLS(marble.Worker), client: noType.ClientTLS(marble.Coordinator), want: endorse.ErrType},
		{name: "client without certificate", server: coordinator.ServerTLS(marble.Worker), client: noCertificate, text: "didn't provide a certificate"},
		{name: "client of another mesh", server: coordinator.ServerTLS(marble.Worker), client: trust(other.Identity(t, marble.Worker)), want: marble.ErrChain},
		{name: "server of another mesh", server: trust(other.Identity(t, marble.Coordinator)), client: worker.ClientTLS(marble.Coordinator), want: marble.ErrChain},
		{name: "client without its intermediate", server: coordinator.ServerTLS(marble.Worker), client: withoutIntermediate.ClientTLS(marble.Coordinator), want: marble.ErrChain},
		{name: "old TLS", server: coordinator.ServerTLS(marble.Worker), client: tls12(worker.ClientTLS(marble.Coordinator)), text: "protocol version"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			serverErr, clientErr := handshake(t, tt.server, tt.client)
			switch {
			case tt.want == nil && tt.text == "":
				if serverErr != nil || clientErr != nil {
					t.Fatalf("refused: server %v, client %v", serverErr, clientErr)
				}
			case serverErr == nil && clientErr == nil:
				t.Fatal("accepted")
			case tt.want != nil && !errors.Is(serverErr, tt.want) && !errors.Is(clientErr, tt.want):
				t.Fatalf("server %v, client %v; want %v", serverErr, clientErr, tt.want)
			case tt.text != "" && !strings.Contains(serverErr.Error()+clientErr.Error(), tt.text):
				t.Fatalf("server %v, client %v; want %q", serverErr, clientErr, tt.text)
			}
		})
	}
}

// trust is the configuration of someone who presents id and accepts anybody: what an attacker would run.
func trust(id *marble.Identity) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{id.Certificate}, InsecureSkipVerify: true, ClientAuth: tls.RequestClientCert}
}

func tls12(cfg *tls.Config) *tls.Config {
	cfg.MinVersion, cfg.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	return cfg
}

// In a bubble the clock is ours, up to 2262: both sides refuse a certificate before its time; Verify, which they call, also after it.
func TestMarblesRefuseCertificatesOutOfTheirTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh := marbletest.New(t)
		coordinator, worker := mesh.Identity(t, marble.Coordinator), mesh.Identity(t, marble.Worker)
		leaf, err := x509.ParseCertificate(worker.Certificate.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		try := func() (client, server error) {
			server, _ = handshake(t, coordinator.ServerTLS(marble.Worker), trust(worker))
			_, client = handshake(t, trust(coordinator), worker.ClientTLS(marble.Coordinator))
			return client, server
		}
		for _, tt := range []struct {
			at   time.Time
			want error
		}{{leaf.NotBefore.Add(-time.Hour), marble.ErrChain}, {leaf.NotBefore.Add(time.Hour), nil}} {
			time.Sleep(time.Until(tt.at))
			if client, server := try(); !errors.Is(client, tt.want) || !errors.Is(server, tt.want) {
				t.Errorf("at %s: client says %v, server says %v; want %v", tt.at, client, server, tt.want)
			}
		}
		chain := []*x509.Certificate{leaf, mesh.Intermediate}
		for at, want := range map[time.Time]error{leaf.NotAfter.Add(-time.Hour): nil, leaf.NotAfter.Add(time.Hour): marble.ErrChain} {
			if err := marble.Verify(chain, mesh.Root, marble.Worker, x509.ExtKeyUsageClientAuth, at); !errors.Is(err, want) {
				t.Errorf("at %s: %v, want %v", at, err, want)
			}
		}
	})
}

func TestPeopleCheckTheServerByTheRootsDigest(t *testing.T) {
	mesh, other := marbletest.New(t), marbletest.New(t)
	pin := mesh.Pin()
	for _, tt := range []struct {
		name   string
		server *marble.Identity
		want   error
	}{
		{"coordinator", mesh.Identity(t, marble.Coordinator), nil},
		{"worker", mesh.Identity(t, marble.Worker), endorse.ErrType},
		{"another mesh", other.Identity(t, marble.Coordinator), marble.ErrPin},
		{"another mesh that shows the pinned root", borrowRoot(other.Identity(t, marble.Coordinator), mesh.Root), marble.ErrChain},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := handshake(t, tt.server.PublicTLS(), marble.ClientConfig(pin, marble.Coordinator))
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func borrowRoot(id *marble.Identity, root *x509.Certificate) *marble.Identity {
	id.Root = root
	return id
}

func TestDeriveSeparatesLabels(t *testing.T) {
	id := &marble.Identity{Secret: []byte(strings.Repeat("k", 32))}
	token, err := id.Derive("concordat/v1/token", 32)
	if err != nil {
		t.Fatal(err)
	}
	// From RFC 5869 by hand: HMAC-SHA256(HMAC-SHA256(32 zero bytes, secret), label || 0x01).
	if got, want := hex.EncodeToString(token), "407ae7f4d2dd385632ae9cbe38790845ec7c83f8cfb90fe2e8f79ce539a41942"; got != want {
		t.Fatalf("token key %s, want %s", got, want)
	}
	wrap, err := id.Derive("concordat/v1/wrap", 32)
	if err != nil {
		t.Fatal(err)
	}
	if string(wrap) == string(token) {
		t.Fatal("two labels gave one key")
	}
}
