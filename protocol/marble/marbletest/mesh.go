// Package marbletest makes meshes for tests: certificates as MarbleRun v1.6.0 makes them, with no MarbleRun running.
//
// Invariant: an Identity from here differs from a real one only in who signed it.
//
// Sees: metadata
package marbletest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net"
	"testing"
	"time"

	"concordat.dev/protocol/marble"
)

// Mesh stands for one MarbleRun with its root and intermediate.
type Mesh struct {
	Root, Intermediate *x509.Certificate
	rootKey, key       *ecdsa.PrivateKey
}

// New makes a mesh with keys of its own.
func New(t testing.TB) *Mesh {
	t.Helper()
	m := &Mesh{rootKey: newKey(t), key: newKey(t)}
	root := authority("MarbleRun Coordinator")
	m.Root = sign(t, root, root, m.rootKey, m.rootKey)
	m.Intermediate = sign(t, authority("MarbleRun Coordinator - Intermediate CA"), m.Root, m.key, m.rootKey)
	return m
}

// Identity activates a marble. All of one type share the secret, as under a real MarbleRun.
func (m *Mesh) Identity(t testing.TB, marbleType string) *marble.Identity {
	t.Helper()
	return m.IdentityUntil(t, marbleType, time.Now().AddDate(1, 0, 0))
}

// IdentityUntil is Identity with a certificate that ends at notAfter.
func (m *Mesh) IdentityUntil(t testing.TB, marbleType string, notAfter time.Time) *marble.Identity {
	t.Helper()
	uuid := "00000000-0000-4000-8000-" + rand.Text()[:12]
	leaf := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: uuid},
		NotBefore: notAfter.AddDate(-2, 0, 0), NotAfter: notAfter,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageKeyAgreement,
		ExtraExtensions:       []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 9903, 2, 1}, Value: []byte(marbleType)}},
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
		DNSNames:              []string{"localhost"},
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	key := newKey(t)
	cert := sign(t, leaf, m.Intermediate, key, m.key)
	secret := sha256.Sum256(append([]byte(marbleType), m.Root.Raw...))
	return &marble.Identity{
		Type: marbleType, UUID: uuid, Root: m.Root, Secret: secret[:],
		Certificate: tls.Certificate{Certificate: [][]byte{cert.Raw, m.Intermediate.Raw}, PrivateKey: key, Leaf: cert},
	}
}

func authority(name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: name},
		NotBefore: now.AddDate(-10, 0, 0), NotAfter: now.AddDate(200, 0, 0),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true, IsCA: true,
		DNSNames: []string{"localhost"},
	}
}

func sign(t testing.TB, template, parent *x509.Certificate, key, by *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func serial() *big.Int {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return new(big.Int).SetBytes(b[:])
}
