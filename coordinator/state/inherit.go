package state

import (
	"bytes"
	"errors"
	"slices"

	"concordat.dev/policies/approval"
	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/fault"
)

// Await makes an empty cluster wait for the ledger of another mesh. Later ones change nothing.
type Await struct {
	Awaiting
}

// Awaiting is a cluster that waits: what it is, and the identities to which the mesh before seals. Their private halves are sealed here, and gone
// once the ledger is there.
type Awaiting struct {
	Mesh                approval.Mesh `json:"mesh"` // without ledger
	Coordinator         []byte        `json:"coordinator"`
	CoordinatorIdentity []byte        `json:"coordinator_identity"`
	Worker              []byte        `json:"worker"`
	WorkerIdentity      []byte        `json:"worker_identity"`
	Digest              canon.Digest  `json:"digest,omitempty"` // of the state that is being received
	Received            []byte        `json:"received,omitempty"`
}

func (Await) kind() string         { return "await" }
func (Await) yields() (r Awaiting) { return r }

func (c *change) await(b Await) (Awaiting, error) {
	if c.Ledger != "" {
		return Awaiting{}, fault.Newf("await", fault.Conflict, "this mesh has a ledger: only a new one can take another's over")
	}
	if c.Awaits == nil {
		c.Awaits = &b.Awaiting
	}
	return Awaiting{}, nil
}

// Awaits is what a cluster that waits for a ledger has made for it, nil where it waits for none.
func (m *Machine) Awaits() *Awaiting {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.s.Awaits == nil {
		return nil
	}
	out := *m.s.Awaits
	return &out
}

// Receive brings a piece of the state of the mesh before. Pieces of another state than the last one begin anew.
type Receive struct {
	Digest canon.Digest `json:"digest"` // of the whole
	Offset int          `json:"offset"`
	Piece  []byte       `json:"piece"`
}

func (Receive) kind() string         { return "receive" }
func (Receive) yields() (r Received) { return r }

// Received tells how many bytes are there: where the next piece begins.
type Received struct {
	Have int `json:"have"`
}

func (c *change) receive(b Receive) (Received, error) {
	if c.Ledger != "" || c.Awaits == nil {
		return Received{}, fault.Newf("receive", fault.Conflict, "this mesh waits for no ledger")
	}
	a := *c.Awaits
	if a.Digest != b.Digest {
		a.Digest, a.Received = b.Digest, nil
	}
	if b.Offset == len(a.Received) {
		a.Received = append(slices.Clip(a.Received), b.Piece...)
	}
	c.Awaits = &a
	return Received{Have: len(a.Received)}, nil
}

// Estate is what a mesh inherited, sealed under its own secrets.
type Estate struct {
	Roots       [][]byte `json:"roots"` // root certificates (DER) of the meshes before, oldest first
	Coordinator []byte   `json:"coordinator"`
	Worker      []byte   `json:"worker"`
}

// Adopt makes the state that was received this cluster's own. That a coordinator of the mesh before signed it was checked by who submits this.
type Adopt struct {
	Digest canon.Digest `json:"digest"`
	Estate Estate       `json:"estate"`
}

func (Adopt) kind() string            { return "adopt" }
func (Adopt) yields() (r Initialised) { return r }

// errAdopt says why a state cannot be taken over.
var errAdopt = errors.New("the state is not what the mesh before handed over to this one")

func (c *change) adopt(b Adopt) (Initialised, error) {
	if c.Ledger != "" && c.Estate != nil {
		return Initialised{c.Ledger}, nil
	}
	const op = "adopt"
	if c.Awaits == nil || c.Awaits.Digest != b.Digest || canon.Sum(c.Awaits.Received) != b.Digest {
		return Initialised{}, fault.Newf(op, fault.Unavailable, "the state is not all there: send it again")
	}
	next := New()
	if _, err := next.Restore(bytes.NewReader(c.Awaits.Received)); err != nil {
		return Initialised{}, fault.New(op, fault.Invalid, err)
	}
	s := next.s
	if err := s.takenOver(c.Awaits.Mesh, b.Estate.Roots); err != nil {
		return Initialised{}, fault.New(op, fault.Forbidden, err)
	}
	from := s.Mesh
	s.Mesh, s.Handover, s.Estate = s.Handover.To, nil, &b.Estate
	s.Mesh.Voters = c.Awaits.Mesh.Voters
	s.Members = members{Number: s.Members.Number, Settled: s.Members.Number, Changes: s.Members.Changes}
	s.Index, s.Time = c.index, max(s.Time, c.Time)
	*c.state = s
	c.fact(leafInherit, "", struct {
		From document.Mesh `json:"from"`
		Mesh document.Mesh `json:"mesh"`
	}{from, c.Mesh})
	return Initialised{c.Ledger}, nil
}

// takenOver says whether a state was handed over to this mesh, by the meshes whose roots these are, with the signatures of all.
func (s *state) takenOver(mesh approval.Mesh, roots [][]byte) error {
	if s.Handover == nil || !s.Handover.Done {
		return errAdopt
	}
	mesh.Ledger, mesh.Inherits = s.Ledger, nil
	for _, root := range roots {
		mesh.Inherits = append(mesh.Inherits, canon.Sum(root).String())
	}
	if !approval.SameMesh(&mesh, &s.Handover.To) || !slices.Equal(mesh.Inherits, approval.Lineage(s.Mesh)) {
		return errAdopt
	}
	if v := s.Handover.To.Voters; len(v) > 0 && !slices.Equal(slices.Sorted(slices.Values(v)), slices.Sorted(slices.Values(mesh.Voters))) {
		return errors.Join(errAdopt, errors.New("the manifests pin other coordinators (mesh.voters)"))
	}
	for _, id := range sortedKeys(s.Collaborations) {
		collab := s.Collaborations[id]
		v := collab.active()
		if v == nil || !approval.SameMesh(v.bundle.Manifest.Mesh, &mesh) {
			continue
		}
		before := collab.before(v)
		if before == nil || !approval.StatusOf(v.bundle.Manifest, before, v.Signers).Complete() {
			return errAdopt
		}
	}
	return nil
}

// Estate is what this mesh inherited, nil where it was founded.
func (m *Machine) Estate() *Estate {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.s.Estate
}

// Founding is the digest of a collaboration's first manifest, empty where none was proposed.
func (m *Machine) Founding(collaboration string) canon.Digest {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if c := m.s.Collaborations[collaboration]; c != nil {
		return c.founding()
	}
	return ""
}
