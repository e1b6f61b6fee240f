package approval

import (
	"slices"
	"time"

	"concordat.dev/protocol/document"
	"concordat.dev/protocol/key"
)

// Status says which participants have signed a manifest.
type Status struct {
	Signed    []string
	Missing   []string
	By        string    // the owner that brought a tightening into force alone, else empty
	NotBefore time.Time // when a recovery that all others signed can take effect, else zero
}

// Complete says that nobody's signature is missing.
func (s Status) Complete() bool { return len(s.Missing) == 0 }

// StatusOf judges the keys that signed a manifest. A participant of both versions signs with its old threshold of old keys and its new
// threshold of new keys, and with every key that it adds (rotation proves both); one that is new, or leaves, with its own.
func StatusOf(m, previous *document.Manifest, signers []key.Public) Status {
	signed := set(signers)
	var s Status
	for _, id := range participants(m, previous) {
		if satisfied(id, m, previous, signed) {
			s.Signed = append(s.Signed, id)
		} else {
			s.Missing = append(s.Missing, id)
		}
	}
	return s
}

func participants(m, previous *document.Manifest) []string {
	var ids []string
	for _, doc := range []*document.Manifest{m, previous} {
		if doc == nil {
			continue
		}
		for _, p := range doc.Participants {
			if !slices.Contains(ids, p.ID) {
				ids = append(ids, p.ID)
			}
		}
	}
	return ids
}

func satisfied(id string, m, previous *document.Manifest, signed map[string]bool) bool {
	now, here := m.Participant(id)
	var before document.Participant
	was := false
	if previous != nil {
		before, was = previous.Participant(id)
	}
	if here && !reached(now, signed) || was && !reached(before, signed) {
		return false
	}
	if here && was {
		for _, k := range now.Keys {
			if !slices.Contains(before.Keys, k) && !signed[k] {
				return false
			}
		}
	}
	return true
}

func reached(p document.Participant, signed map[string]bool) bool {
	n := 0
	for i, k := range p.Keys {
		if signed[k] && slices.Index(p.Keys, k) == i {
			n++
		}
	}
	return n >= max(1, p.Threshold)
}
