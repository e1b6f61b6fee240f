package state

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"

	"concordat.dev/policies/budget"
	"concordat.dev/policies/mechanism"
	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/event"
	"concordat.dev/protocol/fault"
	"concordat.dev/protocol/grant"
)

// QueryStatus is how a query stands.
type QueryStatus string

// The states of a query. Whatever it is, its price is spent.
const (
	QueryReserved QueryStatus = "reserved"
	QueryReleased QueryStatus = "released"
	QueryFailed   QueryStatus = "failed"
)

// Query is one accepted query. The text is sealed under a key that the API has.
type Query struct {
	ID            string       `json:"id"`
	Collaboration string       `json:"collaboration"`
	Person        string       `json:"person"`
	Participant   string       `json:"participant"`
	At            time.Time    `json:"at"`
	Key           string       `json:"key,omitempty"` // idempotency key
	Request       canon.Digest `json:"request"`       // of all that the person asked for
	SQL           []byte       `json:"sql"`
	Rho           float64      `json:"rho,omitempty"`
	Question      string       `json:"question"`
	Plan          string       `json:"plan"`
	Version       int          `json:"version"` // of the manifest
	Manifest      canon.Digest `json:"manifest"`
	Datasets      []DatasetRef `json:"datasets"`
	Owners        []string     `json:"owners"`  // whose data it reads
	Price         []Price      `json:"price"`   // what this query itself paid; nothing for a question that was paid before
	PaidBy        string       `json:"paid_by"` // the query that paid for the question: this one, or an earlier one
	Index         uint64       `json:"index"`   // raft index of the reservation
	Leaf          int64        `json:"leaf"`    // log index of the reservation
	Status        QueryStatus  `json:"status"`
	Object        string       `json:"object,omitempty"`  // the sealed release in the object store
	Digest        canon.Digest `json:"digest,omitempty"`  // of the sealed release
	Receipt       int64        `json:"receipt,omitempty"` // log index of its receipt, if Status is released
	Incident      string       `json:"incident,omitempty"`

	pays string // the key of what it paid for; empty where it is paid by another
}

// DatasetRef names a version of a dataset.
type DatasetRef struct {
	Dataset string `json:"dataset"`
	Version uint32 `json:"version"`
	Digest  string `json:"digest"`
}

// Price is one owner's part.
type Price struct {
	Owner     string        `json:"owner"`
	Namespace string        `json:"namespace"`
	Amount    budget.Amount `json:"amount"`
	Before    mechanism.Rho `json:"before"` // what the account had spent for good, before this query
}

// Granted are the dataset versions as grants and the log write them.
func (q *Query) Granted() []grant.Dataset {
	out := []grant.Dataset{}
	for _, d := range q.Datasets {
		out = append(out, grant.Dataset{ID: d.Dataset, Version: d.Version, Sealed: canon.Digest(d.Digest)})
	}
	return out
}

// Paid is the price as grants and the log write it.
func (q *Query) Paid() []grant.Price {
	out := []grant.Price{}
	for _, p := range q.Price {
		out = append(out, grant.Price{
			Owner: p.Owner, Namespace: p.Namespace, Rho: int64(p.Amount.Rho), SpentBefore: int64(p.Before), Queries: p.Amount.Queries,
		})
	}
	return out
}

func (q *Query) reads(dataset string, version uint32) bool {
	return slices.ContainsFunc(q.Datasets, func(d DatasetRef) bool { return d.Dataset == dataset && d.Version == version })
}

// request names what a person asked for by an idempotency key.
func (q *Query) request() string { return q.Collaboration + "\x00" + q.Person + "\x00" + q.Key }

// paidKey names a question over given dataset versions in a collaboration: the release it has is one and the same for ever.
func (q *Query) paidKey() string {
	key := []string{q.Collaboration, q.Question}
	for _, d := range q.Datasets {
		key = append(key, d.Dataset, strconv.FormatUint(uint64(d.Version), 10), d.Digest)
	}
	form := []byte{'['}
	for i, part := range key {
		if i > 0 {
			form = append(form, ',')
		}
		form = canon.AppendString(form, part)
	}
	return canon.Sum(append(form, ']')).String()
}

// Reserve pays for a query before it is executed. A question that was paid before, whatever came of it, costs no rho again, since
// executing it gives the same release; a quota counts every asking.
type Reserve struct {
	Query Query `json:"query"`
}

func (Reserve) kind() string         { return "reserve" }
func (Reserve) yields() (r Reserved) { return r }

func (r Reserve) record() []byte                    { return r.Query.record() }
func (r *Reserve) read(b []byte, known names) error { return r.Query.read(b, known) }

// Reserved tells of a reservation. Short is set instead when an owner's budget cannot pay, Review when owners have yet to approve the plan.
type Reserved struct {
	Query  Query     `json:"query"`
	Answer *Query    `json:"answer,omitempty"` // the query that has the release already
	Short  *Shortage `json:"short,omitempty"`
	Review []string  `json:"review,omitempty"`
}

// Shortage says whose budget cannot pay.
type Shortage struct {
	Owner   string        `json:"owner"`
	Person  string        `json:"person,omitempty"` // whose share of it is used up, else empty
	Price   budget.Amount `json:"price"`
	Left    budget.Amount `json:"left"`
	Message string        `json:"message"`
}

func (c *change) reserve(b Reserve) (Reserved, error) {
	const op = "reserve"
	q := b.Query
	if before := c.Queries[c.Requests[q.request()]]; q.Key != "" && before != nil {
		if before.Request != q.Request {
			return Reserved{}, fault.Newf(op, fault.Exists, "idempotency key %q was used for another request", q.Key)
		}
		return Reserved{Query: *before, Answer: c.answer(before)}, nil
	}
	if c.Queries[q.ID] != nil {
		return Reserved{}, fault.Newf(op, fault.Exists, "query %s exists", q.ID)
	}
	collab, v, err := c.inForce(op, q.Collaboration, q.Manifest)
	if err != nil {
		return Reserved{}, err
	}
	for _, ref := range q.Datasets {
		if now, ok := collab.Datasets[ref.Dataset].current(); !ok || now.Version != ref.Version || now.Digest != ref.Digest {
			return Reserved{}, fault.Newf(op, fault.Unavailable, "dataset %s: %w", ref.Dataset, ErrChanged)
		}
	}
	for _, ref := range q.Datasets {
		if p := v.bundle.Policies[ref.Dataset]; !Kept(p, c.clock(collab, v)) {
			return Reserved{}, fault.Newf(op, fault.Conflict, "dataset %s was kept until %s", ref.Dataset, p.Expires)
		}
	}
	if missing := c.review(collab, v, &q); len(missing) > 0 {
		return Reserved{Query: q, Review: missing}, nil
	}
	paid := q.paidKey()
	q.PaidBy, q.pays = c.Paid[paid], ""
	if q.PaidBy == "" {
		q.PaidBy, q.pays = q.ID, paid
	} else {
		q.Price = free(q.Price)
	}
	q.At, q.Index, q.Status, q.Version = c.clock(collab, v), c.index, QueryReserved, v.bundle.Manifest.Version
	charges, used, err := c.charges(collab, v, &q)
	if err == nil {
		err = c.Budget.Reserve(q.ID, charges, q.At)
	}
	if err != nil {
		var short *budget.Shortage
		if errors.As(err, &short) {
			return Reserved{Short: &Shortage{Owner: short.Owner, Person: short.Person, Price: short.Price, Left: short.Left, Message: short.Error()}}, nil
		}
		return Reserved{}, fault.New(op, fault.Invalid, err)
	}
	c.remember(&q)
	q.Leaf = c.fact(event.Reserve, q.Collaboration, event.Reservation{
		Query: q.ID, Version: q.Version, Manifest: q.Manifest, Plan: canon.Digest(q.Plan), Question: canon.Digest(q.Question),
		Datasets: q.Granted(), Price: q.Paid(),
	})
	c.levels(collab, v, &q, used)
	return Reserved{Query: q, Answer: c.answer(&q)}, nil
}

// levels logs for every owner whose budget reached one of the levels at which owners are told.
func (c *change) levels(collab *collaboration, v *version, q *Query, before []float64) {
	for i, p := range q.Price {
		limits, err := v.limits(p.Owner, p.Namespace)
		if err != nil {
			continue // charges had none
		}
		used := c.Budget.Account(budget.Key{Owner: collab.Owners[p.Owner], Namespace: p.Namespace}).Used(limits, q.At)
		if level, crossed := budget.Crossed(before[i], used); crossed {
			c.fact("budget_level", q.Collaboration, struct {
				Owner     string  `json:"owner"`
				Namespace string  `json:"namespace"`
				Level     float64 `json:"level"` // part of a period's budget, of the lifetime's or of a quota, whichever is fullest
				Query     string  `json:"query"`
			}{p.Owner, p.Namespace, level, q.ID})
		}
	}
}

// answer is the query that holds the release for q, if it is still there.
func (s *state) answer(q *Query) *Query {
	if a := s.Queries[q.PaidBy]; a != nil && a.Status == QueryReleased && a.Object != "" {
		copied := *a
		return &copied
	}
	return nil
}

// free keeps of a price what every asking costs.
func free(price []Price) []Price {
	var out []Price
	for _, p := range price {
		if p.Amount.Rho = 0; p.Amount.Queries > 0 {
			out = append(out, p)
		}
	}
	return out
}

// charges are what every owner is due for a query, with how full their budgets are before it.
func (c *change) charges(collab *collaboration, v *version, q *Query) (due []budget.Charge, used []float64, err error) {
	for i, p := range q.Price {
		limits, err := v.limits(p.Owner, p.Namespace)
		if err != nil {
			return nil, nil, err
		}
		if len(limits) == 0 {
			return nil, nil, fault.Newf("reserve", fault.Invalid, "%s has no budget in namespace %q", p.Owner, p.Namespace)
		}
		key := budget.Key{Owner: collab.Owners[p.Owner], Namespace: p.Namespace}
		account := c.Budget.Account(key)
		q.Price[i].Before = account.Spent.Rho
		used = append(used, account.Used(limits, q.At))
		due = append(due, budget.Charge{Owner: p.Owner, Person: q.Person, Key: c.known.one(key.String()), Limits: limits, Amount: p.Amount})
	}
	return due, used, nil
}

// Record commits a release: its receipt becomes a leaf of the log before anything leaves. Body is the leaf's body; Object is where the
// release lies sealed. A release that is recorded already stays, unless its object is the Lost one. With Held alone, the object of
// a recorded release, it only notes that the query was answered by that one.
type Record struct {
	Query  string       `json:"query"`
	Body   []byte       `json:"body,omitempty"`
	Object string       `json:"object,omitempty"`
	Digest canon.Digest `json:"digest,omitempty"`
	Lost   string       `json:"lost,omitempty"`
	Held   string       `json:"held,omitempty"`
}

func (Record) kind() string         { return "record" }
func (Record) yields() (r Recorded) { return r }

// Recorded tells where the receipt is in the log.
type Recorded struct {
	Query   Query `json:"query"`
	Receipt int64 `json:"receipt"`
	Size    int64 `json:"size"` // of the log with it
}

func (c *change) record(b Record) (Recorded, error) {
	asked := c.Queries[b.Query]
	if asked == nil {
		return Recorded{}, fault.Newf("record", fault.NotFound, "query %q is not known", b.Query)
	}
	paid := c.Queries[asked.PaidBy]
	collab := c.Collaborations[paid.Collaboration]
	if v := collab.active(); v == nil || c.status(collab, v) != Active { // paused or revoked while it was executed
		return Recorded{}, fault.Newf("record", fault.Conflict, "the manifest of %s is no longer in force", paid.Collaboration)
	}
	if p, ok := collab.active().bundle.Manifest.Person(asked.Person); ok && collab.off(p) {
		return Recorded{}, fault.Newf("record", fault.Forbidden, "%s was off-boarded", asked.Person)
	}
	for _, ref := range paid.Datasets { // deleted while it was executed: nothing may leave any more
		if now, ok := collab.Datasets[ref.Dataset].find(ref.Version); !ok || now.Deleted {
			return Recorded{}, fault.Newf("record", fault.Conflict, "dataset %s version %d was deleted", ref.Dataset, ref.Version)
		}
	}
	held := c.answer(asked)
	if b.Held != "" && (held == nil || held.Object != b.Held) {
		return Recorded{}, fault.Newf("record", fault.Unavailable, "the stored release of %s: %w", paid.ID, ErrChanged)
	}
	if b.Held == "" && (held == nil || held.Object == b.Lost) {
		paid = c.edit(paid)
		paid.Receipt = c.leaf("release", paid.Collaboration, b.Body, b.Object)
		paid.Status, paid.Object, paid.Digest, paid.Incident = QueryReleased, b.Object, b.Digest, ""
		c.Budget.Settle(paid.ID, budget.Acknowledged)
	}
	if asked.ID != paid.ID {
		asked = c.edit(asked)
		asked.Status, asked.Receipt = QueryReleased, paid.Receipt
		c.Budget.Settle(asked.ID, budget.Acknowledged)
	}
	return Recorded{Query: *paid, Receipt: paid.Receipt, Size: c.Tree.Size()}, nil
}

func (d *dataset) find(version uint32) (DatasetVersion, bool) {
	if d == nil {
		return DatasetVersion{}, false
	}
	i := slices.IndexFunc(d.Versions, func(v DatasetVersion) bool { return v.Version == version })
	if i < 0 {
		return DatasetVersion{}, false
	}
	return d.Versions[i], true
}

// edit puts a copy of a query in its place, which may be changed until the command ends.
func (c *change) edit(q *Query) *Query {
	copied := *q
	c.Queries[q.ID] = &copied
	return &copied
}

// Fail notes that a query failed or that nobody knows how it ended. It stays charged.
type Fail struct {
	Query    string `json:"query"`
	Incident string `json:"incident"`
}

func (Fail) kind() string      { return "fail" }
func (Fail) yields() (r Query) { return r }

func (c *change) fail(b Fail) (Query, error) {
	q := c.Queries[b.Query]
	if q == nil {
		return Query{}, fault.Newf("fail", fault.NotFound, "query %q is not known", b.Query)
	}
	if q.Status == QueryReserved {
		q = c.edit(q)
		q.Status, q.Incident = QueryFailed, b.Incident
		c.Budget.Settle(q.ID, budget.Unclear)
		c.fact("fail", q.Collaboration, struct {
			Query    string `json:"query"`
			Incident string `json:"incident"`
		}{q.ID, b.Incident})
	}
	return *q, nil
}

// epsilon is what a total of rho means at the smallest delta of the limits. Half of delta belongs to the selections of private keys
// (PRIVACY.md R7), the other half to the conversion.
func epsilon(rho mechanism.Rho, limits []budget.Limit) (float64, bool) {
	delta := 0.0
	for _, l := range limits {
		if l.Mechanism == mechanism.DifferentialPrivacy && l.Delta > 0 && (delta == 0 || l.Delta < delta) {
			delta = l.Delta
		}
	}
	if delta == 0 {
		return 0, false
	}
	return mechanism.Epsilon(rho, delta/2), true
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
