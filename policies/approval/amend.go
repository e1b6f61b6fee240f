package approval

import (
	"bytes"
	"slices"
	"time"

	"concordat.dev/policies/change"
	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/key"
)

// RecoveryWait is how long a recovery lies open before it can take effect: time for who did not lose the keys to object with them.
const RecoveryWait = 72 * time.Hour

// Version is a proposed version with all that decides whether it is in force.
type Version struct {
	Next, Previous *document.Bundle // Previous is nil for the first version
	Left           []string         // participants of Previous that signed that they leave
	Signers        []key.Public
	Proposed, Now  time.Time
}

// Status judges who has signed. All have to, but: who left is not asked; where the version before allows it, the owner alone brings a
// version into force that only tightens the owner's policies, and the others one that only gives a participant new keys, RecoveryWait after
// it was proposed.
func (v Version) Status() Status {
	var before *document.Manifest
	if v.Previous != nil {
		before = v.Previous.Manifest
	}
	s := StatusOf(v.Next.Manifest, before, v.Signers)
	s.Missing = slices.DeleteFunc(s.Missing, func(id string) bool {
		_, stays := v.Next.Manifest.Participant(id)
		return !stays && slices.Contains(v.Left, id)
	})
	if v.Previous == nil || s.Complete() || slices.ContainsFunc(v.Left, v.names) { // who left comes back by its own signature alone
		return s
	}
	if owner, ok := Tightens(v.Next, v.Previous, v.Signers); ok {
		return Status{Signed: s.Signed, By: owner}
	}
	who, ok := recovers(v.Next, v.Previous)
	if !ok || !slices.Equal(s.Missing, []string{who}) || !holds(v.Next.Manifest, who, v.Signers) {
		return s
	}
	if s.NotBefore = v.Proposed.Add(RecoveryWait); v.Now.Before(s.NotBefore) {
		return s
	}
	return Status{Signed: append(s.Signed, who)}
}

func (v Version) names(participant string) bool {
	_, named := v.Next.Manifest.Participant(participant)
	return named
}

// Tightening is the owner who may bring next into force alone: the version before allows it, and nothing changes but that policies of this
// owner protect more.
func Tightening(next, previous *document.Bundle) (owner string, ok bool) {
	if !previous.Manifest.Tightening() || next.Manifest.Version != previous.Manifest.Version+1 {
		return "", false
	}
	policiesApart := func(m *document.Manifest) {
		m.Datasets = slices.Clone(m.Datasets)
		for i := range m.Datasets {
			m.Datasets[i].Policy, m.Datasets[i].PolicyDigest = "", ""
		}
	}
	changes := change.Between(previous, next)
	if len(changes) == 0 || !same(next.Manifest, previous.Manifest, policiesApart) {
		return "", false
	}
	owner = changes[0].Owner
	return owner, owner != "" && change.TightensOnly(changes, owner)
}

// Tightens says that this owner signed such a version, with the keys of the version before.
func Tightens(next, previous *document.Bundle, signers []key.Public) (owner string, ok bool) {
	if owner, ok = Tightening(next, previous); !ok {
		return "", false
	}
	p, _ := previous.Manifest.Participant(owner)
	return owner, reached(p, set(signers))
}

// recovers is the participant that next gives new keys, all of them, while nothing else changes; the version before allows it.
func recovers(next, previous *document.Bundle) (participant string, ok bool) {
	if !previous.Manifest.Recovery() || len(next.Manifest.Participants) != len(previous.Manifest.Participants) {
		return "", false
	}
	for i, p := range next.Manifest.Participants {
		old := previous.Manifest.Participants[i]
		if p.ID != old.ID || slices.Equal(p.Keys, old.Keys) {
			continue
		}
		if participant != "" || slices.ContainsFunc(p.Keys, func(k string) bool { return slices.Contains(old.Keys, k) }) {
			return "", false
		}
		participant = p.ID
	}
	keysApart := func(m *document.Manifest) {
		m.Participants = slices.Clone(m.Participants)
		for i, p := range m.Participants {
			if p.ID == participant {
				m.Participants[i].Keys, m.Participants[i].Threshold = nil, 0
			}
		}
	}
	return participant, participant != "" && same(next.Manifest, previous.Manifest, keysApart)
}

// same says that two manifests differ in nothing but their version and what apart takes out of a copy.
func same(a, b *document.Manifest, apart func(*document.Manifest)) bool {
	bytesOf := func(m *document.Manifest) []byte {
		m = m.WithDefaults()
		m.Version = 0
		apart(m)
		raw, err := canon.Marshal(m)
		if err != nil {
			return nil
		}
		return raw
	}
	x, y := bytesOf(a), bytesOf(b)
	return len(x) > 0 && bytes.Equal(x, y)
}

// holds says that a participant signed with every key that a manifest gives it.
func holds(m *document.Manifest, participant string, signers []key.Public) bool {
	p, ok := m.Participant(participant)
	signed := set(signers)
	return ok && len(p.Keys) > 0 && !slices.ContainsFunc(p.Keys, func(k string) bool { return !signed[k] })
}

func set(signers []key.Public) map[string]bool {
	signed := map[string]bool{}
	for _, k := range signers {
		signed[k.String()] = true
	}
	return signed
}
