// Package noise draws the randomness of releases: a stream of pseudorandom words for every context under a secret key, and exact samples of the
// discrete Gaussian from it, by integer arithmetic alone.
//
// Invariant: the same key and context give the same samples forever. Whatever changes a sample changes Version; golden vectors in the tests guard that.
//
// Sees: metadata
package noise

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
)

// Version names the derivation of streams and the sampler. It is part of every context and of every receipt.
const Version = "concordat/noise/v1"

// Key is a secret from which streams derive. Who knows it can remove the noise.
type Key [sha256.Size]byte

// Derive is the key of a narrower context. Fields are encoded injectively: no two different lists of fields have the same key.
func (k Key) Derive(fields ...[]byte) Key { return k.prf("key", fields) }

// Stream is the stream of a context, independent of the streams of all other contexts.
func (k Key) Stream(fields ...[]byte) *Stream { return newStream(k.prf("stream", fields)) }

// Prf is HMAC-SHA256 over version, purpose, the number of fields and each field behind its length.
func (k Key) prf(purpose string, fields [][]byte) Key {
	mac := hmac.New(sha256.New, k[:])
	var n [8]byte
	write := func(b []byte) {
		binary.BigEndian.PutUint64(n[:], uint64(len(b)))
		mac.Write(n[:])
		mac.Write(b)
	}
	write([]byte(Version))
	write([]byte(purpose))
	binary.BigEndian.PutUint64(n[:], uint64(len(fields)))
	mac.Write(n[:])
	for _, f := range fields {
		write(f)
	}
	return Key(mac.Sum(nil))
}
