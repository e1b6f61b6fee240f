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
				if taken, why := admitted(t, port.address, cfg); taken {
					t.Errorf("%s: the server talks to it", who)
				} else {
					t.Logf("%s: %v", who, why)
				}
			}
			if taken, why := admitted(t, port.address, port.right); !taken {
				t.Errorf("a marble of the right type is refused: %v", why)
			}
		})
	}
}

// admitted says whether a server keeps a connection after the handshake. In TLS 1.3 a client learns of a refusal at its first read.
func admitted(t *testing.T, address string, cfg *tls.Config) (bool, error) {
	t.Helper()
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", address, cfg)
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetReadDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	_, err = io.ReadFull(conn, make([]byte, 1))
	var timeout net.Error
	if err == nil || errors.As(err, &timeout) && timeout.Timeout() { // it said something, or waits for us to speak
		return true, nil
	}
	return false, err
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
