// Package dsse signs bytes together with the type of what they mean: DSSE envelopes (Dead Simple Signing Envelope 1.0,
// github.com/secure-systems-lab/dsse) with the keys of package key.
//
// Invariant: what Verify accepts was signed as the bytes of Payload under this payload type; nothing is re-encoded.
//
// Sees: metadata
package dsse

import (
	"errors"
	"fmt"
	"slices"

	securesystems "github.com/secure-systems-lab/go-securesystemslib/dsse"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/key"
)

// Limits of Parse: they bound memory and work before any signature is checked.
const (
	MaxEnvelope   = 8 << 20
	MaxSignatures = 64
)

// The reasons of Verify and Parse.
var (
	ErrPayloadType  = errors.New("payload type is not the expected one")
	ErrNoSignature  = errors.New("no valid signature by an allowed key")
	ErrBadSignature = errors.New("a signature names an allowed key and does not verify")
	ErrMalformed    = errors.New("malformed DSSE envelope")
)

// Envelope is a payload with its signatures. In JSON, payload and sig are standard base64.
type Envelope struct {
	PayloadType string      `json:"payloadType"`
	Payload     []byte      `json:"payload"`
	Signatures  []Signature `json:"signatures"`
}

// SSHNamespace is what `ssh-keygen -Y sign -n` has to be told for signatures over PAE.
const SSHNamespace = "dsse@concordat.dev"

// Signature is an Ed25519 signature over PAE; KeyID is the public key in text ("ed25519:…"). Under a key of SSH ("ssh-ed25519 …") it
// may also be the blob that ssh-keygen makes over PAE in SSHNamespace. Under a passkey ("webauthn:…") it is a webauthn.Assertion.
type Signature struct {
	KeyID string `json:"keyid"`
	Sig   []byte `json:"sig"`
}

// PAE is what is signed: DSSE's pre-authentication encoding of type and payload.
func PAE(payloadType string, payload []byte) []byte { return securesystems.PAE(payloadType, payload) }

// Sign makes an envelope with one signature for each key.
func Sign(payloadType string, payload []byte, keys ...key.Private) Envelope {
	e := Envelope{PayloadType: payloadType, Payload: payload}
	for _, k := range keys {
		e.Signatures = append(e.Signatures, Signature{KeyID: k.Public().String(), Sig: k.Sign(PAE(payloadType, payload))})
	}
	return e
}

// Verify returns the allowed keys that signed, each once, in the order of the envelope; at least one. Signatures by other keys are
// ignored; a signature that names an allowed key and is wrong makes the whole envelope fail.
func (e Envelope) Verify(payloadType string, allowed []key.Public) ([]key.Public, error) {
	if e.PayloadType != payloadType {
		return nil, fmt.Errorf("dsse: %w: have %.80q, want %q", ErrPayloadType, e.PayloadType, payloadType)
	}
	if len(e.Signatures) > MaxSignatures {
		return nil, fmt.Errorf("dsse: %w: %d signatures, at most %d", ErrMalformed, len(e.Signatures), MaxSignatures)
	}
	signed := PAE(e.PayloadType, e.Payload)
	var signers []key.Public
	for _, s := range e.Signatures {
		i := slices.IndexFunc(allowed, func(k key.Public) bool { return k.String() == s.KeyID })
		if i < 0 {
			continue
		}
		if !verify(allowed[i], signed, s.Sig) {
			return nil, fmt.Errorf("dsse: %w: %s", ErrBadSignature, s.KeyID)
		}
		if !slices.Contains(signers, allowed[i]) {
			signers = append(signers, allowed[i])
		}
	}
	if len(signers) == 0 {
		return nil, fmt.Errorf("dsse: %w: %d signatures, %d allowed keys", ErrNoSignature, len(e.Signatures), len(allowed))
	}
	return signers, nil
}

// verify takes a plain signature, and under a key of SSH also one of ssh-keygen.
func verify(k key.Public, signed, sig []byte) bool {
	return k.Verify(signed, sig) || k.SSH() && k.VerifySSH(SSHNamespace, signed, sig)
}

// Marshal writes the envelope as canonical JSON.
func (e Envelope) Marshal() ([]byte, error) { return canon.Marshal(e) }

// Parse reads what Marshal wrote, and nothing else: an envelope has one form of bytes.
func Parse(b []byte) (Envelope, error) {
	if len(b) > MaxEnvelope {
		return Envelope{}, fmt.Errorf("%w: %d bytes, at most %d", ErrMalformed, len(b), MaxEnvelope)
	}
	var e Envelope
	if err := canon.Unmarshal(b, &e); err != nil {
		return Envelope{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if len(e.Signatures) == 0 || len(e.Signatures) > MaxSignatures {
		return Envelope{}, fmt.Errorf("%w: %d signatures, want 1 to %d", ErrMalformed, len(e.Signatures), MaxSignatures)
	}
	return e, nil
}
