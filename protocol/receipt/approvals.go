package receipt

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/dsse"
	"concordat.dev/protocol/key"
	"concordat.dev/protocol/statement"
)

// Amended is a version of the manifest that a later one tightened without being signed by all.
type Amended struct {
	Manifest  json.RawMessage   `json:"manifest"`
	Policies  []json.RawMessage `json:"policies"`
	Approvals []dsse.Envelope   `json:"approvals"`
}

// maxAmended is how many versions in a row may have come into force by one owner each.
const maxAmended = 64

func (v *verification) checkApprovals() (Status, string, error) {
	bundle := v.bundle
	signers, missing, err := signed(v.Manifest, bundle.Manifest, v.Approvals)
	if err != nil {
		return Failed, "", err
	}
	if missing == nil && len(v.Amends) == 0 {
		return Proved, fmt.Sprintf("all %d participants signed this manifest", len(bundle.Manifest.Participants)), nil
	}
	if len(v.Amends) > maxAmended {
		return Failed, "", fmt.Errorf("%d versions before, at most %d", len(v.Amends), maxAmended)
	}
	detail := ""
	for i, a := range v.Amends {
		if missing == nil {
			return Failed, "", fmt.Errorf("version %d was signed by all, and yet a version before it is there", bundle.Manifest.Version)
		}
		before, err := open(a)
		if err != nil {
			return Failed, "", fmt.Errorf("version before %d: %w", bundle.Manifest.Version, err)
		}
		if v.options.Tightens == nil {
			return Failed, "", fmt.Errorf("version %d was not signed by all, and this verifier cannot judge whether it only tightens", bundle.Manifest.Version)
		}
		owner, ok := v.options.Tightens(bundle, before, signers)
		if !ok {
			return Failed, "", fmt.Errorf("version %d: %w, and it does more than tighten policies of one owner who signed", bundle.Manifest.Version, missing)
		}
		detail += fmt.Sprintf("; version %d only tightens policies of %s, who signed it", bundle.Manifest.Version, owner)
		if signers, missing, err = signed(a.Manifest, before.Manifest, a.Approvals); err != nil {
			return Failed, "", fmt.Errorf("version before, %d: %w", i+1, err)
		}
		bundle = before
	}
	if missing != nil {
		return Failed, "", missing
	}
	return Proved, fmt.Sprintf("all %d participants signed version %d", len(bundle.Manifest.Participants), bundle.Manifest.Version) + detail, nil
}

func open(a Amended) (*document.Bundle, error) {
	policies := make([][]byte, len(a.Policies))
	for i, p := range a.Policies {
		policies[i] = p
	}
	b, err := document.OpenSigned(a.Manifest, policies)
	if err != nil {
		return nil, err
	}
	if problems := b.Validate(document.Signed); len(problems) > 0 {
		return nil, errors.New(problems[0].String())
	}
	return b, nil
}

// signed checks every approval of a manifest and returns the keys that signed it; missing says whose signatures are not there, nil if none is.
func signed(raw []byte, m *document.Manifest, approvals []dsse.Envelope) (keys []key.Public, missing, err error) {
	allowed := participantKeys(m)
	want := statement.Statement{
		Type: statement.Type, Action: statement.Approve, Ledger: m.Mesh.Ledger, Collaboration: m.Collaboration, Version: m.Version, Subject: canon.Sum(raw),
	}
	for i, e := range approvals {
		s, signers, err := statement.Verify(e, allowed)
		switch {
		case err != nil:
			return nil, nil, fmt.Errorf("approval %d: %w", i+1, err)
		case s != want:
			return nil, nil, fmt.Errorf("approval %d is not for this manifest", i+1)
		case len(signers) != len(e.Signatures):
			return nil, nil, fmt.Errorf("approval %d has signatures by keys that the manifest does not name", i+1)
		}
		for _, k := range signers {
			if !slices.Contains(keys, k) {
				keys = append(keys, k)
			}
		}
	}
	for _, p := range m.Participants {
		n := 0
		for _, k := range keys {
			if slices.Contains(p.Keys, k.String()) {
				n++
			}
		}
		if n < p.Threshold {
			return keys, fmt.Errorf("%s: %d of %d signatures", p.ID, n, p.Threshold), nil
		}
	}
	return keys, nil, nil
}
