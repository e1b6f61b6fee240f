// Package receipt is the proof that travels with a release: what the worker signed, that it was logged, under which grant and which
// documents, and whose signatures stand behind those. Anyone can verify it offline who knows the digest of the manifest.
//
// Invariant: a receipt has one form of bytes, and no bit of it is loose: what Verify calls proved changes with none of them.
//
// Sees: plaintext rows of releases (aggregates with noise), never rows of datasets
package receipt

import (
	"encoding/json"
	"fmt"
	"slices"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/dsse"
	"concordat.dev/protocol/endorse"
	"concordat.dev/protocol/grant"
	"concordat.dev/protocol/key"
)

// Type is the only value of a receipt's type.
const Type = "concordat.dev/receipt/v1"

// MaxSize is the size of a receipt that Parse reads.
const MaxSize = 128 << 20

// Receipt is the whole bundle, as canonical JSON. Manifest, policies and result are objects in it whose bytes, as they stand there, are
// those that were signed or digested.
type Receipt struct {
	Type       string              `json:"type"`
	Body       endorse.Endorsement `json:"body"` // by the worker, over the in-toto statement; its canonical JSON is the body of the log's leaf
	Result     json.RawMessage     `json:"result"`
	SQL        string              `json:"sql,omitempty"` // the text, when whoever made the bundle may see it
	Index      int64               `json:"index"`         // of the leaf
	Salt       []byte              `json:"salt"`          // 32 bytes
	Proof      [][]byte            `json:"proof"`         // hashes from the leaf to the checkpoint's root, RFC 6962 section 2.1.1
	Checkpoint string              `json:"checkpoint"`    // C2SP tlog-checkpoint as a signed note
	Grant      grant.Signed        `json:"grant"`
	Manifest   json.RawMessage     `json:"manifest"`
	Policies   []json.RawMessage   `json:"policies"`
	Approvals  []dsse.Envelope     `json:"approvals"`        // by the keys of the manifest's participants and by no others: see Approvals
	Amends     []Amended           `json:"amends,omitempty"` // where not all signed, since one owner only tightened: the versions before, newest first, up to one that all signed
	Root       []byte              `json:"root"`             // MarbleRun's root certificate, DER
}

// Marshal writes the receipt as canonical JSON. A zero Type is filled in.
func (r Receipt) Marshal() ([]byte, error) {
	r.Type = Type
	b, err := canon.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("write receipt: %w", err)
	}
	return b, nil
}

// Parse reads what Marshal wrote, and nothing else. It verifies nothing.
func Parse(b []byte) (Receipt, error) {
	if len(b) > MaxSize {
		return Receipt{}, fmt.Errorf("read receipt: %w: %d bytes, at most %d", ErrInvalid, len(b), MaxSize)
	}
	var r Receipt
	if err := canon.Unmarshal(b, &r); err != nil {
		return Receipt{}, fmt.Errorf("read receipt: %w: %w", ErrInvalid, err)
	}
	if r.Type != Type {
		return Receipt{}, fmt.Errorf("read receipt: %w: type %.60q, want %s", ErrInvalid, r.Type, Type)
	}
	return r, nil
}

// Approvals leaves of envelopes what belongs into a receipt: the signatures by keys of the manifest's participants.
func Approvals(m *document.Manifest, envelopes []dsse.Envelope) []dsse.Envelope {
	var named []string
	for _, p := range m.Participants {
		named = append(named, p.Keys...)
	}
	out := []dsse.Envelope{}
	for _, e := range envelopes {
		kept := slices.DeleteFunc(slices.Clone(e.Signatures), func(s dsse.Signature) bool { return !slices.Contains(named, s.KeyID) })
		if len(kept) > 0 {
			e.Signatures = kept
			out = append(out, e)
		}
	}
	return out
}

func participantKeys(m *document.Manifest) []key.Public {
	var keys []key.Public
	for _, p := range m.Participants {
		for _, s := range p.Keys {
			if k, err := key.ParsePublic(s); err == nil {
				keys = append(keys, k)
			}
		}
	}
	return keys
}
