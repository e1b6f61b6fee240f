package log

import (
	"encoding/base64"
	"fmt"

	"golang.org/x/mod/sumdb/note"

	"concordat.dev/protocol/key"
)

// Signer signs checkpoints of one ledger's log.
type Signer struct {
	origin string
	key    key.Private
	hash   uint32
}

// NewSigner takes the origin (the log's name) and the ledger's log key.
func NewSigner(origin string, k key.Private) (*Signer, error) {
	vkey, err := note.NewEd25519VerifierKey(origin, k.Public().Bytes())
	if err != nil {
		return nil, fmt.Errorf("log: %w", err)
	}
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return nil, fmt.Errorf("log: %w", err)
	}
	return &Signer{origin: origin, key: k, hash: v.KeyHash()}, nil
}

// Name implements note.Signer.
func (s *Signer) Name() string { return s.origin }

// KeyHash implements note.Signer.
func (s *Signer) KeyHash() uint32 { return s.hash }

// Sign implements note.Signer.
func (s *Signer) Sign(msg []byte) ([]byte, error) { return s.key.Sign(msg), nil }

// Checkpoint signs the root of a size of the tree. The tree must be one that the state machine applied: it then is committed, and as
// trees only grow there are never two roots of one size. Ed25519 is deterministic, so all nodes sign the same bytes.
func (s *Signer) Checkpoint(t *Tree, size int64) ([]byte, error) {
	root, err := t.Root(size)
	if err != nil {
		return nil, err
	}
	text := fmt.Sprintf("%s\n%d\n%s\n", s.origin, size, base64.StdEncoding.EncodeToString(root[:]))
	signed, err := note.Sign(&note.Note{Text: text}, s)
	if err != nil {
		return nil, fmt.Errorf("log: checkpoint of size %d: %w", size, err)
	}
	return signed, nil
}
