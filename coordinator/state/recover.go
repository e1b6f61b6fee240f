package state

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/dsse"
	"concordat.dev/protocol/fault"
	"concordat.dev/protocol/key"
	"concordat.dev/protocol/membership"
)

// Recover has a ledger that lost its majority, or all of its disks, go on from what this machine holds, by a statement that all who decide
// about coordinators signed. It is no command: no replica runs yet, and the others get the result as a snapshot. Everything is paused in the
// name of every participant, since nobody can know what was acknowledged later than what is held here. The salt is 32 random bytes.
func (m *Machine) Recover(envelope, salt []byte) (NodeChange, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := &change{state: &m.s, index: m.s.Index, salt: salt}
	said, signers, err := c.mayRecover(envelope)
	if err != nil {
		return NodeChange{}, err
	}
	at, err := said.Time()
	if err != nil {
		return NodeChange{}, fault.New("recover", fault.Invalid, err)
	}
	m.s.Time = max(m.s.Time, at.UnixMilli())
	c.recover(said, signers, envelope)
	m.notify()
	return m.s.Members.Changes[len(m.s.Members.Changes)-1], nil
}

// Recovered says that this statement is what the machine went on by last.
func (m *Machine) Recovered(said membership.Statement) bool {
	payload, err := said.Payload()
	m.mu.RLock()
	defer m.mu.RUnlock()
	return err == nil && m.s.Members.Lineage == string(canon.Sum(payload))
}

func (c *change) mayRecover(raw []byte) (membership.Statement, []key.Public, error) {
	const op = "recover"
	fail := func(kind fault.Kind, err error) (membership.Statement, []key.Public, error) {
		return membership.Statement{}, nil, fault.New(op, kind, err)
	}
	envelope, err := dsse.Parse(raw)
	if err != nil {
		return fail(fault.Invalid, err)
	}
	electorate := c.electorate()
	said, signers, err := electorate.Verify(envelope)
	if err != nil {
		return fail(signatureKind(err), err)
	}
	root, err := c.Tree.Root(c.Tree.Size())
	if err != nil {
		return fail(fault.Internal, err)
	}
	switch {
	case said.Action != membership.Recover:
		err = fmt.Errorf("it says %s, not %s", said.Action, membership.Recover)
	case said.Ledger != c.Ledger:
		err = fmt.Errorf("it is about the ledger %s, this is %s", said.Ledger, c.Ledger)
	case said.Number != c.Members.Number+1:
		err = fmt.Errorf("it is change %d of the coordinators, the next one here is %d", said.Number, c.Members.Number+1)
	case said.From.Size != c.Tree.Size() || said.From.Root != tlog.Hash(root).String():
		err = fmt.Errorf("it goes on from a log of %d entries with root %s, here are %d with root %s", said.From.Size, said.From.Root, c.Tree.Size(), root)
	}
	if err != nil {
		return fail(fault.Conflict, err)
	}
	if missing := electorate.Missing(signers); len(missing) > 0 {
		return fail(fault.Forbidden, fmt.Errorf("signatures are missing: %s", strings.Join(missing, ", ")))
	}
	return said, signers, nil
}

func (c *change) recover(said membership.Statement, signers []key.Public, raw []byte) {
	c.Mesh.Voters = nil
	c.Members.Addresses = map[string]string{}
	for _, v := range said.Voters {
		c.Mesh.Voters = append(c.Mesh.Voters, v.Key.String())
		c.Members.Addresses[v.Key.String()] = v.Address
	}
	for _, id := range sortedKeys(c.Collaborations) {
		collab := c.Collaborations[id]
		if v := collab.active(); v != nil {
			for _, p := range v.bundle.Manifest.Participants {
				if !slices.Contains(collab.PausedBy, p.ID) {
					collab.PausedBy = append(collab.PausedBy, p.ID)
				}
			}
		}
	}
	envelope, _ := dsse.Parse(raw) // it was parsed before
	done := NodeChange{Statement: envelope.Payload, Envelopes: [][]byte{raw}, Signers: signers, At: c.now()}
	done.Index = c.nodesLeaf(leafRecover, said, signers, envelope)
	c.Members.Number, c.Members.Settled, c.Members.Proposed = said.Number, said.Number, nil
	c.Members.Changes = append(c.Members.Changes, done)
	c.Members.Lineage = string(canon.Sum(envelope.Payload))
}
