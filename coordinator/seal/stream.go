package seal

import (
	"bufio"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// chunk is the plaintext of one sealed piece of a stream.
const chunk = 1 << 20

const saltSize = 32

// Writer seals a stream of any length: a random salt that makes a key of its own, then pieces of 1 MiB, each under a nonce
// that counts and marks the last one, so that pieces can't be dropped, repeated, reordered or cut off.
func (k Key) Writer(w io.Writer) (io.WriteCloser, error) {
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt)
	if _, err := w.Write(salt); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return &writer{w: w, key: k.sub(salt), buf: make([]byte, 0, chunk)}, nil
}

// Reader opens what Writer sealed. It returns io.EOF only after the last piece verified.
func (k Key) Reader(r io.Reader) (io.Reader, error) {
	salt := make([]byte, saltSize)
	if _, err := io.ReadFull(r, salt); err != nil {
		return nil, fmt.Errorf("seal: %w: no salt", ErrOpen)
	}
	return &reader{r: bufio.NewReaderSize(r, chunk), key: k.sub(salt)}, nil
}

func (k Key) sub(salt []byte) Key {
	raw, err := hkdf.Key(sha256.New, k.raw, salt, "stream", 32)
	if err != nil {
		panic("seal: hkdf of 32 bytes: " + err.Error())
	}
	return newKey(raw)
}

func nonce(n uint64, last bool) []byte {
	b := make([]byte, 12)
	binary.BigEndian.PutUint64(b[:8], n)
	if last {
		b[11] = 1
	}
	return b
}

type writer struct {
	w   io.Writer
	key Key
	buf []byte
	n   uint64
}

func (w *writer) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 {
		if len(w.buf) == chunk { // only when more follows: the last piece is Close's
			if err := w.flush(false); err != nil {
				return total - len(p), err
			}
		}
		n := min(len(p), chunk-len(w.buf))
		w.buf = append(w.buf, p[:n]...)
		p = p[n:]
	}
	return total, nil
}

func (w *writer) flush(last bool) error {
	sealed := w.key.aead.Seal(nil, nonce(w.n, last), w.buf, nil)
	w.n++
	w.buf = w.buf[:0]
	if _, err := w.w.Write(sealed); err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	return nil
}

// Close seals the last piece. It does not close what is underneath.
func (w *writer) Close() error { return w.flush(true) }

type reader struct {
	r    *bufio.Reader
	key  Key
	rest []byte
	n    uint64
	done bool
}

func (r *reader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		if r.done {
			return 0, io.EOF
		}
		if err := r.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func (r *reader) next() error {
	sealed := make([]byte, chunk+r.key.aead.Overhead())
	n, err := io.ReadFull(r.r, sealed)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return fmt.Errorf("seal: %w", err)
	}
	_, peek := r.r.Peek(1)
	last := peek != nil
	plain, err := r.key.aead.Open(nil, nonce(r.n, last), sealed[:n], nil)
	if err != nil {
		return fmt.Errorf("seal: piece %d: %w", r.n, ErrOpen)
	}
	r.n++
	r.rest, r.done = plain, last
	return nil
}
