package state

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"concordat.dev/policies/approval"
	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/fault"
)

// Handover is how far this ledger is on its way to another mesh. Once it is done, nothing is decided here any more.
type Handover struct {
	Until     int64         `json:"until,omitempty"` // Unix milliseconds of the state's time: new work is turned away before, and taken again after
	Done      bool          `json:"done,omitempty"`
	To        approval.Mesh `json:"to,omitzero"`
	Successor []byte        `json:"successor,omitempty"`
	Worker    []byte        `json:"worker,omitempty"` // what workers sealed to those of the successor
}

// ErrHandingOver says that the ledger is on its way to another mesh, or there.
var ErrHandingOver = errors.New("the ledger is being handed over to another mesh: repeat the request")

// Kinds of leaves of a handover: the last one of the mesh before, and the first one of the mesh after.
const (
	leafHandOver = "hand_over"
	leafInherit  = "inherit"
)

// admits says whether a command of a kind is taken: before there is a ledger, while one is handed over, and after it was.
func (s *state) admits(kind string) error {
	switch {
	case s.Ledger == "" && kind == (Init{}).kind() && s.Awaits != nil:
		return fault.Newf(kind, fault.Conflict, "this mesh waits for the ledger of another one")
	case s.Ledger == "" && !slices.Contains([]string{Init{}.kind(), Await{}.kind(), Receive{}.kind(), Adopt{}.kind()}, kind):
		return fault.Newf(kind, fault.Unavailable, "the cluster has no ledger yet: try again in a moment")
	case s.Handover == nil || kind == (HandOver{}).kind() || kind == (PrepareHandover{}).kind() && !s.Handover.Done:
		return nil
	case s.Handover.Done:
		return fault.New(kind, fault.Unavailable, ErrHandingOver)
	case s.Time < s.Handover.Until && slices.Contains([]string{Reserve{}.kind(), OpenUpload{}.kind(), Propose{}.kind(), Approve{}.kind(), ChangeNodes{}.kind()}, kind):
		return fault.New(kind, fault.Unavailable, ErrHandingOver)
	}
	return nil
}

// Agreed is a collaboration whose participants all signed for a successor.
type Agreed struct {
	InForce Manifest
	Next    Manifest
}

// agreement is the mesh for which all collaborations in force have signed versions. Those whose last day has passed need not: their keys stay.
func (s *state) agreement() (to *document.Mesh, agreed []string, err error) {
	const op = "hand over"
	var lacking []string
	for _, id := range sortedKeys(s.Collaborations) {
		collab := s.Collaborations[id]
		v := collab.newest()
		if v == nil || v.Status == Revoked {
			continue
		}
		why, next := s.lacks(collab), collab.pending()
		switch {
		case why == "" && to != nil && !approval.SameMesh(to, next.bundle.Manifest.Mesh):
			why = "pins another successor than the others"
		case why == "":
			to = next.bundle.Manifest.Mesh
			agreed = append(agreed, id)
		case approval.Expired(v.bundle.Manifest, s.clock(collab, v)):
			why = ""
		}
		if why != "" {
			lacking = append(lacking, id+": "+why)
		}
	}
	switch {
	case len(lacking) > 0:
		return nil, nil, fault.Newf(op, fault.Forbidden, "not all collaborations agreed: %s", strings.Join(lacking, "; "))
	case to == nil:
		return nil, nil, fault.Newf(op, fault.Conflict, "no collaboration is in force: set up the other mesh anew, there is nothing to hand over")
	}
	return to, agreed, nil
}

// lacks says why a collaboration has not agreed to a successor, empty where all participants of the version in force and of the next one signed.
func (s *state) lacks(collab *collaboration) string {
	next, before := collab.pending(), collab.newest()
	if next == nil || !approval.Succeeds(next.bundle.Manifest.Mesh, s.Mesh) {
		return "no version is proposed that pins a successor of this mesh"
	}
	status := approval.StatusOf(next.bundle.Manifest, before.bundle.Manifest, next.Signers)
	if !status.Complete() {
		return fmt.Sprintf("version %d is not signed by %s", next.bundle.Manifest.Version, strings.Join(status.Missing, ", "))
	}
	return ""
}

// Agreement tells the successor for which all collaborations in force signed, or what is missing.
func (m *Machine) Agreement() (document.Mesh, []Agreed, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	to, ids, err := m.s.agreement()
	if err != nil {
		return document.Mesh{}, nil, err
	}
	var out []Agreed
	for _, id := range ids {
		c := m.s.Collaborations[id]
		out = append(out, Agreed{InForce: m.s.manifest(c, c.newest()), Next: m.s.manifest(c, c.pending())})
	}
	return *to, out, nil
}

// Handover tells how far the ledger is on its way to another mesh; nil where it is on none.
func (m *Machine) Handover() *Handover {
	m.mu.RLock()
	defer m.mu.RUnlock()
	h := m.s.Handover
	if h == nil || !h.Done && m.s.Time >= h.Until {
		return nil
	}
	out := *h
	return &out
}

// Unsettled counts the queries since a time whose outcome is open.
func (m *Machine) Unsettled(since time.Time) int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	n := 0
	for i := range m.s.Order {
		q := m.s.Queries[m.s.Order[len(m.s.Order)-1-i]]
		if q.At.Before(since) {
			break // they are in the order of time
		}
		if q.Status == QueryReserved {
			n++
		}
	}
	return n
}

// PrepareHandover turns new work away for a while, so that what is under way can end. All collaborations in force have to have agreed. With
// Seconds 0 work is taken again.
type PrepareHandover struct {
	Seconds int64 `json:"seconds"`
}

func (PrepareHandover) kind() string         { return "prepare_handover" }
func (PrepareHandover) yields() (r Prepared) { return r }

// Prepared tells how many queries are under way.
type Prepared struct {
	Open int `json:"open"`
}

func (c *change) prepareHandover(b PrepareHandover) (Prepared, error) {
	if _, _, err := c.agreement(); err != nil {
		return Prepared{}, err
	}
	c.Handover = &Handover{Until: c.Time + b.Seconds*1000}
	return Prepared{}, nil
}

// HandOver ends this mesh: the versions that pin the successor come into force, and nothing is decided here any more. The state as it then
// is goes to the successor.
type HandOver struct {
	Successor []byte `json:"successor"`
	Worker    []byte `json:"worker"`
}

func (HandOver) kind() string         { return "hand_over" }
func (HandOver) yields() (r Handover) { return r }

func (c *change) handOver(b HandOver) (Handover, error) {
	if c.Handover != nil && c.Handover.Done {
		return Handover{Done: true, To: c.Handover.To}, nil
	}
	to, agreed, err := c.agreement()
	if err != nil {
		return Handover{}, err
	}
	for _, id := range agreed {
		c.activate(c.Collaborations[id], c.Collaborations[id].pending())
	}
	for _, id := range c.Order {
		c.letGo(c.Queries[id])
	}
	c.fact(leafHandOver, "", struct {
		To             document.Mesh `json:"to"`
		Collaborations []string      `json:"collaborations"`
	}{*to, agreed})
	c.Handover = &Handover{Done: true, To: *to, Successor: b.Successor, Worker: b.Worker}
	return Handover{Done: true, To: *to}, nil
}

// letGo forgets who asked a question that has no release: the successor's workers execute nothing under a version that pins this mesh. Its
// price stays spent; asking again is a new request there, and is paid again.
func (c *change) letGo(q *Query) {
	if c.answer(q) != nil {
		return
	}
	forgotten := c.edit(q)
	if q.Key != "" {
		delete(c.Requests, q.request())
		forgotten.Key = ""
	}
	if q.pays != "" {
		delete(c.Paid, q.pays)
		forgotten.pays = ""
	}
	if q.Status == QueryReserved {
		forgotten.Status = QueryFailed
	}
}

// founding is the digest of a collaboration's first manifest.
func (c *collaboration) founding() canon.Digest {
	if len(c.Versions) == 0 {
		return ""
	}
	return c.Versions[0].Digest
}
