package linearize_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"strings"
	"sync"
	"testing/fstest"
	"time"

	"github.com/anishathalye/porcupine"

	"concordat.dev/coordinator/log"
	"concordat.dev/coordinator/state"
	"concordat.dev/policies/budget"
	"concordat.dev/policies/mechanism"
	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/fault"
	"concordat.dev/protocol/key"
	"concordat.dev/protocol/statement"
)

const (
	attemptFor  = 3 * time.Second  // at one node
	persistFor  = 30 * time.Second // at all of them
	callsInRoom = 150
)

// leafOf is an event that was acknowledged.
type leafOf struct {
	index int64
	kind  string
	query string
}

// history is what all clients saw.
type history struct {
	*cluster
	began  time.Time
	signer *log.Signer

	mu         sync.Mutex
	rooms      []*place
	operations []porcupine.Operation
	calls      int
	leaves     []leafOf
	paid       map[int][2]int64 // by room, what acknowledged reservations paid
	notes      map[int64]string // checkpoints by size

	unclear, happened int // calls without an answer, and those of them whose leaf is in the log
}

// place is a room with what its people sign.
type place struct {
	number int
	name   string
	keys   [2]key.Private
	forms  [2]document.SignedForm // of the two versions
	unpaid []string               // queries without a record

	calls   int  // drawn here
	amended bool // the second version was proposed
}

// here is the room where the next call goes: each takes a number of calls.
func (h *history) here() *place {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.calls >= len(h.rooms)*callsInRoom {
		h.rooms = append(h.rooms, h.open(len(h.rooms)))
	}
	h.calls++
	return h.rooms[len(h.rooms)-1]
}

// draw is the next call in a room, and which version of the manifest it is about. The second version comes when the first has lived for a
// while; a new version is signed before much else is asked for, most of the time.
func (h *history) draw(p *place) (action, int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	weighted := []action{
		propose, approve, approve, pause, resume, resume, resume, resume, balance, balance, manifest, size, record, record, record, record,
		reserve, reserve, reserve, reserve, reserve, reserve, reserve, reserve, reserve, reserve,
	}
	p.calls++
	since := p.calls % (callsInRoom / 2)
	if since < 20 && mathrand.IntN(3) > 0 {
		weighted = []action{propose, approve, approve, approve, manifest}
	}
	do := weighted[mathrand.IntN(len(weighted))]
	switch {
	case do == propose && p.calls > callsInRoom/2:
		p.amended = true
		return do, 2
	case !p.amended || since > 20 && mathrand.IntN(8) == 0:
		return do, 1
	default:
		return do, 2
	}
}

func (h *history) open(number int) *place {
	p := &place{number: number, name: fmt.Sprint("room", number)}
	var err error
	for i := range owners {
		p.keys[i], err = key.Generate()
		must(h.t, err)
	}
	person, err := key.Generate()
	must(h.t, err)
	policy := func(dataset, owner string) *fstest.MapFile {
		return &fstest.MapFile{Data: fmt.Appendf(nil, `{apiVersion: concordat.dev/v1, kind: Policy, dataset: %s, owner: %s,
unit: {column: id, namespace: patient, unique: true}, columns: {id: {type: varchar, role: identifier}}, aggregates: [count],
release: {mechanism: differential_privacy, min_units: 10}, budget: {rho: 1, delta: 1e-6, period: 30d, lifetime_rho: 1}}`, dataset, owner)}
	}
	for i := range p.forms {
		b, err := document.LoadFS(fstest.MapFS{
			"manifest.yaml": &fstest.MapFile{Data: fmt.Appendf(nil, `
{apiVersion: concordat.dev/v1, kind: Manifest, collaboration: %s, version: %d, purpose: testing, expires: 2999-12-31,
participants: [{id: clinic, name: C, keys: [%q]}, {id: registry, name: R, keys: [%q]}], people: [{id: dana, participant: clinic, roles: [steward], keys: [%q]}],
namespaces: {patient: {normalize: trim}},
datasets: [{id: clinic.patients, owner: clinic, policy: c.yaml}, {id: registry.events, owner: registry, policy: r.yaml}],
mesh: {mode: simulation, marblerun_manifest: %q, root_certificate: %q, coordinator: %q, ledger: %q}}`,
				p.name, i+1, p.keys[0].Public(), p.keys[1].Public(), person.Public(), pins.MarbleRunManifest, pins.RootCertificate, pins.Coordinator, pins.Ledger)},
			"c.yaml": policy("clinic.patients", "clinic"), "r.yaml": policy("registry.events", "registry"),
		})
		must(h.t, err)
		p.forms[i], err = b.Signable()
		must(h.t, err)
	}
	return p
}

// client makes one call after another until the context ends.
func (h *history) client(ctx context.Context, id int) {
	for ctx.Err() == nil {
		p := h.here()
		in := call{room: p.number, who: mathrand.IntN(2)}
		in.do, in.version = h.draw(p)
		begun := time.Since(h.began)
		out, known := h.perform(p, &in)
		if !known {
			continue // a read that nobody answered
		}
		h.mu.Lock()
		h.operations = append(h.operations, porcupine.Operation{
			ClientId: id, Input: in, Call: begun.Nanoseconds(), Output: out, Return: time.Since(h.began).Nanoseconds(),
		})
		h.mu.Unlock()
	}
}

func (h *history) perform(p *place, in *call) (outcome, bool) {
	form := p.forms[in.version-1]
	switch in.do {
	case propose:
		by := h.founder
		if in.version > 1 {
			by = p.keys[in.who]
		}
		b := state.Propose{Manifest: form.Manifest, Policies: form.Policies, Proposal: h.says(p, in, by)}
		_, out := submit(h, b)
		return out, true
	case approve:
		_, out := submit(h, state.Approve{Collaboration: p.name, Approval: h.says(p, in, p.keys[in.who])})
		return out, true
	case pause, resume:
		_, out := submit(h, state.Statement{Collaboration: p.name, Statement: h.says(p, in, p.keys[in.who])})
		return out, true
	case reserve:
		return h.reserve(p, in), true
	case record:
		return h.record(p, in)
	default:
		return h.read(p, in)
	}
}

func (h *history) says(p *place, in *call, k key.Private) []byte {
	a := statement.Action(in.do)
	s := statement.Statement{Action: a, Ledger: ledger, Collaboration: p.name, Version: in.version, Subject: p.forms[in.version-1].Digest()}
	if a != statement.Propose && a != statement.Approve {
		nonce := make([]byte, 16)
		_, _ = rand.Read(nonce)
		s.Nonce, s.Issued = hex.EncodeToString(nonce), time.Now().UTC().Format(time.RFC3339)
		s.Reason, in.mark = s.Nonce, s.Nonce // a leaf tells the reason
	}
	e, err := statement.Sign(s, k)
	must(h.t, err)
	raw, err := e.Marshal()
	must(h.t, err)
	return raw
}

func (h *history) reserve(p *place, in *call) outcome {
	q := state.Query{
		ID: rand.Text(), Key: rand.Text(), Collaboration: p.name, Person: "ann", Participant: "clinic", Request: canon.Sum([]byte("r")),
		Question: canon.Sum([]byte(rand.Text())).String(), Plan: canon.Sum([]byte("p")).String(), Manifest: p.forms[in.version-1].Digest(), Owners: owners[:],
	}
	for i, owner := range owners {
		in.price[i] = mathrand.Int64N(limit / 15)
		q.Price = append(q.Price, state.Price{Owner: owner, Namespace: "patient", Amount: budget.Amount{Rho: mechanism.Rho(in.price[i])}})
	}
	in.mark = q.ID
	r, out := submit(h, state.Reserve{Query: q})
	switch {
	case out.verdict == done && r.Short != nil:
		out.verdict, out.left = short, int64(r.Short.Left.Rho)
		if r.Short.Owner == owners[1] {
			out.owner = 1
		}
	case out.verdict == done:
		out.spent, out.index = before(&r.Query), r.Query.Leaf
		h.acknowledged(out.index, string(reserve), q.ID)
		h.mu.Lock()
		sum := h.paid[p.number]
		h.paid[p.number] = [2]int64{sum[0] + in.price[0], sum[1] + in.price[1]}
		p.unpaid = append(p.unpaid, q.ID)
		h.mu.Unlock()
	}
	return out
}

func before(q *state.Query) [2]int64 {
	return [2]int64{int64(q.Price[0].Before), int64(q.Price[1].Before)}
}

// record commits the release of a query that was reserved here; known is false when there is none.
func (h *history) record(p *place, in *call) (out outcome, known bool) {
	h.mu.Lock()
	if len(p.unpaid) == 0 {
		h.mu.Unlock()
		return out, false
	}
	id := p.unpaid[0]
	p.unpaid = p.unpaid[1:]
	h.mu.Unlock()
	in.mark = id
	r, out := submit(h, state.Record{Query: id, Body: []byte("release of " + id)})
	if out.verdict == done {
		out.index = r.Receipt
		h.acknowledged(out.index, "release", id)
	}
	return out, true
}

// read asks any node that answers.
func (h *history) read(p *place, in *call) (outcome, bool) {
	i := mathrand.IntN(nodes)
	r := h.at(i)
	ctx, cancel := context.WithTimeout(h.t.Context(), attemptFor)
	defer cancel()
	if r == nil || r.Sync(ctx) != nil {
		return outcome{}, false
	}
	var out outcome
	switch in.do {
	case balance:
		all := r.state.Balances(p.name, "ann")
		if len(all) == 0 {
			return outcome{verdict: refused}, true
		}
		for k, b := range all {
			out.spent[k] = int64(b.Spent.Rho)
		}
	case manifest:
		m, _ := r.state.Manifest(p.name, in.version)
		out.status = m.Status
		out.signed, out.paused = which(m.Signed), which(m.PausedBy)
	default:
		tree := r.state.Tree()
		out.index = tree.Size()
		h.checkpoint(tree)
	}
	return out, true
}

func which(names []string) (out [2]bool) {
	for _, n := range names {
		for i, owner := range owners {
			out[i] = out[i] || n == owner
		}
	}
	return out
}

// checkpoint signs the tree as a node holds it: two notes of one size must be the same.
func (h *history) checkpoint(tree *log.Tree) {
	note, err := h.signer.Checkpoint(tree, tree.Size())
	if err != nil {
		h.t.Error(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if other, ok := h.notes[tree.Size()]; ok && other != string(note) {
		h.t.Errorf("two checkpoints of size %d:\n%s\n%s", tree.Size(), other, note)
	}
	h.notes[tree.Size()] = string(note)
}

func (h *history) acknowledged(index int64, kind, query string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.leaves = append(h.leaves, leafOf{index: index, kind: kind, query: query})
}

// submit has a command applied, at one node after another until one answers, as the command line does.
func submit[R any](h *history, body state.Body[R]) (R, outcome) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(h.t.Context()), persistFor)
	defer cancel()
	doubt := false // an earlier attempt may have been applied, or may yet be
	for i := mathrand.IntN(nodes); ctx.Err() == nil; i = (i + 1) % nodes {
		r := h.at(i)
		if r == nil {
			continue
		}
		result, err := attempt(ctx, h, r, i, body)
		switch {
		case err == nil:
			return result, outcome{}
		case errors.Is(err, state.ErrChanged): // another version is in force
			if doubt {
				return result, outcome{verdict: unclear}
			}
			return result, outcome{verdict: refused}
		case fault.KindOf(err) == fault.Exists: // a statement that an earlier attempt brought
			return result, outcome{}
		case unknown(err):
			doubt = true
		case fault.KindOf(err) == fault.Invalid: // nothing here is
			h.t.Error(err)
		case doubt:
			return result, outcome{verdict: unclear}
		default:
			return result, outcome{verdict: refused}
		}
	}
	var none R
	return none, outcome{verdict: unclear}
}

func attempt[R any](ctx context.Context, h *history, r *replica, node int, body state.Body[R]) (R, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptFor)
	defer cancel()
	result, _, err := state.Submit(ctx, r, h.now(node), body)
	return result, err
}

// unknown says whether nobody knows what became of a command. One that came again after the machine's time ran ahead of it was refused
// then, but may have been applied before.
func unknown(err error) bool {
	var f *fault.Fault
	return fault.KindOf(err) == fault.Unavailable || errors.As(err, &f) && f.Kind == fault.Conflict && strings.Contains(f.Error(), "is older than")
}
