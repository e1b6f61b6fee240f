package state

import (
	"encoding/json"
	"maps"
	"time"

	"concordat.dev/policies/budget"
)

// Agreed is all that people agreed on, paid or were given, in JSON: what must not change without a leaf. Left out is what the leaves themselves
// make (tree, entries), what only repeats or delays (outcomes, requests), and numbers and keys of uploads that nothing came of yet.
func (m *Machine) Agreed() ([]byte, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	s := m.s
	s.V, s.Index, s.Time = 0, 0, 0
	s.Order, s.Requests, s.Tree, s.Entries, s.Seen, s.SeenOrder, s.Notes, s.Uploads = nil, nil, nil, nil, nil, nil, nil, nil
	s.Head, s.Awaits = cosigned{}, nil
	if s.Handover != nil && !s.Handover.Done {
		s.Handover = nil
	}
	s.Collaborations = maps.Clone(s.Collaborations)
	for id, c := range s.Collaborations {
		copied := *c
		copied.Witnessed, copied.Plans, copied.Datasets = 0, map[string]*Plan{}, map[string]*dataset{}
		copied.Versions, copied.Nonces = nil, nil // of a statement that came again and changed nothing
		for _, v := range c.Versions {
			bare := *v
			bare.Cosigned = cosigned{}
			copied.Versions = append(copied.Versions, &bare)
		}
		for digest, p := range c.Plans {
			if len(p.Approved) > 0 { // the others only wait
				copied.Plans[digest] = &Plan{Approved: p.Approved}
			}
		}
		for name, d := range c.Datasets {
			if len(d.Versions) > 0 {
				copied.Datasets[name] = &dataset{Versions: d.Versions}
			}
		}
		s.Collaborations[id] = &copied
	}
	s.Queries, s.Budget = maps.Clone(s.Queries), &budget.Ledger{Accounts: s.Budget.Accounts, Lineage: s.Budget.Lineage, Owners: s.Budget.Owners}
	for id, q := range s.Queries {
		if q.PaidBy != q.ID { // answered by the release of the one that paid
			copied := *q
			copied.Status, copied.Receipt = "", 0
			s.Queries[id] = &copied
		}
	}
	return json.Marshal(s)
}

// Encode is a command as this build writes it, with an id and a salt of its own.
func Encode(kind string, now time.Time, body any) ([]byte, error) { return encode(kind, now, body) }
