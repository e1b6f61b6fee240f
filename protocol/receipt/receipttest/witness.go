package receipttest

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"testing"
)

// Witness cosigns as C2SP tlog-cosignature v1 says, written apart from the code that verifies.
type Witness struct {
	name string
	key  ed25519.PrivateKey
}

// NewWitness makes a witness of that name with a fresh key.
func NewWitness(t testing.TB, name string) Witness {
	t.Helper()
	_, k, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	return Witness{name, k}
}

// As is the same key under another name.
func (w Witness) As(name string) Witness { return Witness{name, w.key} }

func (w Witness) encoded() []byte { return append([]byte{4}, w.key.Public().(ed25519.PublicKey)...) }

// Name implements note.Signer.
func (w Witness) Name() string { return w.name }

// KeyHash implements note.Signer.
func (w Witness) KeyHash() uint32 {
	sum := sha256.Sum256(append([]byte(w.name+"\n"), w.encoded()...))
	return binary.BigEndian.Uint32(sum[:4])
}

// VKey is the verifier key for a manifest.
func (w Witness) VKey() string {
	return fmt.Sprintf("%s+%08x+%s", w.name, w.KeyHash(), base64.StdEncoding.EncodeToString(w.encoded()))
}

// Sign implements note.Signer.
func (w Witness) Sign(msg []byte) ([]byte, error) {
	const at = 1763910000
	sig := ed25519.Sign(w.key, append(fmt.Appendf(nil, "cosignature/v1\ntime %d\n", at), msg...))
	return append(binary.BigEndian.AppendUint64(nil, at), sig...), nil
}
