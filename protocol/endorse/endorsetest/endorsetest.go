// Package endorsetest makes certificates shaped like those of MarbleRun 1.6, for tests that need marbles without a mesh.
//
// Sees: nothing real
package endorsetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"testing"
	"time"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/endorse"
)

// Mesh is a root and the cross-signed intermediate that issues leaves.
type Mesh struct {
	Root         *x509.Certificate
	Intermediate *x509.Certificate
	key          *ecdsa.PrivateKey
}

// New makes a mesh with fresh keys.
func New(t testing.TB) *Mesh {
	t.Helper()
	rootKey, key := newKey(t), newKey(t)
	ca := func(name string) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: serial(t), Subject: pkix.Name{CommonName: name}, NotBefore: start, NotAfter: end,
			KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
			DNSNames:    []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		}
	}
	root := ca("MarbleRun Coordinator")
	root = create(t, root, root, &rootKey.PublicKey, rootKey)
	return &Mesh{Root: root, Intermediate: create(t, ca("MarbleRun Coordinator - Intermediate CA"), root, &key.PublicKey, rootKey), key: key}
}

// Pin is what a manifest says of the mesh's root.
func (m *Mesh) Pin() canon.Digest { return endorse.RootDigest(m.Root) }

// Marble issues a certificate of the given marble types (normally one) with its chain, valid for localhost.
func (m *Mesh) Marble(t testing.TB, types ...string) tls.Certificate {
	t.Helper()
	k := newKey(t)
	leaf := &x509.Certificate{
		SerialNumber: serial(t), Subject: pkix.Name{CommonName: "00000000-0000-4000-8000-000000000000"}, NotBefore: start, NotAfter: end,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyAgreement,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	for _, name := range types {
		leaf.ExtraExtensions = append(leaf.ExtraExtensions, pkix.Extension{Id: endorse.TypeOID, Value: []byte(name)})
	}
	c := create(t, leaf, m.Intermediate, &k.PublicKey, m.key)
	return tls.Certificate{Certificate: [][]byte{c.Raw, m.Intermediate.Raw}, PrivateKey: k, Leaf: c}
}

var (
	start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	end   = time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC)
)

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func serial(t testing.TB) *big.Int {
	t.Helper()
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		t.Fatal(err)
	}
	return n.Add(n, big.NewInt(1))
}

func create(t testing.TB, template, parent *x509.Certificate, pub *ecdsa.PublicKey, signer *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, pub, signer)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
