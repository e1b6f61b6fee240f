package decide

import (
	"fmt"
	"strings"

	"concordat.dev/protocol/document"
	"concordat.dev/sql/eval"
	"concordat.dev/sql/plan"
	"concordat.dev/sql/refusal"
)

// kind is the property that each relation of a plan has (PRIVACY.md section 4).
type kind int

const (
	broken   kind = iota // refused already
	public               // protects nobody
	perUnit              // rows of units of one namespace
	afterRel             // computed from the release
)

// relation is what is known of a relation.
type relation struct {
	kind      kind
	namespace string
	cols      []fact
	units     map[int]bool // columns that hold the unit
	keyed     bool         // the unit and the columns of key name at most one row
	key       []int
	simple    bool               // bounding may be skipped where rows are one per unit (R9)
	owners    map[string]bool    // owners whose data made some row
	certain   map[string]bool    // owners whose data made every row
	asked     map[string]bool    // owners whose min_units apply: all that are read but by NOT EXISTS
	alone     map[string]bool    // datasets with a use that no INNER, EXISTS or IN joins with another owner's data
	datasets  map[string]bool    // protected datasets that were read
	repeats   []string           // notes: joins that repeat rows
	factors   int                // datasets of several rows a unit of which each row meets each of the others
	policies  []*document.Policy // of the protected datasets
	unit      int                // the first column that holds the unit
}

func (d *decider) relation(r plan.Relation) *relation {
	switch r := r.(type) {
	case *plan.Scan:
		return d.scan(r)
	case *plan.Filter:
		return d.filter(r)
	case *plan.Project:
		return d.project(r)
	case *plan.Join:
		return d.join(r)
	case *plan.Union:
		return d.union(r)
	case *plan.Aggregate:
		return d.aggregate(r)
	case *plan.Window:
		return d.window(r)
	case *plan.Sort:
		in := d.relation(r.Input)
		for _, k := range r.Keys {
			d.derive(k.Expr, in)
		}
		return in
	case *plan.Limit:
		return d.limit(r)
	}
	return &relation{kind: broken}
}

func (d *decider) scan(r *plan.Scan) *relation {
	p := d.policies[r.Dataset]
	out := &relation{kind: public, units: map[int]bool{}, unit: -1}
	if !p.Unit.None {
		out.kind, out.namespace, out.keyed, out.simple = perUnit, p.Unit.Namespace, p.Unit.Unique, p.Unit.Unique
		out.owners, out.certain, out.asked = set(p.Owner), set(p.Owner), set(p.Owner)
		out.alone, out.datasets = set(r.Dataset), set(r.Dataset)
		out.policies = []*document.Policy{p}
		if !p.Unit.Unique {
			out.factors = 1
		}
	}
	for i, c := range r.Columns {
		if p.Unit.None {
			out.cols = append(out.cols, publicFact(p, c.Name, p.Columns[c.Name]))
			continue
		}
		f := columnFact(p, c.Name, p.Columns[c.Name])
		f.fixed = p.Unit.Unique || c.Name == p.Unit.Column
		out.cols = append(out.cols, f)
		if c.Name == p.Unit.Column {
			out.units[i], out.unit = true, i
		}
	}
	return out
}

func (d *decider) filter(r *plan.Filter) *relation {
	in := d.relation(r.Input)
	if in.kind == broken {
		return in
	}
	for _, c := range r.Conds {
		d.condition(c, in)
	}
	return narrowed(r.Conds, in)
}

// narrowed leaves of the declared values of a dimension those that a filter lets through: column = constant, or column IN (constants).
func narrowed(conds []plan.Expr, in *relation) *relation {
	if in.kind != perUnit {
		return in
	}
	out := *in
	out.cols = append([]fact{}, in.cols...)
	for _, e := range conds {
		c, ok := e.(*plan.Call)
		if !ok || c.Op != "=" && c.Op != "in" {
			continue
		}
		col, ok := c.Args[0].(*plan.Col)
		if !ok || out.cols[col.Index].role != dimension || out.cols[col.Index].values == nil || !constants(c.Args[1:]) {
			continue
		}
		f := &out.cols[col.Index]
		f.values, f.nullable = among(f.values, c.Args[1:]), false
	}
	return &out
}

func constants(list []plan.Expr) bool {
	for _, e := range list {
		if _, ok := e.(*plan.Const); !ok {
			return false
		}
	}
	return true
}

// among are the values that equal one of the constants.
func among(values []any, list []plan.Expr) []any {
	out := []any{}
	for _, v := range values {
		for _, e := range list {
			if k := e.(*plan.Const).Value; v != nil && k != nil && eval.Compare("=", v, k) == true {
				out = append(out, v)
				break
			}
		}
	}
	return out
}

// fixed says that an expression has the same value in all rows of a unit.
func fixed(e plan.Expr, in *relation) bool {
	for _, i := range plan.Columns(e) {
		if !in.cols[i].fixed {
			return false
		}
	}
	return true
}

func (d *decider) project(r *plan.Project) *relation {
	in := d.relation(r.Input)
	if in.kind == broken {
		return in
	}
	out := *in
	out.cols, out.units, out.key, out.unit = nil, map[int]bool{}, nil, -1
	at := map[int]int{}
	for i, e := range r.Exprs {
		c, ok := e.(*plan.Col)
		if ok && c.Starred && c.Index < len(in.cols) {
			out.cols = append(out.cols, in.cols[c.Index]) // what * names is not asked for; its use is judged where it is
		} else {
			f := d.derive(e, in)
			f.fixed = in.kind == perUnit && fixed(e, in)
			out.cols = append(out.cols, f)
		}
		if ok {
			if _, have := at[c.Index]; !have {
				at[c.Index] = i
			}
			if in.units[c.Index] {
				out.units[i] = true
				if out.unit < 0 {
					out.unit = i
				}
			}
		}
	}
	for _, k := range in.key {
		to, ok := at[k]
		if !ok {
			out.keyed = false
		}
		out.key = append(out.key, to)
	}
	return &out
}

func (d *decider) limit(r *plan.Limit) *relation {
	in := d.relation(r.Input)
	if in.kind == perUnit || in.kind == public {
		d.refuse(refusal.UnsupportedSyntax, r.Span, nil, "R6", "LIMIT and OFFSET cut released rows only.", "Move LIMIT to the outermost SELECT, or rank rows of each unit with row_number().")
	}
	return in
}

func (d *decider) union(r *plan.Union) *relation {
	var out *relation
	for _, p := range r.Parts {
		in := d.relation(p)
		switch {
		case in.kind == broken:
			return in
		case in.kind == afterRel:
			d.refuse(refusal.UnsupportedSyntax, r.Span, nil, "R6", "UNION ALL takes queries of units, not released rows.", "Run each query by itself.")
			return &relation{kind: broken}
		case in.kind == public:
			d.refuse(refusal.UnitLost, r.Span, nil, "R6", "UNION ALL takes queries of units; one part reads public data only.", "Give every part the unit.")
			return &relation{kind: broken}
		case out == nil:
			c := *in
			out = &c
		default:
			d.unite(out, in, r.Span)
		}
	}
	if len(out.units) == 0 {
		d.refuse(refusal.UnitLost, r.Span, nil, "section 4", "The parts of UNION ALL share no column that holds the unit.", "Select the identifier in the same place of every part.")
		return &relation{kind: broken}
	}
	out.keyed, out.key, out.simple = false, nil, false
	for out.unit = 0; !out.units[out.unit]; out.unit++ {
	}
	return out
}

func (d *decider) unite(out, in *relation, span refusal.Span) {
	if out.namespace != in.namespace {
		d.refuse(refusal.NamespaceMismatch, span, nil, "section 4", fmt.Sprintf("UNION ALL mixes the namespaces %s and %s.", out.namespace, in.namespace), "Unite data of one namespace.")
	}
	units := map[int]bool{}
	for i := range out.units {
		if in.units[i] {
			units[i] = true
		}
	}
	out.units = units
	cols := make([]fact, len(out.cols))
	for i := range out.cols {
		var ok bool
		if cols[i], ok = hull(out.cols[i], in.cols[i]); !ok {
			d.refuse(refusal.ColumnUse, span, sources(out.cols[i], in.cols[i]), "R3", fmt.Sprintf("Column %d of UNION ALL is a %s in one part and a %s in another.", i+1, out.cols[i].roleName(), in.cols[i].roleName()),
				"Unite columns of the same role, or leave the column out.")
		}
	}
	for i := range cols {
		cols[i].fixed = units[i]
	}
	out.cols, out.factors = cols, max(out.factors, in.factors)
	out.owners, out.certain = union(out.owners, in.owners), common(out.certain, in.certain)
	reads(out, out, in)
}

// reads says that a relation reads what two others read.
func reads(out, a, b *relation) {
	out.alone, out.datasets, out.asked = union(a.alone, b.alone), union(a.datasets, b.datasets), union(a.asked, b.asked)
	out.policies = append(append([]*document.Policy{}, a.policies...), b.policies...)
	out.repeats = append(append([]string{}, a.repeats...), b.repeats...)
}

func set(name string) map[string]bool { return map[string]bool{name: true} }

func union(a, b map[string]bool) map[string]bool {
	out := map[string]bool{}
	for k := range a {
		out[k] = true
	}
	for k := range b {
		out[k] = true
	}
	return out
}

func common(a, b map[string]bool) map[string]bool {
	out := map[string]bool{}
	for k := range a {
		if b[k] {
			out[k] = true
		}
	}
	return out
}

func (d *decider) aggregate(r *plan.Aggregate) *relation {
	in := d.relation(r.Input)
	switch in.kind {
	case broken:
		return in
	case afterRel:
		d.refuse(refusal.UnitLost, d.releaseSpan(r.Span), nil, "R6", "The inner query forgets the unit: what it releases may not be aggregated again.",
			"Group the inner query by the identifier as well, so that it stays a query of units.")
		return &relation{kind: broken}
	case public:
		d.refuse(refusal.JoinNotOnUnit, r.Span, nil, "R6", "The query aggregates public data only.", "Join it with a protected dataset.")
		return &relation{kind: broken}
	}
	for _, k := range r.Keys {
		if c, ok := k.(*plan.Col); ok && in.units[c.Index] {
			return d.innerAggregate(r, in)
		}
	}
	return d.outerAggregate(r, in)
}

// releaseSpan is where the release stands that something else would read.
func (d *decider) releaseSpan(otherwise refusal.Span) refusal.Span {
	if d.release != nil && d.release.End > d.release.Start {
		return d.release.Span
	}
	return otherwise
}

// innerAggregate is a GROUP BY or DISTINCT that holds the unit: its rows are still those of units.
func (d *decider) innerAggregate(r *plan.Aggregate, in *relation) *relation {
	out := *in
	out.cols, out.units, out.key, out.keyed, out.unit = nil, map[int]bool{}, nil, true, -1
	oneRow := true // the keys besides the unit are the same in all its rows
	for i, k := range r.Keys {
		f := d.derive(k, in)
		f.fixed = fixed(k, in)
		oneRow = oneRow && f.fixed
		if c, ok := k.(*plan.Col); ok && in.units[c.Index] {
			out.units[i] = true
			if out.unit < 0 {
				out.unit = i
			}
		} else {
			d.key(k, f)
			out.key = append(out.key, i)
		}
		out.cols = append(out.cols, f)
	}
	if oneRow {
		out.key, out.factors = nil, 0
	}
	for _, a := range r.Aggs {
		f := d.innerAgg(a, in)
		f.fixed = oneRow
		out.cols = append(out.cols, f)
	}
	return &out
}

func (d *decider) innerAgg(a plan.Agg, in *relation) fact {
	if a.Filter != nil {
		d.condition(a.Filter, in)
	}
	out := fact{role: count, low: 0, high: inf, scale: 1, grain: 1, inner: innerCount}
	var f fact
	if a.Arg != nil {
		if f = d.derive(a.Arg, in); f.role == bad {
			return f
		}
		out.from = f.from
	}
	switch a.Func {
	case "count":
		if a.Arg == nil {
			if out.low = 1; a.Filter != nil {
				out.low = 0
			}
			return out
		}
		d.usable(a.Arg, f)
		d.present(a.Arg, f)
		return out
	case "count_distinct":
		if !f.isUnit() {
			d.usable(a.Arg, f)
		}
		d.toldApart(a.Arg, f)
		return out
	case "sum":
		if !d.argument(a, f) {
			return fact{role: bad}
		}
		return d.innerSum(a.Arg, f, in)
	case "avg":
		if !d.argument(a, f) {
			return fact{role: bad}
		}
		return fact{role: measure, from: f.from, low: f.low, high: f.high, scale: f.scale, bare: true, exact: f.summed()}
	case "min", "max":
		if f.role == identifier || f.role == nullableUnit {
			d.identifierUse(a.Arg.Place(), f)
			return fact{role: bad}
		}
		if d.prefixed(a.Arg, f) {
			return fact{role: bad}
		}
		if a.Filter != nil {
			f = f.orNull()
		}
		return f // the value of one of the unit's rows
	}
	d.refuse(refusal.UnsupportedSyntax, a.Span, f.from, "section 3", strings.ToUpper(a.Func)+" is not computed per unit.", "Per unit there are count, sum, avg, min and max.")
	return fact{role: bad}
}
