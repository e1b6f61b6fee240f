package integration_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"path/filepath"
	"testing"
	"time"

	"concordat.dev/integration/harness"
	"concordat.dev/protocol/marble"
)

// TestStrangersAreRefused talks to the ports between marbles without a certificate, with one's own, and with that of a genuine marble
// of the wrong type. Each port takes the right type, so that a refusal says something.
func TestStrangersAreRefused(t *testing.T) {
	m := harness.Up(t)
	s := m.State()
	activate := func(marbleType string) *tls.Config {
		id, err := marble.Activate(t.Context(), marble.Config{
			CoordinatorAddr: s.MarbleRun.Marbles, ClientAddr: s.MarbleRun.Clients, Type: marbleType, DNSNames: []string{"localhost"},
			UUIDFile: filepath.Join(t.TempDir(), "uuid"),
		})
		if err != nil {
			t.Fatal(err)
		}
		cfg := id.ClientTLS(marbleType)
		cfg.VerifyConnection = nil // the stranger asks nothing of the server
		return cfg
	}
	coordinator, worker := activate(marble.Coordinator), activate(marble.Worker)
	nobody := &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true} //nolint:gosec // G402: the stranger asks nothing of the server
	own := nobody.Clone()
	own.Certificates = []tls.Certificate{selfSigned(t)}
	for _, port := range []struct {
		name, address string
		right, wrong  *tls.Config
	}{
		{"worker", s.Workers[0].Mesh, coordinator, worker},
		{"coordinator's side for workers", s.Coordinators[0].Mesh, worker, coordinator},
		{"raft", s.Coordinators[0].Raft, coordinator, worker},
	} {
		t.Run(port.name, func(t *testing.T) {
			for who, cfg := range map[string]*tls.Config{"no certificate": nobody, "own certificate": own, "marble of the wrong type": port.wrong} {
				if taken, why := admitted(t, port.address, cfg, false); taken {
					t.Errorf("%s: the server takes it: %v", who, why)
				} else {
					t.Logf("%s: %v", who, why)
				}
			}
			if taken, why := admitted(t, port.address, port.right, true); !taken {
				t.Errorf("a marble of the right type is refused: %v", why)
			}
		})
	}
}

// admitted says whether a server takes a connection, or refuses it with an alert. In TLS 1.3 a client learns of that at its first read.
// Who expects to be refused does not speak, since the server might reset the connection over what it does not read.
func admitted(t *testing.T, address string, cfg *tls.Config, speak bool) (bool, error) {
	t.Helper()
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 20 * time.Second}, "tcp", address, cfg)
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if speak {
		_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: stranger\r\n\r\n")
	}
	if err == nil {
		_, err = io.ReadFull(conn, make([]byte, 1))
	}
	var alert *net.OpError
	if errors.As(err, &alert) && alert.Op == "remote error" {
		return false, err
	}
	return true, err // it speaks, waits for us to, or closed a connection on which we talk nonsense
}

func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "coordinator"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: k}
}
