// Package seal encrypts what a coordinator leaves outside its enclave: log entries, snapshots, the node key, releases, query texts.
// AES-256-GCM under keys that HKDF-SHA256 derives from the coordinators' secret, one label each.
//
// Invariant: nothing sealed under one label or context opens under another; nonces are random, or counted under a fresh key.
//
// Sees: metadata
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
)

// Labels of the keys that are derived from the coordinators' secret.
const (
	Raft     = "concordat/v1/raft"     // entries of the replicated log
	Snap     = "concordat/v1/snap"     // snapshots
	Node     = "concordat/v1/node"     // a node's own key
	Log      = "concordat/v1/log"      // the transparency log's signing key
	Grant    = "concordat/v1/grant"    // the grants' signing key
	Release  = "concordat/v1/release"  // releases and receipts in the object store
	History  = "concordat/v1/history"  // texts of queries
	Handover = "concordat/v1/handover" // what is needed to take a ledger over, and what was inherited
	Backup   = "concordat/v1/backup"   // backups of the state
)

// MinSecret is the shortest secret that keys are derived from, in bytes.
const MinSecret = 32

// ErrOpen says that bytes were not sealed under this key and context, or were changed.
var ErrOpen = errors.New("sealed bytes do not open: another key, another context, or changed")

// Root is the coordinators' secret.
type Root struct{ secret []byte }

// NewRoot takes the secret that MarbleRun gave to this marble.
func NewRoot(secret []byte) (Root, error) {
	if len(secret) < MinSecret {
		return Root{}, fmt.Errorf("seal: secret of %d bytes, want %d or more", len(secret), MinSecret)
	}
	return Root{secret: secret}, nil
}

// Derive gives 32 bytes for a label and a context, such as the ledger id.
func (r Root) Derive(label, context string) []byte {
	out, err := hkdf.Key(sha256.New, r.secret, nil, label+"\x00"+context, 32)
	if err != nil {
		panic("seal: hkdf of 32 bytes: " + err.Error())
	}
	return out
}

// Key is the key of a label.
func (r Root) Key(label string) Key { return newKey(r.Derive(label, "")) }

// Key seals and opens.
type Key struct {
	raw  []byte
	aead cipher.AEAD
}

func newKey(raw []byte) Key {
	block, err := aes.NewCipher(raw)
	if err != nil {
		panic("seal: aes with 32 bytes: " + err.Error())
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic("seal: gcm: " + err.Error())
	}
	return Key{raw: raw, aead: aead}
}

// Seal encrypts plain; only the same context opens it. The result starts with a random 96-bit nonce.
func (k Key) Seal(plain []byte, context string) []byte {
	nonce := make([]byte, k.aead.NonceSize(), k.aead.NonceSize()+len(plain)+k.aead.Overhead())
	_, _ = rand.Read(nonce)
	return k.aead.Seal(nonce, nonce, plain, []byte(context))
}

// Open decrypts what Seal made.
func (k Key) Open(sealed []byte, context string) ([]byte, error) {
	n := k.aead.NonceSize()
	if len(sealed) < n {
		return nil, fmt.Errorf("seal: %w", ErrOpen)
	}
	plain, err := k.aead.Open(nil, sealed[:n], sealed[n:], []byte(context))
	if err != nil {
		return nil, fmt.Errorf("seal: %w", ErrOpen)
	}
	return plain, nil
}
