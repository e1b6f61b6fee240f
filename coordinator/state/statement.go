package state

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"concordat.dev/policies/approval"
	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/dsse"
	"concordat.dev/protocol/fault"
	"concordat.dev/protocol/statement"
)

// Statement is a signed reject, pause, resume, revoke, offboard, leave or approve_plan.
type Statement struct {
	Collaboration string `json:"collaboration"`
	Statement     []byte `json:"statement"`
}

func (Statement) kind() string        { return "statement" }
func (Statement) yields() (r Subject) { return r }

func (c *change) statement(b Statement) (Subject, error) {
	const op = "statement"
	collab := c.Collaborations[b.Collaboration]
	envelope, err := dsse.Parse(b.Statement)
	if err != nil {
		return Subject{}, fault.New(op, fault.Invalid, err)
	}
	said, err := statement.Parse(envelope.Payload)
	if err != nil {
		return Subject{}, fault.New(op, fault.Invalid, err)
	}
	v := collab.active()
	if said.Action == statement.Reject {
		v = collab.pending()
	}
	if v == nil {
		return Subject{}, fault.Newf(op, fault.Conflict, "collaboration %q has no manifest to %s", b.Collaboration, said.Action)
	}
	who, by, err := collab.stands(envelope, said, v)
	if err != nil {
		return Subject{}, fault.New(op, signatureKind(err), err)
	}
	if collab.Nonces[said.Nonce] {
		return Subject{}, fault.Newf(op, fault.Exists, "this statement was used before: sign a new one")
	}
	subject := v.subject()
	switch said.Action {
	case statement.Reject:
		v.Status, v.Rejection = Rejected, who+": "+said.Reason
		collab.Rejected = append(collab.Rejected, v.Digest)
	case statement.Pause:
		if !slices.Contains(collab.PausedBy, who) {
			collab.PausedBy = append(collab.PausedBy, who)
		}
	case statement.Resume:
		if !slices.Contains(collab.PausedBy, who) {
			return Subject{}, fault.Newf(op, fault.Conflict, "%s did not pause the collaboration; it is paused by: %s", who, cmp.Or(strings.Join(collab.PausedBy, ", "), "nobody"))
		}
		collab.PausedBy = slices.DeleteFunc(collab.PausedBy, func(id string) bool { return id == who })
	case statement.Revoke:
		v.Status = Revoked
		subject.Destroyed = c.destroyWhere(collab, b.Collaboration, "revocation", func(string) bool { return true })
	case statement.Offboard:
		if err := c.offboard(collab, v, said.Person, who); err != nil {
			return Subject{}, err
		}
	case statement.Leave:
		subject.Destroyed = c.leave(collab, v, who)
		v.Leaves = append(v.Leaves, b.Statement)
	case statement.ApprovePlan:
		c.approvePlan(collab, v, said.Subject, who, by)
	default:
		return Subject{}, fault.Newf(op, fault.Invalid, "a statement to %s is not taken here", said.Action)
	}
	collab.Nonces[said.Nonce] = true
	c.said(said, b.Collaboration, v.subject(), by)
	return subject, nil
}

// stands says which participant stands behind a statement, and who signed it: the participant, or a steward of its.
func (c *collaboration) stands(envelope dsse.Envelope, said statement.Statement, v *version) (who, by string, err error) {
	var before *document.Manifest
	if said.Action == statement.Reject { // whoever loses a key, or is left out, may object with what it had
		before = c.before(v)
	}
	_, who, err = approval.Participant(envelope, v.bundle.Manifest, before, v.Digest)
	by = who
	if errors.Is(err, approval.ErrSigner) && said.Action == statement.ApprovePlan {
		var person document.Person
		_, person, err = approval.Steward(envelope, v.bundle.Manifest, v.Digest)
		if err == nil && c.off(person) {
			err = fmt.Errorf("%w: %s was off-boarded", approval.ErrSigner, person.ID)
		}
		who, by = person.Participant, person.ID
	}
	if err == nil && slices.Contains(c.Left, who) {
		err = fmt.Errorf("%w: %s has left", approval.ErrSigner, who)
	}
	return who, by, err
}

// said logs a statement that took effect.
func (c *change) said(s statement.Statement, collaboration string, v Subject, by string) {
	detail := struct {
		Version int          `json:"version"`
		Digest  canon.Digest `json:"manifest"`
		By      string       `json:"by"`
		Reason  string       `json:"reason,omitempty"`
		Person  string       `json:"person,omitempty"`
		Plan    canon.Digest `json:"plan,omitempty"`
	}{Version: v.Version, Digest: v.Digest, By: by, Reason: s.Reason, Person: s.Person}
	if s.Action == statement.ApprovePlan {
		detail.Plan = s.Subject
	}
	c.fact(string(s.Action), collaboration, detail)
}
