package document

import "slices"

// The defaults of a policy.
const (
	DefaultMaxRowsPerUnit  = 1000
	DefaultGroupsPerUnit   = 1
	DefaultRowsPerGroup    = 1
	DefaultMaxGroups       = 1000
	DefaultRhoPerAggregate = 0.005
	DefaultQueries         = 200
	DefaultQueryPeriod     = "1d"
	DefaultTimeGrid        = "500ms"
)

// The mechanisms of a release.
const (
	DifferentialPrivacy = "differential_privacy"
	Threshold           = "threshold"
)

// WithDefaults returns a copy in which every field that was left out says its default:
//
//	joins                      allowed
//	max_rows_per_unit          1000
//	release.groups_per_unit    1
//	release.rows_per_group     1
//	release.max_groups         1000
//	release.rho_per_aggregate  0.005   (differential_privacy)
//	budget.queries             200     (threshold)
//	budget.period              1d      (threshold)
//
// All else (min_units, the budget of differential privacy, bounds, the grain of times) has no default: the owner must say it.
// Public data (unit: none) has no release and no budget, so it gets none. The signed form of a policy has all defaults written out, so
// that a later build with other defaults cannot change what was signed.
func (p *Policy) WithDefaults() *Policy {
	q := *p
	q.Joins = or(q.Joins, "allowed")
	if q.Unit.None {
		return &q
	}
	q.MaxRows = or(q.MaxRows, DefaultMaxRowsPerUnit)
	if q.Release != nil {
		r := *q.Release
		r.GroupsPerUnit = or(r.GroupsPerUnit, DefaultGroupsPerUnit)
		r.RowsPerGroup = or(r.RowsPerGroup, DefaultRowsPerGroup)
		r.MaxGroups = or(r.MaxGroups, DefaultMaxGroups)
		if r.Mechanism == DifferentialPrivacy {
			r.RhoPerAggregate = or(r.RhoPerAggregate, DefaultRhoPerAggregate)
		}
		q.Release = &r
	}
	if q.Release != nil && q.Release.Mechanism == Threshold {
		var b Budget
		if q.Budget != nil {
			b = *q.Budget
		}
		b.Queries = or(b.Queries, DefaultQueries)
		b.Period = or(b.Period, DefaultQueryPeriod)
		q.Budget = &b
	}
	return &q
}

// WithDefaults returns a copy in which every field that was left out says its default: participants[].threshold 1,
// namespaces.*.normalize none, release.time_grid 500ms, witnesses no keys and quorum 0, receivers.default runner, within amendments
// tightening and recovery all. What amendments, review, a namespace's version and what follows it, a policy's expires and budget.per_person_share add to a document without them stays
// left out: it means that nothing of the kind holds, whatever a later build knows, so that documents that were signed before stay readable.
func (m *Manifest) WithDefaults() *Manifest {
	n := *m
	n.Participants = slices.Clone(m.Participants)
	for i := range n.Participants {
		n.Participants[i].Threshold = or(n.Participants[i].Threshold, 1)
	}
	n.Namespaces = make(map[string]Namespace, len(m.Namespaces))
	for id, s := range m.Namespaces {
		n.Namespaces[id] = s.WithDefaults()
	}
	n.Release.TimeGrid = or(n.Release.TimeGrid, DefaultTimeGrid)
	w := Witnesses{Keys: []string{}}
	if m.Witnesses != nil {
		w.Keys, w.Quorum = append(w.Keys, m.Witnesses.Keys...), m.Witnesses.Quorum
	}
	n.Witnesses = &w
	if n.Receivers == nil {
		n.Receivers = &Receivers{Default: "runner"}
	}
	if m.Amendments != nil {
		n.Amendments = &Amendments{Tightening: or(m.Amendments.Tightening, ByAll), Recovery: or(m.Amendments.Recovery, ByAll)}
	}
	return &n
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}
