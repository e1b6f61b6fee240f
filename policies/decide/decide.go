// Package decide judges a plan against the policies of the datasets that it reads: whether it may run, under which mechanism, and
// at which price. PRIVACY.md sections 2 to 4a are its specification.
//
// Invariant: pure. The verdict, the reasons and the price follow from plan and policies alone, never from data; all reasons are
// told, not just the first.
//
// Sees: metadata
package decide

import (
	"concordat.dev/policies/mechanism"
	"concordat.dev/protocol/document"
	"concordat.dev/sql/plan"
	"concordat.dev/sql/refusal"
)

// Request is what is judged.
type Request struct {
	Plan     plan.Relation               // as bound; Decide normalises it
	Policies map[string]*document.Policy // by dataset id, defaults written out
	Rho      float64                     // the analyst's choice for each aggregate; 0: the owners'
}

// Decision is the answer. Release is nil when anything was refused.
type Decision struct {
	Refusals []refusal.Refusal
	Release  *Release
	Prices   []Price
	Datasets []string // ids that the plan reads, in order of first use
	Notes    []string // what an analyst should know, in plain words
}

// Release says what an engine computes of the protected rows, what the mechanism does with it, and what is computed on the released rows.
type Release struct {
	Bounded plan.Bounded
	Spec    mechanism.Spec
	Outer   plan.Relation      // reads the release through plan.Released: keys, then cells
	Plan    string             // text of the whole plan, for receipts
	Digest  string             // of the whole plan
	Cells   string             // digest of the release alone: plans that differ above it only release the same cells
	Exempt  map[plan.Expr]bool // equalities of units, which the isolation test leaves alone
}

// Price is what one owner's namespace pays: rho, or one query of a quota.
type Price struct {
	Owner     string
	Namespace string
	Datasets  []string // whose budgets pay: the owner's datasets that the plan reads
	Rho       mechanism.Rho
	Queries   int64
}

// Decide judges a plan. Refusals that reading and binding found are passed in, so that the list is whole.
func Decide(req Request, refused *refusal.List) Decision {
	asWritten(req, refused)
	root := plan.Normalise(req.Plan)
	out := Decision{Datasets: plan.Scans(root)}
	d := newDecider(req.Policies, refused)
	d.relation(root)
	d.owners(root)
	if d.release == nil && refused.Empty() {
		d.refuse(refusal.UnsupportedSyntax, root.Place(), nil, "language", "This query is not part of the language.", "Aggregate datasets of the manifest in the outermost SELECT.")
	}
	if refused.Empty() {
		out.Release = d.assemble(root, req.Rho)
	}
	if refused.Empty() {
		out.Prices, out.Notes = d.prices(out.Release), d.notes
	}
	if out.Refusals = refused.All(); len(out.Refusals) > 0 {
		out.Release, out.Prices = nil, nil
	}
	return out
}

type decider struct {
	policies  map[string]*document.Policy
	refused   *refusal.List
	constants map[origin]map[string]bool // column -> constants it is compared with
	exempt    map[plan.Expr]bool
	release   *plan.Aggregate
	input     *relation // of the release
	aggs      []aggregate
	keys      []fact
	notes     []string
}

func (d *decider) refuse(code refusal.Code, span refusal.Span, from []origin, rule, message, suggestion string) {
	r := refusal.Refusal{Code: code, Span: span, Rule: rule, Message: message, Suggestion: suggestion}
	if len(from) > 0 {
		r.Owner, r.Dataset, r.Column = from[0].owner, from[0].dataset, from[0].column
	}
	d.refused.Add(r)
}

func newDecider(policies map[string]*document.Policy, refused *refusal.List) *decider {
	return &decider{policies: policies, refused: refused, constants: map[origin]map[string]bool{}, exempt: map[plan.Expr]bool{}}
}

// asWritten judges the plan before it is normalised, for what normalising takes away: columns that are named and then not used, and the
// list of an outermost SELECT that does not aggregate.
func asWritten(req Request, refused *refusal.List) {
	d := newDecider(req.Policies, &refusal.List{})
	top := d.relation(req.Plan)
	for _, r := range d.refused.All() {
		if r.Code == refusal.HiddenColumn || r.Code == refusal.IdentifierUse {
			refused.Add(r)
		}
	}
	if top.kind != perUnit && top.kind != public {
		return
	}
	d.refused = refused
	root := req.Plan
	for {
		if s, ok := root.(*plan.Sort); ok {
			root = s.Input
		} else if l, ok := root.(*plan.Limit); ok {
			root = l.Input
		} else {
			break
		}
	}
	d.notAggregated(root, top)
}

// notAggregated refuses a query whose rows are those of units.
func (d *decider) notAggregated(root plan.Relation, top *relation) {
	var exprs []plan.Expr
	switch r := root.(type) {
	case *plan.Project:
		exprs = r.Exprs
	case *plan.Aggregate:
		exprs = r.Keys
	}
	span := refusal.Span{}
	for i, e := range exprs {
		span = span.Cover(e.Place())
		d.output(e.Place(), top.cols[i])
	}
	if span.End == 0 {
		span = root.Place()
	}
	d.refuse(refusal.NotAggregated, span, nil, "release", "The outermost query would release rows of single units.",
		"Aggregate in the outermost SELECT, for example count(DISTINCT …), and group by dimensions.")
}

// output refuses what is never in an output. A list that holds * names hidden columns too.
func (d *decider) output(span refusal.Span, f fact) {
	switch f.role {
	case identifier, nullableUnit:
		d.refuse(refusal.IdentifierUse, span, f.from, "role: identifier", "An identifier is never in an output.",
			"Count it: count(DISTINCT "+f.name()+").")
	case hidden:
		d.hiddenColumn(span, f)
	}
}
