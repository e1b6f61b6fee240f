// Package token turns identifiers into tokens: HMAC-SHA256 of the normalised identifier under a key of the
// collaboration, the namespace and its rules, cut to 128 bits.
//
// Invariant: two identifiers have the same token exactly when their normalised forms are the same bytes, within one
// collaboration and namespace and under the same version and options of its rules; without the worker root nobody can tell which identifier a token stands for.
//
// Sees: plaintext rows
package token

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
)

// Size is the length of a token in bytes.
const Size = 16

// MaxIdentifier is the longest identifier in bytes that gets a token; a longer one counts as malformed.
const MaxIdentifier = 1024

// label separates token keys from all other keys of the worker root.
const label = "concordat/v1/token"

// ErrRoot says that the worker root is too short to derive keys from.
var ErrRoot = errors.New("worker root has fewer than 32 bytes")

// Token stands for one privacy unit of a namespace.
type Token [Size]byte

// ID is the first 64 bits of the token, big endian: the unit's number in the engine.
func (t Token) ID() int64 { return int64(binary.BigEndian.Uint64(t[:8])) }

// Tokenizer makes the tokens of one namespace of one collaboration. It isn't safe for concurrent use: Clone it.
type Tokenizer struct {
	key       []byte
	normalize Normalizer
	buf       []byte
	hash      hash.Hash
	restore   encoding.BinaryUnmarshaler
	save      encoding.BinaryAppender
	inner     []byte // state of the hash after the padded key, so that a token costs no key schedule
	outer     []byte
	state     []byte // of the hash after a message and its padding
}

// New derives the key of a namespace's first identifier from the worker root (at least 32 bytes) by HKDF-SHA256 and reads its normalisation.
func New(root []byte, collaboration, namespace string, rules document.Namespace) (*Tokenizer, error) {
	return newTokenizer(root, collaboration, namespace, "", rules.First())
}

// NewIdentifier does so for the identifier that a policy's unit names; "" is the first.
func NewIdentifier(root []byte, collaboration, namespace, identifier string, rules document.Namespace) (*Tokenizer, error) {
	own, ok := rules.Identifier(identifier)
	if !ok {
		return nil, fmt.Errorf("namespace %q: %w: it has no identifier %q", namespace, ErrNormalize, identifier)
	}
	return newTokenizer(root, collaboration, namespace, identifier, own)
}

func newTokenizer(root []byte, collaboration, namespace, identifier string, rules document.Namespace) (*Tokenizer, error) {
	if len(root) < 32 {
		return nil, ErrRoot
	}
	normalize, err := NewNormalizer(rules)
	if err != nil {
		return nil, fmt.Errorf("namespace %q: %w", namespace, err)
	}
	context, err := info(collaboration, namespace, identifier, rules)
	if err != nil {
		return nil, fmt.Errorf("namespace %q: %w", namespace, err)
	}
	key, err := hkdf.Key(sha256.New, root, nil, context, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("derive the token key of namespace %q: %w", namespace, err)
	}
	return build(key, normalize)
}

// info binds a key to collaboration, namespace, identifier and rules (canonical JSON, the version written out), so that tokens made by other rules never
// match by chance or in part. The lengths keep ("ab", "c") apart from ("a", "bc").
func info(collaboration, namespace, identifier string, rules document.Namespace) (string, error) {
	written, err := canon.Marshal(rules.Explicit())
	if err != nil {
		return "", err
	}
	b := []byte(label)
	for _, s := range []string{collaboration, namespace, identifier, string(written)} {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
	}
	return string(b), nil
}

func build(key []byte, normalize Normalizer) (*Tokenizer, error) {
	t := &Tokenizer{key: key, normalize: normalize, hash: sha256.New()}
	var restores, saves bool
	t.restore, restores = t.hash.(encoding.BinaryUnmarshaler)
	t.save, saves = t.hash.(encoding.BinaryAppender)
	if !restores || !saves {
		return nil, errors.New("sha256 can't restore its state")
	}
	var err error
	if t.inner, err = padded(key, 0x36); err != nil {
		return nil, err
	}
	if t.outer, err = padded(key, 0x5c); err != nil {
		return nil, err
	}
	return t, nil
}

// padded is the state of SHA-256 after one block of key xor pad (RFC 2104).
func padded(key []byte, pad byte) ([]byte, error) {
	var block [sha256.BlockSize]byte
	copy(block[:], key)
	for i := range block {
		block[i] ^= pad
	}
	h := sha256.New()
	h.Write(block[:])
	return h.(encoding.BinaryMarshaler).MarshalBinary()
}

// Clone gives a tokenizer with the same key for another goroutine.
func (t *Tokenizer) Clone() *Tokenizer {
	c, err := build(t.key, t.normalize)
	if err != nil { // the same build succeeded before
		panic(err)
	}
	return c
}

// Token gives the token of an identifier; ok is false when it is empty, too long or malformed after normalisation.
func (t *Tokenizer) Token(identifier []byte) (tok Token, ok bool) {
	if len(identifier) == 0 || len(identifier) > MaxIdentifier {
		return tok, false
	}
	if t.buf, ok = t.normalize(t.buf[:0], identifier); !ok || len(t.buf) == 0 {
		return tok, false
	}
	t.buf = t.digest(t.inner, t.buf)
	t.buf = t.digest(t.outer, append(t.buf[:0], t.sum()...))
	return Token(t.sum()[:Size]), true
}

// digest leaves the hash of one block (that of the padded key, whose state is given) and a message in the state. It pads the message itself (FIPS 180-4, 5.1.1), so
// that the hash is done with one call and its state is the digest: asking for the sum would copy the hash and write the padding piece by piece,
// for half of what a token costs. The message's memory is given back, with the padding behind it.
func (t *Tokenizer) digest(state, message []byte) []byte {
	if err := t.restore.UnmarshalBinary(state); err != nil { // the state was marshalled by this process
		panic(err)
	}
	bits := uint64(sha256.BlockSize+len(message)) * 8
	const trailer = 1 + 8 // the mark, and the length
	zeros := -(len(message) + trailer) & (sha256.BlockSize - 1)
	message = append(append(message, 0x80), noBytes[:zeros]...)
	message = binary.BigEndian.AppendUint64(message, bits)
	t.hash.Write(message)
	var err error
	if t.state, err = t.save.AppendBinary(t.state[:0]); err != nil {
		panic(err)
	}
	return message
}

var noBytes [sha256.BlockSize]byte

// stateAt is where a marshalled state of SHA-256 holds the eight words of the digest, big endian: behind four bytes that name the format.
const stateAt = 4

func (t *Tokenizer) sum() []byte { return t.state[stateAt : stateAt+sha256.Size] }

// Rank orders the rows of one unit by a keyed hash: ordinal is the row's number among the rows of the unit. Ingest keeps the lowest ranks
// of a unit that has too many rows, so that nobody outside can tell or steer which.
func (t *Tokenizer) Rank(unit Token, ordinal uint32) uint64 {
	m := hmac.New(sha256.New, t.key)
	m.Write([]byte("concordat/v1/row\x00"))
	m.Write(unit[:])
	m.Write(binary.BigEndian.AppendUint32(nil, ordinal))
	return binary.BigEndian.Uint64(m.Sum(nil))
}

// ForUnit gives the tokenizers of a policy's unit: of the identifier in its column, and of the second one where it has one (else nil).
func ForUnit(root []byte, collaboration string, unit document.Unit, rules document.Namespace) (first, second *Tokenizer, err error) {
	if first, err = NewIdentifier(root, collaboration, unit.Namespace, unit.Identifier, rules); err != nil || unit.Then == "" {
		return first, nil, err
	}
	if rules.Then == nil {
		return nil, nil, fmt.Errorf("namespace %q: %w: it has no second identifier", unit.Namespace, ErrNormalize)
	}
	second, err = NewIdentifier(root, collaboration, unit.Namespace, rules.Then.Name, rules)
	return first, second, err
}

// RulesDigest names what the tokens of a dataset were made by: namespace, identifiers and their rules. Data with another one doesn't match.
func RulesDigest(unit document.Unit, rules document.Namespace) (canon.Digest, error) {
	own, ok := rules.Identifier(unit.Identifier)
	if !ok || unit.Then != "" && rules.Then == nil {
		return "", fmt.Errorf("namespace %q: %w: it lacks an identifier of the unit", unit.Namespace, ErrNormalize)
	}
	if unit.Then != "" {
		own.Then = rules.Then
	}
	return canon.SumValue(struct {
		Namespace  string             `json:"namespace"`
		Identifier string             `json:"identifier"`
		Rules      document.Namespace `json:"rules"`
	}{unit.Namespace, unit.Identifier, own.Explicit()})
}
