package state

import (
	"slices"
	"time"
)

// Note is an entry of the audit trail that is no query: one that was refused, or a call that was denied. It is kept beside the queries,
// not in the transparency log.
type Note struct {
	ID            string    `json:"id"`
	At            time.Time `json:"at"`
	Kind          string    `json:"kind"` // refused | denied
	Collaboration string    `json:"collaboration"`
	Person        string    `json:"person,omitempty"`
	Participant   string    `json:"participant,omitempty"`
	Key           string    `json:"key,omitempty"`
	Operation     string    `json:"operation"`
	Reason        string    `json:"reason"`           // codes of the refusals, or why the call was denied; no text of a query
	SQL           []byte    `json:"sql,omitempty"`    // sealed
	Owners        []string  `json:"owners,omitempty"` // whose data it would have read, as far as known
	Datasets      []string  `json:"datasets,omitempty"`
	Version       int       `json:"version,omitempty"` // of the manifest in force
}

// maxNotes is how many are kept; the oldest go first.
const maxNotes = 100_000

// NoteDown adds to the audit trail.
type NoteDown struct {
	Note Note `json:"note"`
}

func (NoteDown) kind() string     { return "note" }
func (NoteDown) yields() (r bool) { return r }

func (c *change) noteDown(b NoteDown) (bool, error) {
	b.Note.At = c.now()
	if len(c.Notes) >= maxNotes {
		c.Notes = slices.Delete(c.Notes, 0, len(c.Notes)-maxNotes+1)
	}
	c.Notes = append(c.Notes, b.Note)
	return true, nil
}

// Notes lists notes of a collaboration, newest first, for which keep is true, at most limit.
func (m *Machine) Notes(collaboration string, limit int, keep func(*Note) bool) []Note {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var out []Note
	for i := range slices.Backward(m.s.Notes) {
		if len(out) == limit {
			break
		}
		if n := &m.s.Notes[i]; n.Collaboration == collaboration && keep(n) {
			out = append(out, *n)
		}
	}
	return out
}
