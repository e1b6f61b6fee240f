// Package endorse makes signatures by a marble that a stranger can check offline: a DSSE signature under the marble's certificate,
// with the chain from that certificate to MarbleRun's root.
//
// MarbleRun 1.6 issues a marble's leaf (ECDSA P-256, marble type in an extension) under the key of its marble root; the same key
// has a second, cross-signed certificate whose issuer is the coordinator root, which manifests pin. A chain is leaf, then that
// cross-signed intermediate; the root travels separately and is known by its digest.
//
// Invariant: Verify accepts only bytes signed under this payload type by a leaf of this marble type below this very root.
//
// Sees: metadata
package endorse

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/dsse"
)

// The marble types of Concordat.
const (
	Coordinator = "coordinator"
	Worker      = "worker"
)

// Limits of Parse.
const (
	MaxEndorsement = 4 << 20
	MaxChain       = 3
)

// The reasons of Verify and Parse.
var (
	ErrPayloadType = errors.New("payload type is not the expected one")
	ErrSignature   = errors.New("the marble's signature does not verify")
	ErrMalformed   = errors.New("malformed endorsement")
)

// Endorsement is a payload, signed by a marble. Chain is DER: the leaf, then its issuers, without the root. Signature is ASN.1 ECDSA
// with SHA-256 over the DSSE pre-authentication encoding of PayloadType and Payload.
type Endorsement struct {
	PayloadType string   `json:"payloadType"`
	Payload     []byte   `json:"payload"`
	Chain       [][]byte `json:"chain"`
	Signature   []byte   `json:"signature"`
}

// Sign signs payload with the key of the marble certificate cert, whose Certificate is leaf and intermediate (no root).
func Sign(payloadType string, payload []byte, cert tls.Certificate) (Endorsement, error) {
	if len(cert.Certificate) == 0 || len(cert.Certificate) > MaxChain {
		return Endorsement{}, fmt.Errorf("endorse: %w: chain of %d certificates, want leaf and intermediate", ErrMalformed, len(cert.Certificate))
	}
	signer, ok := cert.PrivateKey.(crypto.Signer)
	if !ok {
		return Endorsement{}, fmt.Errorf("endorse: key of type %T cannot sign", cert.PrivateKey)
	}
	if pub, ok := signer.Public().(*ecdsa.PublicKey); !ok || pub.Curve != elliptic.P256() {
		return Endorsement{}, fmt.Errorf("endorse: marble key is not ECDSA P-256 but %T", signer.Public())
	}
	sum := sha256.Sum256(dsse.PAE(payloadType, payload))
	sig, err := signer.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		return Endorsement{}, fmt.Errorf("endorse: %w", err)
	}
	return Endorsement{PayloadType: payloadType, Payload: payload, Chain: cert.Certificate, Signature: sig}, nil
}

// Verify returns the payload after checking, in this order, that the payload type is the expected one, that rootCert has the pinned
// digest, that the chain leads to it, that the leaf is of marbleType, and the signature. It asks no clock: MarbleRun's
// certificates do not expire, and what was signed has to be checkable for good.
func (e Endorsement) Verify(payloadType string, root canon.Digest, rootCert *x509.Certificate, marbleType string) ([]byte, error) {
	if e.PayloadType != payloadType {
		return nil, fmt.Errorf("verify endorsement: %w: have %.80q, want %q", ErrPayloadType, e.PayloadType, payloadType)
	}
	leaf, err := VerifyChain(e.Chain, root, rootCert)
	if err != nil {
		return nil, fmt.Errorf("verify endorsement: %w", err)
	}
	if err := CheckType(leaf, marbleType); err != nil {
		return nil, fmt.Errorf("verify endorsement: %w", err)
	}
	pub, ok := leaf.PublicKey.(*ecdsa.PublicKey)
	if !ok || pub.Curve != elliptic.P256() {
		return nil, fmt.Errorf("verify endorsement: %w: marble key is not ECDSA P-256", ErrChain)
	}
	sum := sha256.Sum256(dsse.PAE(e.PayloadType, e.Payload))
	if !ecdsa.VerifyASN1(pub, sum[:], e.Signature) {
		return nil, fmt.Errorf("verify endorsement: %w", ErrSignature)
	}
	return e.Payload, nil
}

// Marshal writes the endorsement as canonical JSON.
func (e Endorsement) Marshal() ([]byte, error) { return canon.Marshal(e) }

// Parse reads what Marshal wrote, and nothing else.
func Parse(b []byte) (Endorsement, error) {
	if len(b) > MaxEndorsement {
		return Endorsement{}, fmt.Errorf("%w: %d bytes, at most %d", ErrMalformed, len(b), MaxEndorsement)
	}
	var e Endorsement
	if err := canon.Unmarshal(b, &e); err != nil {
		return Endorsement{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if len(e.Chain) == 0 || len(e.Chain) > MaxChain {
		return Endorsement{}, fmt.Errorf("%w: chain of %d certificates, want 1 to %d", ErrMalformed, len(e.Chain), MaxChain)
	}
	return e, nil
}
