package storage

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"

	"concordat.dev/protocol/canon"
)

// ErrWrap says that a wrap doesn't open: it was changed, or belongs to another dataset, version, ledger or purpose.
var ErrWrap = errors.New("wrapped key doesn't open")

// wrapForm is the first byte of each wrap, so that another form can follow.
const wrapForm = 1

// Purpose says what a wrapped secret is for; a wrap of one purpose never opens as another.
type Purpose string

// The purposes of this build.
const (
	FileKeys       Purpose = "file-keys"       // the keys of a sealed dataset's files, 32 bytes each, in order
	UploadIdentity Purpose = "upload-identity" // the private half of the age recipient of one upload
	HeirIdentity   Purpose = "heir-identity"   // the private half of the age recipient of a handover
	Inheritance    Purpose = "inheritance"     // what a mesh before handed over
)

// Binding is the one dataset version that a wrapped secret belongs to.
type Binding struct {
	Ledger        string `json:"ledger"`
	Collaboration string `json:"collaboration"`
	Owner         string `json:"owner"` // the owner's first key, which unlike a name can't be taken over
	Dataset       string `json:"dataset"`
	Version       uint32 `json:"version"`
}

// Wrapper encrypts secrets under a key of a worker root, so that the replicated state can hold them for all workers.
type Wrapper struct {
	aead  cipher.AEAD
	older []cipher.AEAD
}

// NewWrapper derives the wrapping keys by HKDF-SHA256: it wraps under the root, and opens under the older ones too.
func NewWrapper(root []byte, older ...[]byte) (*Wrapper, error) {
	w := &Wrapper{}
	var err error
	if w.aead, err = wrapping(root); err != nil {
		return nil, err
	}
	for _, o := range older {
		aead, err := wrapping(o)
		if err != nil {
			return nil, err
		}
		w.older = append(w.older, aead)
	}
	return w, nil
}

func wrapping(root []byte) (cipher.AEAD, error) {
	if len(root) < 32 {
		return nil, errors.New("worker root has fewer than 32 bytes")
	}
	key, err := hkdf.Key(sha256.New, root, nil, "concordat/v1/wrap", 32)
	if err != nil {
		return nil, fmt.Errorf("derive the wrapping key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("derive the wrapping key: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("derive the wrapping key: %w", err)
	}
	return aead, nil
}

// Wrap gives form, nonce (96 bits, random) and AES-256-GCM ciphertext; purpose and binding are its associated data.
func (w *Wrapper) Wrap(purpose Purpose, b Binding, secret []byte) ([]byte, error) {
	data, err := associated(purpose, b)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 1+w.aead.NonceSize(), 1+w.aead.NonceSize()+len(secret)+w.aead.Overhead())
	out[0] = wrapForm
	if _, err := rand.Read(out[1:]); err != nil {
		return nil, fmt.Errorf("wrap %s: %w", purpose, err)
	}
	return w.aead.Seal(out, out[1:], secret, data), nil //nolint:gosec // the nonce is random, as drawn above
}

// Unwrap opens what Wrap made for the same purpose and binding, else it gives ErrWrap.
func (w *Wrapper) Unwrap(purpose Purpose, b Binding, wrap []byte) ([]byte, error) {
	data, err := associated(purpose, b)
	if err != nil {
		return nil, err
	}
	n := 1 + w.aead.NonceSize()
	if len(wrap) < n || wrap[0] != wrapForm {
		return nil, fmt.Errorf("%s of %s version %d: %w: not a wrap", purpose, b.Dataset, b.Version, ErrWrap)
	}
	for _, aead := range append([]cipher.AEAD{w.aead}, w.older...) {
		if secret, err := aead.Open(nil, wrap[1:n], wrap[n:], data); err == nil {
			return secret, nil
		}
	}
	return nil, fmt.Errorf("%s of %s version %d: %w", purpose, b.Dataset, b.Version, ErrWrap)
}

func associated(purpose Purpose, b Binding) ([]byte, error) {
	return canon.Marshal(struct {
		Binding
		Purpose Purpose `json:"purpose"`
	}{b, purpose})
}
