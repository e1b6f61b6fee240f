// Package key holds the keys of organisations and people, in text and in files: Ed25519 keys, also in the form of SSH, and passkeys.
//
// Invariant: a Public that ParsePublic returned is a canonical encoding of a point that is not of small order, so no signature
// verifies under it for every message; a Private never prints itself.
//
// Sees: metadata
package key

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"filippo.io/edwards25519"

	"concordat.dev/protocol/webauthn"
)

const publicPrefix = "ed25519:"

// ErrMalformed says that text is not a key.
var ErrMalformed = errors.New("malformed key")

// Public is an Ed25519 public key (RFC 8032) in one of its two forms of text, "ed25519:…" or "ssh-ed25519 …", or a passkey, "webauthn:…": see
// passkey.go. It is comparable; the zero value is no key. The two forms of one key differ: a document names a key in one form, and signatures
// name it in the same.
type Public struct {
	raw [ed25519.PublicKeySize]byte // of a passkey the first coordinate
	ssh bool
	y   [32]byte // of a passkey the second coordinate
	rp  string   // of a passkey its relying party
}

// ParsePublic reads "ed25519:" and the standard base64 (with padding) of 32 bytes, the form of SSH: see ssh.go, or a passkey.
func ParsePublic(s string) (Public, error) {
	if rest, ok := strings.CutPrefix(s, passkeyPrefix); ok {
		return parsePasskey(s, rest)
	}
	if wire, ok := strings.CutPrefix(s, sshPrefix); ok {
		return parseSSH(s, wire)
	}
	rest, ok := strings.CutPrefix(s, publicPrefix)
	if !ok {
		return Public{}, fmt.Errorf("%w: %.80q: want %q and the base64 of 32 bytes, a key of SSH (ssh-ed25519 …) or a passkey (webauthn:…)", ErrMalformed, s, publicPrefix)
	}
	b, err := base64.StdEncoding.Strict().DecodeString(rest)
	if err != nil || base64.StdEncoding.EncodeToString(b) != rest {
		return Public{}, fmt.Errorf("%w: %.80q: not standard base64 with padding", ErrMalformed, s)
	}
	return PublicFromBytes(b)
}

// PublicFromBytes takes the 32 bytes of RFC 8032 section 5.1.5.
func PublicFromBytes(b []byte) (Public, error) {
	if len(b) != ed25519.PublicKeySize {
		return Public{}, fmt.Errorf("%w: %d bytes, want %d", ErrMalformed, len(b), ed25519.PublicKeySize)
	}
	p, err := new(edwards25519.Point).SetBytes(b)
	if err != nil || string(p.Bytes()) != string(b) {
		return Public{}, fmt.Errorf("%w: not a canonical point of the curve", ErrMalformed)
	}
	if new(edwards25519.Point).MultByCofactor(p).Equal(edwards25519.NewIdentityPoint()) == 1 {
		return Public{}, fmt.Errorf("%w: point of small order, which would verify signatures of anyone", ErrMalformed)
	}
	return Public{raw: [ed25519.PublicKeySize]byte(b)}, nil
}

// String is the form that ParsePublic reads.
func (p Public) String() string {
	if p.rp != "" {
		return passkeyPrefix + p.rp + ":" + base64.StdEncoding.EncodeToString(p.point())
	}
	if p.ssh {
		return sshPrefix + base64.StdEncoding.EncodeToString(p.sshWire())
	}
	return publicPrefix + base64.StdEncoding.EncodeToString(p.raw[:])
}

// Bytes is the 32 byte encoding, of a passkey the 65 bytes of its point.
func (p Public) Bytes() []byte {
	if p.rp != "" {
		return p.point()
	}
	return p.raw[:]
}

// IsZero says that p is no key.
func (p Public) IsZero() bool { return p == Public{} }

// Verify checks an Ed25519 signature of msg, of a passkey an assertion whose challenge is its digest. The zero Public verifies nothing.
func (p Public) Verify(msg, sig []byte) bool {
	if p.rp != "" {
		return webauthn.Verify(p.rp, p.point(), msg, sig) == nil
	}
	return !p.IsZero() && len(sig) == ed25519.SignatureSize && ed25519.Verify(p.raw[:], msg, sig)
}

// MarshalText writes String.
func (p Public) MarshalText() ([]byte, error) {
	if p.IsZero() {
		return nil, fmt.Errorf("%w: the zero key has no text", ErrMalformed)
	}
	return []byte(p.String()), nil
}

// UnmarshalText reads what ParsePublic reads.
func (p *Public) UnmarshalText(text []byte) error {
	parsed, err := ParsePublic(string(text))
	if err != nil {
		return err
	}
	*p = parsed
	return nil
}

// Private signs. It is made by Generate, FromSeed or Load.
type Private struct {
	key ed25519.PrivateKey
	ssh bool // the form of its public half
}

// Generate draws a fresh key.
func Generate() (Private, error) {
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return Private{}, fmt.Errorf("generate key: %w", err)
	}
	return Private{key: k}, nil
}

// FromSeed derives the key of a 32 byte seed (RFC 8032 section 5.1.5), for keys that a secret determines.
func FromSeed(seed []byte) (Private, error) {
	if len(seed) != ed25519.SeedSize {
		return Private{}, fmt.Errorf("%w: seed of %d bytes, want %d", ErrMalformed, len(seed), ed25519.SeedSize)
	}
	return Private{key: ed25519.NewKeyFromSeed(seed)}, nil
}

// Public is the key that verifies.
func (p Private) Public() Public {
	return Public{raw: [ed25519.PublicKeySize]byte(p.key[ed25519.SeedSize:]), ssh: p.ssh}
}

// Sign makes a 64 byte Ed25519 signature of msg.
func (p Private) Sign(msg []byte) []byte { return ed25519.Sign(p.key, msg) }

// Ed25519 is the key for libraries that sign by themselves, for instance golang.org/x/mod/sumdb/note.
func (p Private) Ed25519() ed25519.PrivateKey { return p.key }

// IsZero says that p is no key.
func (p Private) IsZero() bool { return len(p.key) == 0 }

// String names the public half only.
func (p Private) String() string {
	if p.IsZero() {
		return "private key (none)"
	}
	return "private key of " + p.Public().String()
}

// GoString keeps the key out of %#v.
func (p Private) GoString() string { return p.String() }

// Format keeps the key out of every other verb.
func (p Private) Format(s fmt.State, _ rune) { _, _ = fmt.Fprint(s, p.String()) }
