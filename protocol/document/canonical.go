package document

import (
	"bytes"
	"encoding/json"
	"fmt"

	"concordat.dev/protocol/canon"
)

// Canonical is the manifest as RFC 8785 JSON: the bytes that are signed.
func (m *Manifest) Canonical() ([]byte, error) { return canon.Marshal(m) }

// Canonical is the policy as RFC 8785 JSON: the bytes whose digest the manifest carries.
func (p *Policy) Canonical() ([]byte, error) { return canon.Marshal(p) }

// ParseManifestJSON reads canonical bytes; anything else is refused, even the same content in other bytes.
func ParseManifestJSON(b []byte) (*Manifest, error) {
	m := new(Manifest)
	if err := parseJSON(b, m); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	return m, nil
}

// ParsePolicyJSON reads canonical bytes; anything else is refused, even the same content in other bytes.
func ParsePolicyJSON(b []byte) (*Policy, error) {
	p := new(Policy)
	if err := parseJSON(b, p); err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	return p, nil
}

func parseJSON(b []byte, v any) error {
	if len(b) > MaxSize {
		return fmt.Errorf("%d bytes; a document has at most %d", len(b), MaxSize)
	}
	return canon.Unmarshal(b, v)
}

func strictJSON(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return d.Decode(v)
}
