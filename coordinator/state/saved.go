package state

import (
	"slices"
	"time"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/fault"
)

// Saved is a query that a person keeps, and may share. Name, text and parameters are sealed.
type Saved struct {
	ID          string       `json:"id"`
	Person      string       `json:"person"`
	Participant string       `json:"participant"`
	Shared      bool         `json:"shared,omitempty"`
	Sealed      []byte       `json:"sealed"`
	At          time.Time    `json:"at"`
	Plan        string       `json:"plan,omitempty"`     // of the text with its default values, where plans are reviewed
	Owners      []string     `json:"owners,omitempty"`   // who would have to approve it
	Manifest    canon.Digest `json:"manifest,omitempty"` // under which plan and owners were found
}

// The limits of what a collaboration keeps.
const (
	maxSavedOfOne = 100
	maxSaved      = 1000
	maxSavedBytes = 8 << 20
)

// Save keeps a query, or replaces one of the same person.
type Save struct {
	Collaboration string `json:"collaboration"`
	Saved         Saved  `json:"saved"`
}

func (Save) kind() string      { return "save" }
func (Save) yields() (r Saved) { return r }

func (c *change) save(b Save) (Saved, error) {
	collab := c.Collaborations[b.Collaboration]
	if collab == nil {
		return Saved{}, fault.Newf("save", fault.NotFound, "collaboration %q is not known", b.Collaboration)
	}
	s := b.Saved
	s.At = c.now()
	before := collab.Saved[s.ID]
	if before != nil && before.Person != s.Person {
		return Saved{}, fault.Newf("save", fault.Forbidden, "%s saved this query, and alone may change it: save it as a new one", before.Person)
	}
	bytes, ofOne := len(s.Sealed), 1
	for id, x := range collab.Saved {
		if id == s.ID {
			continue
		}
		bytes += len(x.Sealed)
		if x.Person == s.Person {
			ofOne++
		}
	}
	if ofOne > maxSavedOfOne || before == nil && len(collab.Saved) >= maxSaved || bytes > maxSavedBytes {
		return Saved{}, fault.Newf("save", fault.TooLarge, "no room: %d queries a person, %d a collaboration and %d MiB are kept; delete some", maxSavedOfOne, maxSaved, maxSavedBytes>>20)
	}
	if collab.Saved == nil {
		collab.Saved = map[string]*Saved{}
	}
	collab.Saved[s.ID] = &s
	return s, nil
}

// Forget deletes a saved query of a person.
type Forget struct {
	Collaboration string `json:"collaboration"`
	ID            string `json:"id"`
	Person        string `json:"person"`
}

func (Forget) kind() string     { return "forget" }
func (Forget) yields() (r bool) { return r }

func (c *change) forgetSaved(b Forget) (bool, error) {
	collab := c.Collaborations[b.Collaboration]
	if collab == nil || collab.Saved[b.ID] == nil || collab.Saved[b.ID].Person != b.Person {
		return false, fault.Newf("forget", fault.NotFound, "no saved query %q of yours", b.ID)
	}
	delete(collab.Saved, b.ID)
	return true, nil
}

// Saved lists the queries that a person keeps and those that others share, newest first.
func (m *Machine) Saved(collaboration, person string) []Saved {
	m.mu.RLock()
	defer m.mu.RUnlock()
	c := m.s.Collaborations[collaboration]
	if c == nil {
		return nil
	}
	var out []Saved
	for _, id := range sortedKeys(c.Saved) {
		if s := c.Saved[id]; s.Shared || s.Person == person {
			out = append(out, *s)
		}
	}
	slices.SortStableFunc(out, func(a, b Saved) int { return b.At.Compare(a.At) })
	return out
}
