package upload

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"filippo.io/age"

	"concordat.dev/protocol/canon"
)

const (
	// MaxPart is the most plaintext of one part in bytes, without its header.
	MaxPart = 64 << 20
	// MaxCiphertext is more than any part of MaxPart bytes becomes: age adds its header and 16 bytes for each 64 KiB.
	MaxCiphertext = MaxPart + 1<<20

	partMagic     = "concordat.dev/part/v1\n"
	maxPartHeader = 1024
)

// The reasons for which a part is refused.
var (
	ErrPartTooLarge = errors.New("part is larger than 64 MiB")
	ErrPartHeader   = errors.New("part belongs elsewhere")
	ErrPartDigest   = errors.New("part is not the one that was signed")
)

// Header begins the plaintext of each part and binds it to its place, so that parts cannot be exchanged, repeated or taken from
// another upload. Number counts from 1.
type Header struct {
	Ledger        string `json:"ledger"`
	Collaboration string `json:"collaboration"`
	Dataset       string `json:"dataset"`
	Version       uint32 `json:"version"`
	Upload        string `json:"upload"`
	Number        uint32 `json:"number"`
}

func (h Header) marshal() ([]byte, error) {
	b, err := canon.Marshal(h)
	if err != nil {
		return nil, err
	}
	b = append(append([]byte(partMagic), b...), '\n')
	if len(b) > maxPartHeader {
		return nil, fmt.Errorf("%w: header of %d bytes, at most %d", ErrPartHeader, len(b), maxPartHeader)
	}
	return b, nil
}

// EncryptPart writes one part as an age file to w: header, then r to its end, at most MaxPart bytes. It returns what the upload
// statement says of the part. Memory does not grow with the part.
func EncryptPart(w io.Writer, recipient *age.HybridRecipient, h Header, r io.Reader) (Part, error) {
	fail := func(err error) (Part, error) { return Part{}, fmt.Errorf("encrypt part %d: %w", h.Number, err) }
	header, err := h.marshal()
	if err != nil {
		return fail(err)
	}
	sum := sha256.New()
	count := &counter{w: io.MultiWriter(w, sum)}
	enc, err := age.Encrypt(count, recipient)
	if err != nil {
		return fail(err)
	}
	if _, err = enc.Write(header); err != nil {
		return fail(err)
	}
	n, err := io.Copy(enc, io.LimitReader(r, MaxPart+1))
	if err != nil {
		return fail(err)
	}
	if n > MaxPart {
		return fail(ErrPartTooLarge)
	}
	if err = enc.Close(); err != nil {
		return fail(err)
	}
	return Part{Digest: canon.Of([sha256.Size]byte(sum.Sum(nil))), Size: count.n, Plain: n}, nil
}

// DecryptPart returns the plaintext of one part, after its header was found to be want. The reader fails at its end, in place of
// io.EOF, when the ciphertext is not the signed part: nothing of it counts before the end was reached.
func DecryptPart(identity age.Identity, want Header, signed Part, ciphertext io.Reader) (io.Reader, error) {
	fail := func(err error) (io.Reader, error) { return nil, fmt.Errorf("decrypt part %d: %w", want.Number, err) }
	header, err := want.marshal()
	if err != nil {
		return fail(err)
	}
	in := &meter{r: io.LimitReader(ciphertext, MaxCiphertext+1), sum: sha256.New()}
	dec, err := age.Decrypt(in, identity)
	if err != nil {
		return fail(err)
	}
	plain := bufio.NewReaderSize(dec, 1<<16)
	have := make([]byte, len(header))
	if _, err := io.ReadFull(plain, have); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fail(err)
	}
	if !bytes.Equal(have, header) {
		return fail(fmt.Errorf("%w: its header is not the one of part %d of upload %s", ErrPartHeader, want.Number, want.Upload))
	}
	return &part{plain: plain, in: in, signed: signed, number: want.Number}, nil
}

// part hands on plaintext and compares the ciphertext with the signed digest at the end.
type part struct {
	plain  *bufio.Reader
	in     *meter
	signed Part
	number uint32
	read   int64
	err    error
}

func (p *part) Read(b []byte) (int, error) {
	if p.err != nil {
		return 0, p.err
	}
	n, err := p.plain.Read(b)
	p.read += int64(n)
	switch {
	case p.read > MaxPart:
		n, p.err = 0, fmt.Errorf("decrypt part %d: %w", p.number, ErrPartTooLarge)
	case errors.Is(err, io.EOF):
		p.err = p.finish()
	case err != nil:
		p.err = fmt.Errorf("decrypt part %d: %w", p.number, err)
	}
	if n > 0 {
		return n, nil // the error comes with the next call
	}
	return 0, p.err
}

func (p *part) finish() error {
	if _, err := io.Copy(io.Discard, p.in); err != nil {
		return fmt.Errorf("decrypt part %d: %w", p.number, err)
	}
	if p.in.n != p.signed.Size || p.signed.Plain > 0 && p.read != p.signed.Plain || canon.Of([sha256.Size]byte(p.in.sum.Sum(nil))) != p.signed.Digest {
		return fmt.Errorf("decrypt part %d: %w", p.number, ErrPartDigest)
	}
	return io.EOF
}

type meter struct {
	r   io.Reader
	sum hash.Hash
	n   int64
}

func (m *meter) Read(b []byte) (int, error) {
	n, err := m.r.Read(b)
	m.sum.Write(b[:n])
	m.n += int64(n)
	return n, err
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}
