// Package webauthntest is an authenticator in software: a passkey that signs whatever a test asks, rightly or wrongly.
//
// Sees: nothing real
package webauthntest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"testing"

	"concordat.dev/protocol/key"
	"concordat.dev/protocol/webauthn"
)

// Passkey is one credential of one relying party.
type Passkey struct {
	RP      string
	Origin  string
	private *ecdsa.PrivateKey
}

// Made is what a signature is made of, before it is made; tests change it.
type Made struct {
	ClientData        string
	AuthenticatorData []byte
}

// New makes a passkey for https://RP.
func New(t testing.TB, rp string) Passkey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return Passkey{RP: rp, Origin: "https://" + rp, private: k}
}

// Bytes is the public key.
func (p Passkey) Bytes(t testing.TB) []byte {
	t.Helper()
	b, err := p.private.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Public is the key as manifests name it.
func (p Passkey) Public(t testing.TB) key.Public {
	t.Helper()
	k, err := key.ParsePublic("webauthn:" + p.RP + ":" + base64.StdEncoding.EncodeToString(p.Bytes(t)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Sign makes what stands in the sig of a DSSE signature over message.
func (p Passkey) Sign(t testing.TB, message []byte, changes ...func(*Made)) []byte {
	t.Helper()
	digest, challenge := sha256.Sum256([]byte(p.RP)), sha256.Sum256(message)
	m := Made{
		ClientData: `{"type":"webauthn.get","challenge":"` + base64.RawURLEncoding.EncodeToString(challenge[:]) + `","origin":"` + p.Origin +
			`","crossOrigin":false}`,
		AuthenticatorData: append(digest[:], 0b11101, 0, 0, 0, 0),
	}
	for _, change := range changes {
		change(&m)
	}
	client := sha256.Sum256([]byte(m.ClientData))
	signed := sha256.Sum256(append(m.AuthenticatorData[:len(m.AuthenticatorData):len(m.AuthenticatorData)], client[:]...))
	sig, err := ecdsa.SignASN1(rand.Reader, p.private, signed[:])
	if err != nil {
		t.Fatal(err)
	}
	out, err := webauthn.Assertion{AuthenticatorData: m.AuthenticatorData, ClientDataJSON: []byte(m.ClientData), Signature: sig}.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return out
}
