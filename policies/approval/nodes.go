package approval

import (
	"slices"

	"concordat.dev/protocol/document"
	"concordat.dev/protocol/dsse"
	"concordat.dev/protocol/key"
	"concordat.dev/protocol/membership"
)

// Standing is a manifest that is in force in a ledger, paused and expired ones too.
type Standing struct {
	Manifest *document.Manifest
	Left     []string // participants who left
}

// Electorate decides about the coordinators of a ledger: all participants of all manifests in force, each with its threshold of keys.
// Where there are none, any founder does: nothing is at stake yet.
type Electorate struct {
	InForce  []Standing
	Founders []string
}

// each calls do with every participant that has a say and its name as people read it.
func (e Electorate) each(do func(name string, p document.Participant)) {
	for _, s := range e.InForce {
		for _, p := range s.Manifest.Participants {
			if !slices.Contains(s.Left, p.ID) {
				do(s.Manifest.Collaboration+"/"+p.ID, p)
			}
		}
	}
}

// Demanded names all who have to sign, as COLLABORATION/PARTICIPANT.
func (e Electorate) Demanded() []string { return e.Missing(nil) }

// founder stands for any one of the founders.
const founder = "a founder"

// Missing names those whose signature is still needed.
func (e Electorate) Missing(signers []key.Public) []string {
	signed, asked := set(signers), false
	var out []string
	e.each(func(name string, p document.Participant) {
		asked = true
		if !reached(p, signed) {
			out = append(out, name)
		}
	})
	if !asked && !slices.ContainsFunc(e.Founders, func(k string) bool { return signed[k] }) {
		out = append(out, founder)
	}
	return out
}

// Verify returns the statement in an envelope and those with a say who signed it, at least one.
func (e Electorate) Verify(envelope dsse.Envelope) (membership.Statement, []key.Public, error) {
	var allowed []string
	e.each(func(_ string, p document.Participant) { allowed = append(allowed, p.Keys...) })
	if len(allowed) == 0 {
		allowed = e.Founders
	}
	keys, err := parseKeys(allowed)
	if err != nil {
		return membership.Statement{}, nil, err
	}
	s, signers, err := membership.Verify(envelope, keys)
	if err != nil {
		return membership.Statement{}, nil, notSigned(err)
	}
	return s, signers, nil
}
