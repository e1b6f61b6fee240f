// Package witness is what a log and its witnesses agree on byte for byte: verifier keys and cosignatures (C2SP tlog-cosignature,
// cosignature/v1) and the request by which a log asks for one (C2SP tlog-witness, add-checkpoint).
//
// Invariant: a cosignature binds a time to a checkpoint. Algorithm 4 (Ed25519) is the only one: a plain signature of a note says nothing
// of time.
//
// Sees: metadata
package witness

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"

	"concordat.dev/protocol/key"
)

// ErrKey says that a text is no verifier key of a witness.
var ErrKey = errors.New("not a witness's verifier key")

// MaxKey is the length in bytes of a verifier key that Parse reads.
const MaxKey = 512

const (
	algorithm = 0x04
	timeSize  = 8
	size      = timeSize + ed25519.SignatureSize
)

// Verifier verifies the cosignatures of one witness. It implements note.Verifier.
type Verifier struct {
	name string
	hash uint32
	key  key.Public
}

var _ note.Verifier = Verifier{}

// NewVerifier is the verifier of the witness of that name and key. A name is a URL without scheme (C2SP signed-note).
func NewVerifier(name string, k key.Public) (Verifier, error) {
	odd := func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) || r == '+' }
	if name == "" || !utf8.ValidString(name) || strings.ContainsFunc(name, odd) {
		return Verifier{}, fmt.Errorf("%w: the name %.80q is empty or has spaces, control characters or +", ErrKey, name)
	}
	sum := sha256.Sum256(append([]byte(name+"\n"), encode(k)...))
	return Verifier{name: name, hash: binary.BigEndian.Uint32(sum[:]), key: k}, nil
}

func encode(k key.Public) []byte { return append([]byte{algorithm}, k.Bytes()...) }

// Parse reads a verifier key, NAME+HASH+KEY, in the form that String writes.
func Parse(text string) (Verifier, error) {
	name, rest, _ := strings.Cut(text, "+")
	_, encoded, _ := strings.Cut(rest, "+")
	raw, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || len(text) > MaxKey || len(raw) != 1+ed25519.PublicKeySize {
		return Verifier{}, fmt.Errorf("%w: %.80q is not NAME+HASH+KEY", ErrKey, text)
	}
	if raw[0] != algorithm {
		return Verifier{}, fmt.Errorf("%w: %.80q is for algorithm %d, want %d (cosignature/v1)", ErrKey, text, raw[0], algorithm)
	}
	k, err := key.PublicFromBytes(raw[1:])
	if err != nil {
		return Verifier{}, fmt.Errorf("%w: %.80q: %w", ErrKey, text, err)
	}
	v, err := NewVerifier(name, k)
	if err != nil {
		return Verifier{}, err
	}
	if v.String() != text {
		return Verifier{}, fmt.Errorf("%w: %.80q has another hash than its name and key give", ErrKey, text)
	}
	return v, nil
}

// String is the verifier key.
func (v Verifier) String() string {
	return fmt.Sprintf("%s+%08x+%s", v.name, v.hash, base64.StdEncoding.EncodeToString(encode(v.key)))
}

// Name implements note.Verifier.
func (v Verifier) Name() string { return v.name }

// KeyHash implements note.Verifier.
func (v Verifier) KeyHash() uint32 { return v.hash }

// Key is the public key, by which two names of one witness are found out.
func (v Verifier) Key() key.Public { return v.key }

// Verify implements note.Verifier: sig is a time and an Ed25519 signature.
func (v Verifier) Verify(msg, sig []byte) bool {
	at, ok := Time(sig)
	return ok && v.key.Verify(signed(at, msg), sig[timeSize:])
}

// Time is when a cosignature says that it was made.
func Time(sig []byte) (time.Time, bool) {
	if len(sig) != size {
		return time.Time{}, false
	}
	seconds := binary.BigEndian.Uint64(sig)
	if seconds > math.MaxInt32<<8 { // far enough, and time.Time can calculate with it
		return time.Time{}, false
	}
	return time.Unix(int64(seconds), 0).UTC(), true //nolint:gosec // bounded above
}

func signed(at time.Time, msg []byte) []byte {
	return append(fmt.Appendf(nil, "cosignature/v1\ntime %d\n", at.Unix()), msg...)
}

// Signer cosigns. It implements note.Signer.
type Signer struct {
	Verifier
	key key.Private
	now func() time.Time
}

var _ note.Signer = Signer{}

// NewSigner is a witness of that name and key, whose clock is now.
func NewSigner(name string, k key.Private, now func() time.Time) (Signer, error) {
	v, err := NewVerifier(name, k.Public())
	return Signer{Verifier: v, key: k, now: now}, err
}

// Sign implements note.Signer. The message must be a checkpoint that is consistent with all that this witness signed before.
func (s Signer) Sign(msg []byte) ([]byte, error) {
	at := s.now()
	if at.Unix() < 0 {
		return nil, fmt.Errorf("cosign: the clock says %s", at)
	}
	out := binary.BigEndian.AppendUint64(nil, uint64(at.Unix())) //nolint:gosec // not negative
	return append(out, s.key.Sign(signed(at, msg))...), nil
}
