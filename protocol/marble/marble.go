// Package marble is our side of MarbleRun: a process activates as a marble of one type, receives certificate, key, root and
// secret, and speaks TLS 1.3 in which each side proves its marble type to the other.
//
// Invariant: a peer is accepted for one reason only, a certificate that chains to the pinned root of MarbleRun's coordinator, is
// valid now, and carries the marble type asked for. Host names and addresses prove nothing and are not looked at.
//
// Sees: metadata, and the root secret of its own marble type
package marble

import (
	"crypto"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/endorse"
)

// The two marble types of a mesh.
const (
	Coordinator = endorse.Coordinator
	Worker      = endorse.Worker
)

// ErrChain says that a peer's certificate does not lead to the pinned root, is not valid now, or not for this side of TLS. A peer of
// another marble type gets endorse.ErrType.
var ErrChain = errors.New("certificate does not chain to the root of this mesh")

// Identity is what MarbleRun gave an activated marble.
type Identity struct {
	Type        string
	UUID        string            // in the leaf's common name; chosen by the marble, so it tells instances apart and proves nothing
	Certificate tls.Certificate   // leaf, then MarbleRun's cross-signed intermediate
	Root        *x509.Certificate // of MarbleRun's coordinator: the pin
	Secret      []byte            // root secret of the marble type, at least 32 bytes
	Manifest    []byte            // MarbleRun's manifest in force, signed by Root
	Quote       []byte            // MarbleRun's own, over Root; empty in simulation
}

// Measurements are those that MarbleRun's manifest gives the two programs; an error where it is not one of Concordat's.
func (id *Identity) Measurements() (Measurements, error) { return ReadManifest(id.Manifest) }

// RootDigest is what a manifest pins as mesh.root_certificate.
func (id *Identity) RootDigest() canon.Digest { return canon.Sum(id.Root.Raw) }

// Chain is leaf, intermediate and root in DER: all that someone who knows only the digest of the root needs.
func (id *Identity) Chain() [][]byte {
	chain := make([][]byte, 0, len(id.Certificate.Certificate)+1)
	chain = append(chain, id.Certificate.Certificate...)
	return append(chain, id.Root.Raw)
}

// Signer is the leaf's key (ECDSA P-256 in MarbleRun v1.6.0).
func (id *Identity) Signer() (crypto.Signer, error) {
	s, ok := id.Certificate.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("marble: key of type %T cannot sign", id.Certificate.PrivateKey)
	}
	return s, nil
}

// Derive gives the key of size bytes that belongs to label: HKDF-SHA256 (RFC 5869) of the secret, no salt, label as info. One
// label has one use; all marbles of a type derive the same key.
func (id *Identity) Derive(label string, size int) ([]byte, error) {
	k, err := hkdf.Key(sha256.New, id.Secret, nil, label, size)
	if err != nil {
		return nil, fmt.Errorf("marble: derive key %q: %w", label, err)
	}
	return k, nil
}

// Verify checks that chain, leaf first, ends in root, is valid at now for usage, and that the leaf is of the wanted marble type.
// (endorse.VerifyChain asks less: a signature outlives the certificate's time.)
func Verify(chain []*x509.Certificate, root *x509.Certificate, wantType string, usage x509.ExtKeyUsage, now time.Time) error {
	if len(chain) == 0 {
		return fmt.Errorf("marble: %w: no certificate", ErrChain)
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(root)
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage},
	})
	if err != nil {
		return fmt.Errorf("marble: %w (%s): %w", ErrChain, canon.Sum(root.Raw), err)
	}
	if err := endorse.CheckType(chain[0], wantType); err != nil {
		return fmt.Errorf("marble: %w", err)
	}
	return nil
}
