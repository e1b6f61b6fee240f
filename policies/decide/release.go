package decide

import (
	"fmt"
	"math"
	"math/big"

	"concordat.dev/policies/mechanism"
	"concordat.dev/protocol/document"
	"concordat.dev/sql/plan"
	"concordat.dev/sql/refusal"
)

// aggregate is one aggregate of the release, judged.
type aggregate struct {
	agg  plan.Agg
	arg  plan.Expr // clamped where it had to be
	fact fact
}

// outerAggregate is the release: the one place where rows of units become released values.
func (d *decider) outerAggregate(r *plan.Aggregate, in *relation) *relation {
	out := &relation{kind: afterRel}
	if d.release != nil {
		d.refuse(refusal.UnsupportedSyntax, r.Span, nil, "R6", "The query has more than one release.", "Run each aggregation as a query of its own.")
		return &relation{kind: broken}
	}
	d.release, d.input = r, in
	for _, k := range r.Keys {
		f := d.derive(k, in)
		d.key(k, f)
		d.keys = append(d.keys, f)
		out.cols = append(out.cols, fact{role: released})
	}
	if len(r.Aggs) == 0 {
		d.refuse(refusal.NotAggregated, r.Span, nil, "R6", "GROUP BY or DISTINCT without an aggregate lists groups without counting whom they hold.", "Add count(DISTINCT …) of the identifier.")
	}
	for _, a := range r.Aggs {
		d.aggs = append(d.aggs, d.outerAgg(a, in))
		out.cols = append(out.cols, fact{role: released})
	}
	d.notes = append(d.notes, in.repeats...)
	return out
}

func (d *decider) outerAgg(a plan.Agg, in *relation) aggregate {
	out := aggregate{agg: a, arg: a.Arg}
	if a.Filter != nil {
		d.condition(a.Filter, in)
	}
	if a.Arg != nil {
		if out.fact = d.derive(a.Arg, in); out.fact.role == bad {
			return out
		}
	}
	d.allowed(a, out.fact, in)
	switch a.Func {
	case "count":
		if a.Arg != nil {
			d.usable(a.Arg, out.fact)
		}
	case "count_distinct":
		d.countDistinct(a, out.fact, in)
	case "min", "max":
		d.identified(a.Arg, out.fact)
		d.refuse(refusal.UnsupportedSyntax, a.Span, out.fact.from, "section 3", fmt.Sprintf("%s of all rows is the value of one unit.", a.Func),
			"Use quantile_cont with a fraction from 0.05 to 0.95, or compute it per unit in a subquery.")
	case "quantile":
		if a.Quantile < 0.05 || a.Quantile > 0.95 {
			d.refuse(refusal.LimitExceeded, a.Span, out.fact.from, "section 3", fmt.Sprintf("The fraction %g is outside 0.05 to 0.95.", a.Quantile), "Use a fraction from 0.05 to 0.95.")
		}
		d.numericArgument(&out, in)
	default:
		d.numericArgument(&out, in)
	}
	return out
}

func (d *decider) countDistinct(a plan.Agg, f fact, in *relation) {
	if f.role == nullableUnit {
		return
	}
	if c, ok := a.Arg.(*plan.Col); ok && in.units[c.Index] {
		return
	}
	d.refuse(refusal.ColumnUse, a.Span, f.from, "section 3", "count(DISTINCT …) counts units: its argument is the identifier itself.", "Write count(DISTINCT "+unitColumn(in)+").")
}

func unitColumn(in *relation) string {
	if in.unit >= 0 && in.unit < len(in.cols) {
		return in.cols[in.unit].name()
	}
	return "identifier"
}

// numericArgument wants a measure with finite bounds and a scale.
func (d *decider) numericArgument(out *aggregate, in *relation) {
	if !d.argument(out.agg, out.fact) {
		return
	}
	out.arg, out.fact = d.clamped(out.arg, out.fact, in)
	f := out.fact
	if !f.finite() || f.scale == 0 {
		what := "bounds"
		if f.finite() {
			what = "scale"
		}
		d.refuse(refusal.BoundsMissing, out.agg.Arg.Place(), f.from, what, "What one unit adds to this aggregate has no "+what+".",
			"Narrow it, for example least(greatest(x, 0), 100), or ask the owner to declare "+what+".")
		return
	}
	rows := float64(strictest(in).rows)
	power := 1.0
	if out.agg.Func != "sum" && out.agg.Func != "avg" && out.agg.Func != "quantile" {
		power = 2
	}
	if rows*math.Pow(math.Max(math.Abs(f.low), math.Abs(f.high))/f.scale, power) > math.Exp2(80) {
		d.refuse(refusal.LimitExceeded, out.agg.Arg.Place(), f.from, "bounds", "The bounds of this aggregate are too wide to be summed exactly.", "Narrow it with least and greatest.")
	}
}

// aggregateNames are the names on an owner's list.
var aggregateNames = map[string]string{
	"count": "count", "count_distinct": "count_distinct", "sum": "sum", "avg": "avg", "quantile": "quantile", "min": "min", "max": "max",
	"stddev_samp": "stddev", "stddev_pop": "stddev", "var_samp": "stddev", "var_pop": "stddev",
}

// allowed asks the owners: of the argument's columns, or of all data for counts.
func (d *decider) allowed(a plan.Agg, f fact, in *relation) {
	name := aggregateNames[a.Func]
	if name == "min" || name == "max" {
		return
	}
	asked := map[string]bool{}
	for _, o := range f.from {
		asked[o.dataset] = true
	}
	all := len(f.from) == 0 || f.role == identifier
	for _, p := range in.policies {
		if !all && !asked[p.Dataset] || contains(p.Aggregates, name) {
			continue
		}
		d.refuse(refusal.AggregateNotAllowed, a.Span, []origin{{p.Owner, p.Dataset, ""}}, "aggregates", fmt.Sprintf("%s does not allow %s over %s.", p.Owner, name, p.Dataset),
			fmt.Sprintf("Allowed are: %v.", p.Aggregates))
	}
}

func contains(list []string, x string) bool {
	for _, v := range list {
		if v == x {
			return true
		}
	}
	return false
}

// limits are the strictest parameters of the protected datasets that a query reads.
type limits struct {
	kind         mechanism.Kind
	minUnits     int64
	rows, groups int64
	maxGroups    int64
	rho          float64
}

func strictest(in *relation) limits {
	l := limits{kind: mechanism.Threshold, rows: math.MaxInt32, groups: math.MaxInt32, maxGroups: math.MaxInt32}
	for _, p := range in.policies {
		r := p.Release
		if r.Mechanism == string(mechanism.DifferentialPrivacy) {
			l.kind = mechanism.DifferentialPrivacy
			if l.rho == 0 || r.RhoPerAggregate < l.rho {
				l.rho = r.RhoPerAggregate
			}
		}
		if in.asked[p.Owner] {
			l.minUnits = max(l.minUnits, r.MinUnits)
		}
		l.rows, l.groups = min(l.rows, r.RowsPerGroup), min(l.groups, r.GroupsPerUnit)
		l.maxGroups = min(l.maxGroups, r.MaxGroups)
	}
	return l
}

// assemble makes the release of a plan in which nothing was refused.
func (d *decider) assemble(root plan.Relation, rho float64) *Release {
	in, agg, l := d.input, d.release, strictest(d.input)
	if rho > 0 && rho < l.rho {
		l.rho = rho
	}
	out := &Release{Plan: plan.Text(root), Digest: plan.Digest(root), Cells: plan.Digest(agg), Exempt: d.exempt}
	out.Bounded = plan.Bounded{Input: agg.Input, Unit: in.unit, Keys: agg.Keys, RowsPerGroup: l.rows, GroupsPerUnit: l.groups, MinUnits: l.minUnits, Threshold: l.kind == mechanism.Threshold}
	s := &out.Spec
	*s = mechanism.Spec{Kind: l.kind, KeyCount: len(agg.Keys), MinUnits: l.minUnits, MaxGroups: l.maxGroups, GroupsPerUnit: l.groups, RowsPerGroup: l.rows}
	d.bounding(out)
	d.publicKeys(out)
	if len(d.release.Aggs) > 0 && refusedFact(d.keys, d.aggs) {
		d.refuse(refusal.UnsupportedSyntax, agg.Span, nil, "language", "An expression of this query is not part of the language.", "Write it with the functions of the language.")
		return nil
	}
	owners := partial(in)
	flags, aggs := d.split(out, owners)
	if !s.Selects() {
		out.Bounded.MinUnits = 0 // leaving a group out would tell how many units it has
	}
	b := builder{release: out, rho: mechanism.FromFloat(l.rho)}
	b.add(plan.Sum{Kind: plan.SumUnits, Scale: 1}, big.NewInt(1))
	for _, o := range owners {
		i := b.add(plan.Sum{Kind: plan.SumOwnerUnits, Filter: flags[o]}, big.NewInt(1))
		s.Columns[i].Owner = o
	}
	for _, a := range aggs {
		b.aggregate(a)
	}
	out.Outer = above(root, agg)
	if s.Kind == mechanism.DifferentialPrivacy && s.Selects() {
		s.Delta = d.selectionDelta(s.Price())
	}
	return out
}

// refusedFact says that something has no known use although nothing refused it: the last guard of the language.
func refusedFact(keys []fact, aggs []aggregate) bool {
	for _, f := range keys {
		if f.role == bad || f.role == hidden || f.isUnit() {
			return true
		}
	}
	for _, a := range aggs {
		if a.arg != nil && (a.fact.role == bad || a.fact.role == hidden) {
			return true
		}
	}
	return false
}

// split makes the rows tell whose data made them, where that is not the same for all.
func (d *decider) split(out *Release, owners []string) (map[string]plan.Expr, []aggregate) {
	if len(owners) == 0 {
		return nil, d.aggs
	}
	b, c := &out.Bounded, &carrier{d, owners}
	in := c.relation(b.Input)
	b.Input, b.Unit, b.Keys = in.rel, in.cols[b.Unit].(*plan.Col).Index, c.all(b.Keys, in.cols)
	aggs := append([]aggregate{}, d.aggs...)
	for i := range aggs {
		aggs[i].agg = c.agg(aggs[i].agg, in.cols)
		if aggs[i].arg != nil {
			aggs[i].arg = plan.Substitute(aggs[i].arg, in.cols)
		}
	}
	for _, f := range in.flags {
		d.exempt[f] = true // whose data made a row is no condition of the query
	}
	return in.flags, aggs
}

// bounding says which bounds can not bite (R7, R9): a unit with one row has one group. Only plans over unique datasets skip them; in
// others one row, or one group, is what the engine lets count.
func (d *decider) bounding(out *Release) {
	in, b, s := d.input, &out.Bounded, &out.Spec
	keys := map[int]bool{}
	for _, k := range b.Keys {
		if c, ok := k.(*plan.Col); ok {
			keys[c.Index] = true
		}
	}
	inKeys := in.keyed
	for _, k := range in.key {
		inKeys = inKeys && keys[k]
	}
	if inKeys {
		b.OneRow, b.RowsPerGroup, s.RowsPerGroup = in.simple, 1, 1
	}
	if len(b.Keys) == 0 || in.keyed && len(in.key) == 0 {
		b.OneGroup, b.GroupsPerUnit, s.GroupsPerUnit = len(b.Keys) == 0 || in.simple, 1, 1
	}
}

// publicKeys tells whether every key's values are known (R8), and narrows L0 to the number of groups that one unit can have: a key that
// is the same in all rows of a unit makes no second group of it.
func (d *decider) publicKeys(out *Release) {
	b, s := &out.Bounded, &out.Spec
	s.PublicKeys = true
	product, perUnit := int64(1), int64(1) // groups in all, and groups that one unit can have
	for i, f := range d.keys {
		b.KeepNull = append(b.KeepNull, f.nullable)
		same := fixed(b.Keys[i], d.input)
		values := known(f)
		if values == nil {
			s.PublicKeys = false
			if !same {
				perUnit = math.MaxInt32
			}
			if f.many {
				d.refuse(refusal.LimitExceeded, b.Keys[i].Place(), f.from, "max_groups", fmt.Sprintf("The declared values of %s make too many groups; the most is %d.", f.name(), s.MaxGroups), "Group by fewer or coarser keys.")
			}
			continue
		}
		if values = withNull(values); !f.nullable {
			values = withoutNull(values)
		}
		s.Domain = append(s.Domain, typedValues(values, b.Keys[i].Type()))
		product = min(product*int64(len(values)), math.MaxInt32)
		if !same {
			perUnit = min(perUnit*max(1, int64(len(values))), math.MaxInt32)
		}
	}
	if perUnit <= s.GroupsPerUnit && !b.OneGroup {
		b.OneGroup, b.GroupsPerUnit, s.GroupsPerUnit = d.input.simple || s.PublicKeys && product == perUnit, perUnit, perUnit
	}
	if !s.PublicKeys {
		s.Domain = nil
		return
	}
	if product > s.MaxGroups {
		d.refuse(refusal.LimitExceeded, d.release.Span, nil, "max_groups", fmt.Sprintf("The declared keys make %d groups; the most is %d.", product, s.MaxGroups), "Group by fewer or coarser keys.")
	}
}

// maxCounted is the most integers between bounds that count as known.
const maxCounted = 1000

// known are the values that a key can have, when policy and query tell: declared ones, labels, and the integers between the bounds of
// what the query derives (a day of the week, a bin of a measure, a count that is cut off).
func known(f fact) []any {
	if f.values != nil || f.role != count || !f.finite() || f.high-f.low >= maxCounted {
		return f.values
	}
	var out []any
	for x := int64(math.Ceil(f.low)); x <= int64(math.Floor(f.high)); x++ {
		out = append(out, x)
	}
	if f.nullable {
		out = append(out, nil)
	}
	return out
}

func withoutNull(values []any) []any {
	var out []any
	for _, v := range values {
		if v != nil {
			out = append(out, v)
		}
	}
	return out
}

func typedValues(values []any, t plan.Type) []any {
	out := make([]any, len(values))
	for i, v := range values {
		if n, ok := v.(int64); ok && t == plan.Double {
			v = float64(n)
		}
		out[i] = v
	}
	return out
}

// above is the part of a plan over the release, which reads it through a leaf.
func above(r plan.Relation, release *plan.Aggregate) plan.Relation {
	if r == plan.Relation(release) {
		return &plan.Released{Columns: release.Schema()}
	}
	switch r := r.(type) {
	case *plan.Filter:
		return &plan.Filter{Input: above(r.Input, release), Conds: r.Conds}
	case *plan.Project:
		return &plan.Project{Input: above(r.Input, release), Exprs: r.Exprs, Names: r.Names}
	case *plan.Window:
		return &plan.Window{Input: above(r.Input, release), Funcs: r.Funcs}
	case *plan.Sort:
		return &plan.Sort{Input: above(r.Input, release), Keys: r.Keys}
	case *plan.Limit:
		return &plan.Limit{Span: r.Span, Input: above(r.Input, release), Count: r.Count, Offset: r.Offset}
	}
	return r
}

func (d *decider) budgets(in *relation) []*document.Policy {
	var out []*document.Policy
	seen := map[string]bool{}
	for _, p := range in.policies {
		if !seen[p.Dataset] {
			seen[p.Dataset] = true
			out = append(out, p)
		}
	}
	return out
}

// selectionDelta is (delta / 2) * rho / lifetime_rho, the smallest of the owners' (R7).
func (d *decider) selectionDelta(rho mechanism.Rho) float64 {
	least := math.Inf(1)
	for _, p := range d.budgets(d.input) {
		if b := p.Budget; b != nil && p.Release.Mechanism == string(mechanism.DifferentialPrivacy) {
			lifetime := mechanism.FromFloat(b.LifetimeRho)
			if lifetime == 0 {
				lifetime = mechanism.FromFloat(b.Rho)
			}
			least = math.Min(least, mechanism.SelectionDelta(b.Delta, rho, lifetime))
		}
	}
	return least
}
