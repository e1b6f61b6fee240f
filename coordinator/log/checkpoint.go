package log

import (
	"fmt"

	"golang.org/x/mod/sumdb/note"

	"concordat.dev/protocol/checkpoint"
	"concordat.dev/protocol/key"
)

// Signer signs checkpoints of one ledger's log.
type Signer struct {
	note.Verifier
	ledger string
	key    key.Private
}

// NewSigner takes the ledger id and its log key.
func NewSigner(ledger string, k key.Private) (*Signer, error) {
	v, err := checkpoint.LogVerifier(ledger, k.Public())
	if err != nil {
		return nil, fmt.Errorf("log: %w", err)
	}
	return &Signer{Verifier: v, ledger: ledger, key: k}, nil
}

// Sign implements note.Signer.
func (s *Signer) Sign(msg []byte) ([]byte, error) { return s.key.Sign(msg), nil }

// Checkpoint signs the root of a size of the tree. The tree must be one that the state machine applied: it then is committed, and as
// trees only grow there are never two roots of one size. Ed25519 is deterministic, so all nodes sign the same bytes.
func (s *Signer) Checkpoint(t *Tree, size int64) ([]byte, error) {
	root, err := t.Root(size)
	if err != nil {
		return nil, err
	}
	signed, err := note.Sign(&note.Note{Text: checkpoint.Text(s.ledger, size, root)}, s)
	if err != nil {
		return nil, fmt.Errorf("log: checkpoint of size %d: %w", size, err)
	}
	return signed, nil
}
