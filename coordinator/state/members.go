package state

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"time"

	"concordat.dev/policies/approval"
	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/dsse"
	"concordat.dev/protocol/fault"
	"concordat.dev/protocol/key"
	"concordat.dev/protocol/membership"
)

// members is what organisations agreed about the coordinators. Those that there are to be are Mesh.Voters. Maps and slices are not changed in
// place: a snapshot may be reading them.
type members struct {
	Number    int               `json:"number,omitempty"`    // of the last change
	Settled   int               `json:"settled,omitempty"`   // of the last change that the coordinators carried out
	Addresses map[string]string `json:"addresses,omitempty"` // of coordinators that a statement named, by key
	Changes   []NodeChange      `json:"changes,omitempty"`
	Proposed  []NodeChange      `json:"proposed,omitempty"` // that lack signatures, the next number all of them
	Lineage   string            `json:"lineage,omitempty"`  // digest of the newest recovery
}

// NodeChange is a statement about coordinators with all who signed it.
type NodeChange struct {
	Statement []byte       `json:"statement"` // payload
	Envelopes [][]byte     `json:"envelopes"`
	Signers   []key.Public `json:"signers"`
	Index     int64        `json:"index,omitempty"` // of its leaf, once it took effect
	At        time.Time    `json:"at"`
}

// Said is what the statement says.
func (n NodeChange) Said() membership.Statement {
	s, err := membership.Parse(n.Statement)
	if err != nil {
		panic(fmt.Sprintf("state: a statement that was verified before: %v", err))
	}
	return s
}

// maxProposedNodes is how many different changes wait for signatures; the oldest make room.
const maxProposedNodes = 8

// Kinds of leaves that concern the coordinators, and so every collaboration.
const (
	leafSignedNodes = "approve_nodes"
	leafRecover     = string(membership.Recover)
)

func concernsAll(kind string) bool {
	switch kind {
	case leafHandOver, leafInherit, leafSignedNodes, leafRecover, string(membership.Join), string(membership.Remove):
		return true
	default:
		return false
	}
}

// electorate decides about the coordinators.
func (s *state) electorate() approval.Electorate {
	e := approval.Electorate{Founders: s.Founders}
	for _, id := range sortedKeys(s.Collaborations) {
		c := s.Collaborations[id]
		if v := c.active(); v != nil {
			e.InForce = append(e.InForce, approval.Standing{Manifest: v.bundle.Manifest, Left: c.Left})
		}
	}
	return e
}

// ChangeNodes brings a signed node_join or node_remove. It takes effect when all who have to have signed the same bytes.
type ChangeNodes struct {
	Statement []byte `json:"statement"` // DSSE
}

func (ChangeNodes) kind() string            { return "change_nodes" }
func (ChangeNodes) yields() (r NodesChange) { return r }

// NodesChange tells how a change stands.
type NodesChange struct {
	Number  int      `json:"number"`
	Missing []string `json:"missing,omitempty"`
}

func (c *change) changeNodes(b ChangeNodes) (NodesChange, error) {
	const op = "change_nodes"
	envelope, err := dsse.Parse(b.Statement)
	if err != nil {
		return NodesChange{}, fault.New(op, fault.Invalid, err)
	}
	electorate := c.electorate()
	said, signers, err := electorate.Verify(envelope)
	if err != nil {
		return NodesChange{}, fault.New(op, signatureKind(err), err)
	}
	if err := c.mayChange(said); err != nil {
		return NodesChange{}, err
	}
	p := c.proposedChange(envelope.Payload)
	fresh := slices.DeleteFunc(slices.Clone(signers), func(k key.Public) bool { return slices.Contains(p.Signers, k) })
	if len(fresh) > 0 {
		p.Signers, p.Envelopes = slices.Concat(p.Signers, fresh), append(slices.Clone(p.Envelopes), b.Statement)
		c.keepProposed(p)
		c.nodesLeaf(leafSignedNodes, said, fresh, envelope)
	}
	out := NodesChange{Number: said.Number, Missing: electorate.Missing(p.Signers)}
	if len(out.Missing) == 0 {
		c.takeNodes(said, p)
	}
	return out, nil
}

// mayChange says why a statement can't take effect now, whoever signed it.
func (c *change) mayChange(said membership.Statement) error {
	const op = "change_nodes"
	voters := c.Mesh.Voters
	switch m := &c.Members; {
	case said.Ledger != c.Ledger:
		return fault.Newf(op, fault.Conflict, "it is about the ledger %s, this is %s", said.Ledger, c.Ledger)
	case said.Action != membership.Join && said.Action != membership.Remove:
		return fault.Newf(op, fault.Invalid, "a statement to %s is not taken here: only a coordinator that waits for it takes it", said.Action)
	case said.Number <= m.Number:
		return fault.Newf(op, fault.Exists, "change %d took effect before: sign one with number %d", said.Number, m.Number+1)
	case said.Number != m.Number+1:
		return fault.Newf(op, fault.Conflict, "it is change %d, the next one is %d", said.Number, m.Number+1)
	case m.Settled < m.Number && !c.withdraws(said):
		return fault.Newf(op, fault.Conflict, "the coordinators still carry out change %d: one at a time. A node that does not come may be removed", m.Number)
	}
	node := said.Node.Key.String()
	switch known := slices.Contains(voters, node); {
	case said.Action == membership.Join && known:
		return fault.Newf(op, fault.Exists, "%s is a coordinator of this ledger already", node)
	case said.Action == membership.Join && len(voters) >= membership.MaxVoters:
		return fault.Newf(op, fault.Conflict, "there are %d coordinators, at most %d", len(voters), membership.MaxVoters)
	case said.Action == membership.Remove && !known:
		return fault.Newf(op, fault.NotFound, "%s is no coordinator of this ledger", node)
	case said.Action == membership.Remove && len(voters) == 1:
		return fault.Newf(op, fault.Conflict, "%s is the only coordinator: join another one first", node)
	}
	return nil
}

// withdraws says that a statement removes the very node that is still joining.
func (c *change) withdraws(said membership.Statement) bool {
	last := c.Members.Changes[len(c.Members.Changes)-1].Said()
	return said.Action == membership.Remove && last.Action == membership.Join && last.Node.Key == said.Node.Key
}

func (c *change) proposedChange(payload []byte) NodeChange {
	for _, p := range c.Members.Proposed {
		if bytes.Equal(p.Statement, payload) {
			return p
		}
	}
	return NodeChange{Statement: payload, At: c.now()}
}

// keepProposed puts a change with new signatures last among those that wait.
func (c *change) keepProposed(p NodeChange) {
	others := slices.DeleteFunc(slices.Clone(c.Members.Proposed), func(o NodeChange) bool { return bytes.Equal(o.Statement, p.Statement) })
	c.Members.Proposed = append(others[max(0, len(others)-maxProposedNodes+1):], p)
}

// takeNodes brings a change into effect: from now on it is how the coordinators are to be.
func (c *change) takeNodes(said membership.Statement, p NodeChange) {
	node := said.Node.Key.String()
	if said.Action == membership.Join {
		c.Mesh.Voters = append(slices.Clone(c.Mesh.Voters), node)
	} else {
		c.Mesh.Voters = slices.DeleteFunc(slices.Clone(c.Mesh.Voters), func(v string) bool { return v == node })
	}
	addresses := map[string]string{}
	maps.Copy(addresses, c.Members.Addresses)
	if delete(addresses, node); said.Action == membership.Join {
		addresses[node] = said.Node.Address
	}
	c.Members.Addresses = addresses
	p.Index, p.At = c.nodesLeaf(string(said.Action), said, p.Signers), c.now()
	c.Members.Changes, c.Members.Proposed = append(c.Members.Changes, p), nil
	c.Members.Number = said.Number
}

// nodesLeaf logs a statement, with envelopes where it is told for the first time.
func (c *change) nodesLeaf(kind string, said membership.Statement, signers []key.Public, envelopes ...dsse.Envelope) int64 {
	payload, err := said.Payload()
	if err != nil {
		panic(fmt.Sprintf("state: a statement that was verified before: %v", err))
	}
	by := make([]string, len(signers))
	for i, k := range signers {
		by[i] = k.String()
	}
	return c.fact(kind, "", struct {
		Statement membership.Statement `json:"statement"`
		Digest    canon.Digest         `json:"digest"` // of what was signed
		By        []string             `json:"by"`
		Envelopes []dsse.Envelope      `json:"envelopes,omitempty"`
		Voters    []string             `json:"voters"`
	}{said, canon.Sum(payload), by, envelopes, c.Mesh.Voters})
}

// SettleNodes says that the coordinators carried a change out.
type SettleNodes struct {
	Number int `json:"number"`
}

func (SettleNodes) kind() string            { return "settle_nodes" }
func (SettleNodes) yields() (r NodesChange) { return r }

func (c *change) settleNodes(b SettleNodes) (NodesChange, error) {
	if b.Number > c.Members.Number {
		return NodesChange{}, fault.Newf("settle_nodes", fault.Invalid, "change %d was not agreed, the last is %d", b.Number, c.Members.Number)
	}
	c.Members.Settled = max(c.Members.Settled, b.Number)
	return NodesChange{Number: c.Members.Settled}, nil
}

// Membership is what organisations agreed about the coordinators. Statements must not be changed.
type Membership struct {
	Number    int
	Settled   bool
	Voters    []string          // keys of those that there are to be
	Addresses map[string]string // of those that a statement named
	Changes   []NodeChange
	Proposed  []NodeChange
	Demanded  []string // who has to sign a change now
}

// Membership tells of the coordinators.
func (m *Machine) Membership() Membership {
	m.mu.RLock()
	defer m.mu.RUnlock()
	out := Membership{
		Number: m.s.Members.Number, Settled: m.s.Members.Settled == m.s.Members.Number, Voters: slices.Clone(m.s.Mesh.Voters),
		Addresses: map[string]string{}, Changes: slices.Clone(m.s.Members.Changes), Proposed: slices.Clone(m.s.Members.Proposed),
		Demanded: m.s.electorate().Demanded(),
	}
	maps.Copy(out.Addresses, m.s.Members.Addresses)
	return out
}

// MissingFor names whose signature a proposed change still needs.
func (m *Machine) MissingFor(n NodeChange) []string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.s.electorate().Missing(n.Signers)
}

// Lineage tells coordinators of one ledger from those of another, and those that follow a recovery from those that were left behind; empty
// before there is a ledger.
func (m *Machine) Lineage() string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.s.Ledger == "" {
		return ""
	}
	return m.s.Ledger + "/" + m.s.Members.Lineage
}
