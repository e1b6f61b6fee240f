package state

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"concordat.dev/policies/approval"
	"concordat.dev/policies/budget"
	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/dsse"
	"concordat.dev/protocol/event"
	"concordat.dev/protocol/fault"
	"concordat.dev/protocol/key"
)

// Status is how a version of a manifest stands.
type Status string

// The states of a version. Paused and Expired are told of an active one.
const (
	Proposed   Status = "proposed"
	Active     Status = "active"
	Paused     Status = "paused"
	Expired    Status = "expired"
	Revoked    Status = "revoked"
	Rejected   Status = "rejected"
	Superseded Status = "superseded"
)

type collaboration struct {
	Versions []*version          `json:"versions"` // version n at n-1; a rejected one makes room for another of its number
	PausedBy []string            `json:"paused_by,omitempty"`
	Nonces   map[string]bool     `json:"nonces"` // of statements that were used
	Owners   map[string]string   `json:"owners"` // participant → the first key of its account
	Datasets map[string]*dataset `json:"datasets"`
	// Witnessed is the newest median time of cosignatures under a version in force that demands witnesses, Unix milliseconds.
	Witnessed int64 `json:"witnessed,omitempty"`

	Off map[string]offboarded `json:"off,omitempty"` // people without authority, by id
	// Rejected are the digests of versions that somebody rejected. Their signatures lie about, and signatures for a version say no more than its digest.
	Rejected []canon.Digest `json:"rejected,omitempty"`

	Left  []string          `json:"left,omitempty"` // participants who signed that they leave; the next version is without them
	Plans map[string]*Plan  `json:"plans,omitempty"`
	Saved map[string]*Saved `json:"saved,omitempty"`
}

type version struct {
	Manifest  []byte       `json:"manifest"`
	Policies  [][]byte     `json:"policies"`
	Proposal  []byte       `json:"proposal"`
	Approvals [][]byte     `json:"approvals,omitempty"`
	Signers   []key.Public `json:"signers,omitempty"`
	Digest    canon.Digest `json:"digest"`
	Proposer  key.Public   `json:"proposer"`
	Status    Status       `json:"status"`
	At        time.Time    `json:"at"`
	Rejection string       `json:"rejection,omitempty"` // who, and why
	Cosigned  cosigned     `json:"cosigned,omitzero"`
	By        string       `json:"by,omitempty"`      // the owner who alone brought it into force, since it only tightens
	Excused   []string     `json:"excused,omitempty"` // who had left when it came into force
	Leaves    [][]byte     `json:"leaves,omitempty"`  // by which participants left it, as they signed them

	bundle *document.Bundle // of Manifest and Policies
	bounds map[budget.Key]bounds
}

// bounds are the limits of an owner's datasets in a namespace, in the manifest's order; Owner in their key is the participant's id.
type bounds struct {
	limits []budget.Limit
	err    error
}

func (v *version) open() (err error) {
	if v.bundle, err = document.OpenSigned(v.Manifest, v.Policies); err != nil {
		return err
	}
	v.bounds = map[budget.Key]bounds{}
	for _, d := range v.bundle.Manifest.Datasets {
		p := v.bundle.Policies[d.ID]
		if p == nil || p.Unit.None {
			continue
		}
		k := budget.Key{Owner: d.Owner, Namespace: p.Unit.Namespace}
		b := v.bounds[k]
		switch l, ok, err := budget.LimitOf(p); {
		case err != nil:
			b.err = err
		case ok:
			b.limits = append(b.limits, l)
		}
		v.bounds[k] = b
	}
	return nil
}

func (s *state) reopen() error {
	for id, c := range s.Collaborations {
		for _, v := range c.Versions {
			if err := v.open(); err != nil {
				return fmt.Errorf("collaboration %s: %w", id, err)
			}
		}
	}
	return nil
}

// Init gives an empty cluster its ledger id, its founders and the mesh that it runs on. Later ones change nothing.
type Init struct {
	Ledger   string        `json:"ledger"`
	Founders []string      `json:"founders"`
	Mesh     approval.Mesh `json:"mesh"`
}

func (Init) kind() string            { return "init" }
func (Init) yields() (r Initialised) { return r }

// Initialised tells the ledger id that holds.
type Initialised struct {
	Ledger string `json:"ledger"`
}

func (c *change) init(b Init) (Initialised, error) {
	if c.Ledger == "" {
		c.Ledger, c.Founders, c.Mesh = b.Ledger, b.Founders, b.Mesh
		c.Mesh.Ledger = b.Ledger
		c.fact("found", "", struct {
			Founders []string      `json:"founders"`
			Mesh     approval.Mesh `json:"mesh"`
		}{c.Founders, c.Mesh})
	}
	return Initialised{c.Ledger}, nil
}

// Propose brings a manifest with its policies. The proposal is a signed statement.
type Propose struct {
	Manifest []byte   `json:"manifest"`
	Policies [][]byte `json:"policies"`
	Proposal []byte   `json:"proposal"`
}

func (Propose) kind() string        { return "propose" }
func (Propose) yields() (r Subject) { return r }

// Subject names a version of a manifest.
type Subject struct {
	Collaboration string       `json:"collaboration"`
	Version       int          `json:"version"`
	Digest        canon.Digest `json:"digest"`
	Destroyed     []string     `json:"destroyed,omitempty"` // objects whose keys are gone
}

func (c *change) propose(b Propose) (Subject, error) {
	v := &version{Manifest: b.Manifest, Policies: b.Policies, Proposal: b.Proposal, Status: Proposed, At: c.now(), Digest: canon.Sum(b.Manifest)}
	if err := v.open(); err != nil {
		return Subject{}, fault.New("propose", fault.Invalid, err)
	}
	m := v.bundle.Manifest
	if problems := v.bundle.Validate(document.Signed); len(problems) > 0 {
		errs := make([]error, len(problems))
		for i, p := range problems {
			errs[i] = errors.New(p.String())
		}
		return Subject{}, fault.New("propose", fault.Invalid, errors.Join(errs...))
	}
	envelope, err := dsse.Parse(b.Proposal)
	if err != nil {
		return Subject{}, fault.New("propose", fault.Invalid, err)
	}
	collab := c.Collaborations[m.Collaboration]
	p := approval.Proposal{Bundle: v.bundle, Digest: v.Digest, Mesh: c.Mesh, Founders: c.Founders, Now: c.now()}
	if previous := collab.newest(); previous != nil {
		p.Previous = previous.bundle.Manifest
	}
	if v.Proposer, err = p.Check(envelope); err != nil {
		return Subject{}, fault.New("propose", signatureKind(err), err)
	}
	if collab.rejected(v.Digest) {
		return Subject{}, fault.Newf("propose", fault.Conflict,
			"these very bytes were rejected, and signatures from then would count again: change something, such as a word of the purpose, or take another new key")
	}
	if collab == nil {
		collab = &collaboration{Nonces: map[string]bool{}, Owners: map[string]string{}, Datasets: map[string]*dataset{}}
		c.Collaborations[m.Collaboration] = collab
	}
	subject := Subject{Collaboration: m.Collaboration, Version: m.Version, Digest: v.Digest}
	if len(collab.Versions) == m.Version {
		pending := collab.Versions[m.Version-1]
		switch {
		case pending.Digest == v.Digest && pending.Status == Proposed:
			return subject, nil
		case pending.Status == Proposed && pending.Proposer != v.Proposer:
			return Subject{}, fault.Newf("propose", fault.Conflict,
				"version %d is proposed already, as %s: sign it, or reject it first", m.Version, pending.Digest)
		}
		collab.Versions[m.Version-1] = v
	} else {
		collab.Versions = append(collab.Versions, v)
	}
	c.event("propose", m.Collaboration, subject, v.Proposer.String())
	return subject, nil
}

// rejected says whether a version of this digest was rejected. States of earlier builds tell it of the last one of a number alone.
func (c *collaboration) rejected(d canon.Digest) bool {
	return c != nil && (slices.Contains(c.Rejected, d) ||
		slices.ContainsFunc(c.Versions, func(v *version) bool { return v.Digest == d && v.Status == Rejected }))
}

// newest is the last version that ever was active, nil before the first.
func (c *collaboration) newest() *version {
	if c == nil {
		return nil
	}
	for _, v := range slices.Backward(c.Versions) {
		if v.Status != Proposed && v.Status != Rejected {
			return v
		}
	}
	return nil
}

// active is the version in force, unless it is revoked.
func (c *collaboration) active() *version {
	if v := c.newest(); v != nil && v.Status == Active {
		return v
	}
	return nil
}

// pending is the proposal that waits for signatures.
func (c *collaboration) pending() *version {
	if c == nil || len(c.Versions) == 0 {
		return nil
	}
	if v := c.Versions[len(c.Versions)-1]; v.Status == Proposed {
		return v
	}
	return nil
}

// Approve adds signatures to the pending proposal; the last one activates it.
type Approve struct {
	Collaboration string `json:"collaboration"`
	Approval      []byte `json:"approval"`
}

func (Approve) kind() string        { return "approve" }
func (Approve) yields() (r Subject) { return r }

func (c *change) approve(b Approve) (Subject, error) {
	collab := c.Collaborations[b.Collaboration]
	envelope, err := dsse.Parse(b.Approval)
	if err != nil {
		return Subject{}, fault.New("approve", fault.Invalid, err)
	}
	v := collab.pending()
	if v == nil {
		if a := collab.active(); a != nil { // signed again after the last signature made it active
			if _, err := approval.Approve(envelope, a.bundle.Manifest, collab.before(a), a.Digest); err == nil {
				return a.subject(), nil
			}
		}
		return Subject{}, fault.Newf("approve", fault.NotFound, "collaboration %q has no manifest that waits for signatures", b.Collaboration)
	}
	signers, err := approval.Approve(envelope, v.bundle.Manifest, collab.before(v), v.Digest)
	if err != nil {
		return Subject{}, fault.New("approve", signatureKind(err), err)
	}
	fresh := false
	for _, k := range signers {
		if !slices.Contains(v.Signers, k) {
			v.Signers = append(v.Signers, k)
			fresh = true
		}
	}
	if fresh {
		v.Approvals = append(v.Approvals, b.Approval)
		for _, k := range signers {
			c.event("approve", b.Collaboration, v.subject(), k.String())
		}
	}
	subject := v.subject()
	if judged := c.judge(collab, v); judged.Complete() && !approval.Succeeds(v.bundle.Manifest.Mesh, c.Mesh) { // also when nothing is new but time: a recovery waits
		v.By, v.Excused = judged.By, collab.Left
		subject.Destroyed = c.activate(collab, v)
	}
	return subject, nil
}

// judge says who has signed a version and who has not.
func (s *state) judge(collab *collaboration, v *version) approval.Status {
	judged := approval.Version{Next: v.bundle, Left: v.Excused, Signers: v.Signers, Proposed: v.At, Now: s.now()}
	if v.Status == Proposed {
		judged.Left = collab.Left
	}
	if before := collab.beforeVersion(v); before != nil {
		judged.Previous = before.bundle
	}
	return judged.Status()
}

// before is the manifest whose keys had to sign v: the newest active one of a lower version.
func (c *collaboration) before(v *version) *document.Manifest {
	if w := c.beforeVersion(v); w != nil {
		return w.bundle.Manifest
	}
	return nil
}

func (c *collaboration) beforeVersion(v *version) *version {
	if c == nil {
		return nil
	}
	for _, w := range slices.Backward(c.Versions) {
		if w.bundle.Manifest.Version < v.bundle.Manifest.Version && w.Status != Proposed && w.Status != Rejected {
			return w
		}
	}
	return nil
}

// activate brings a version into force. What it no longer holds goes: keys of datasets, pauses and plans; the objects of the former are
// returned.
func (c *change) activate(collab *collaboration, v *version) []string {
	before := collab.before(v)
	if old := collab.newest(); old != nil && old.Status == Active {
		old.Status = Superseded
	}
	v.Status = Active
	m := v.bundle.Manifest
	collab.PausedBy = slices.DeleteFunc(collab.PausedBy, func(id string) bool {
		_, ok := m.Participant(id)
		return !ok || slices.Contains(collab.Left, id)
	})
	collab.Left, collab.Plans = nil, nil
	for _, id := range sortedKeys(collab.Off) {
		if _, named := m.Person(id); !named {
			delete(collab.Off, id) // a later version may take them in anew
		}
	}
	for _, p := range m.Participants {
		var old []string
		if before != nil {
			if q, ok := before.Participant(p.ID); ok {
				old = q.Keys
			}
		}
		collab.Owners[p.ID] = c.Budget.Owner(p.Keys, old)
	}
	for _, d := range m.Datasets {
		if p := v.bundle.Policies[d.ID]; !p.Unit.None {
			c.Budget.Declare(collab.Owners[d.Owner], d.ID, p.Unit.Namespace)
		}
	}
	c.event("activate", m.Collaboration, v.subject(), v.By)
	return c.destroyWhere(collab, m.Collaboration, "version "+strconv.Itoa(m.Version), func(dataset string) bool {
		_, kept := m.Dataset(dataset)
		return !kept
	})
}

func (v *version) subject() Subject {
	return Subject{Collaboration: v.bundle.Manifest.Collaboration, Version: v.bundle.Manifest.Version, Digest: v.Digest}
}

// event logs a change of a manifest.
func (c *change) event(action, collaboration string, s Subject, by string) int64 {
	return c.fact(action, collaboration, struct {
		Version int          `json:"version"`
		Digest  canon.Digest `json:"manifest"`
		By      string       `json:"by,omitempty"`
	}{s.Version, s.Digest, by})
}

// fact logs an event.
func (c *change) fact(action, collaboration string, detail any) int64 {
	body, err := event.Marshal(action, c.Ledger, collaboration, c.now(), detail)
	if err != nil {
		panic(fmt.Sprintf("state: %v", err))
	}
	return c.leaf(action, collaboration, body, "")
}

func signatureKind(err error) fault.Kind {
	if errors.Is(err, approval.ErrSigner) || errors.Is(err, approval.ErrThreshold) {
		return fault.Forbidden
	}
	return fault.Conflict
}

// limits are those of an owner's datasets in a namespace, in the manifest's order.
func (v *version) limits(owner, namespace string) ([]budget.Limit, error) {
	b := v.bounds[budget.Key{Owner: owner, Namespace: namespace}]
	if b.err != nil {
		return nil, b.err
	}
	return slices.Clip(b.limits), nil
}
