package endorse

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"

	"concordat.dev/protocol/canon"
)

// The reasons of VerifyChain and CheckType.
var (
	ErrRoot  = errors.New("the root certificate is not the pinned one")
	ErrChain = errors.New("the marble's certificate does not lead to the pinned root")
	ErrType  = errors.New("the marble has another type")
)

// TypeOID is the certificate extension in which MarbleRun writes the marble type, as raw bytes (coordinator/oid in its source).
var TypeOID = asn1.ObjectIdentifier{1, 3, 9903, 2, 1}

// RootDigest is how manifests pin a root: SHA-256 of its DER.
func RootDigest(cert *x509.Certificate) canon.Digest { return canon.Sum(cert.Raw) }

// VerifyChain checks that each certificate of chain (DER, leaf first) was issued by the next and the last by rootCert, whose digest
// must be root, and returns the leaf. Every issuer must be a CA, the leaf must not be one.
func VerifyChain(chain [][]byte, root canon.Digest, rootCert *x509.Certificate) (*x509.Certificate, error) {
	if rootCert == nil || !root.Valid() || RootDigest(rootCert) != root {
		return nil, fmt.Errorf("%w: want %s", ErrRoot, root)
	}
	if len(chain) == 0 || len(chain) > MaxChain {
		return nil, fmt.Errorf("%w: %d certificates, want 1 to %d", ErrChain, len(chain), MaxChain)
	}
	certs := make([]*x509.Certificate, len(chain), len(chain)+1)
	for i, der := range chain {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("%w: certificate %d: %w", ErrChain, i, err)
		}
		certs[i] = c
	}
	certs = append(certs, rootCert)
	for i, c := range certs[:len(chain)] {
		issuer := certs[i+1]
		if !bytes.Equal(c.RawIssuer, issuer.RawSubject) {
			return nil, fmt.Errorf("%w: certificate %d was issued by %q, not by %q", ErrChain, i, c.Issuer, issuer.Subject)
		}
		if err := c.CheckSignatureFrom(issuer); err != nil {
			return nil, fmt.Errorf("%w: certificate %d: %w", ErrChain, i, err)
		}
	}
	if certs[0].IsCA || certs[0].KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return nil, fmt.Errorf("%w: the leaf is not a marble's certificate", ErrChain)
	}
	return certs[0], nil
}

// Type reads the marble type of a leaf; an error when it has none or several.
func Type(leaf *x509.Certificate) (string, error) {
	var found []string
	for _, x := range leaf.Extensions {
		if x.Id.Equal(TypeOID) {
			found = append(found, string(x.Value))
		}
	}
	if len(found) != 1 || found[0] == "" {
		return "", fmt.Errorf("%w: certificate has %d marble types, want one", ErrType, len(found))
	}
	return found[0], nil
}

// CheckType refuses a leaf of another marble type than want.
func CheckType(leaf *x509.Certificate, want string) error {
	have, err := Type(leaf)
	if err != nil {
		return err
	}
	if have != want {
		return fmt.Errorf("%w: %.40q, want %q", ErrType, have, want)
	}
	return nil
}
