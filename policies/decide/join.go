package decide

import (
	"fmt"

	"concordat.dev/sql/plan"
	"concordat.dev/sql/refusal"
)

func (d *decider) join(r *plan.Join) *relation {
	left, right := d.relation(r.Left), d.relation(r.Right)
	switch {
	case left.kind == broken || right.kind == broken:
		return &relation{kind: broken}
	case left.kind == afterRel || right.kind == afterRel:
		d.refuse(refusal.UnitLost, r.Span, nil, "R6", "Released rows may not be joined.", "Join the datasets on their identifiers before aggregating.")
		return &relation{kind: broken}
	case left.kind == public && (right.kind == public || r.Kind != plan.Inner):
		d.refuse(refusal.UnsupportedSyntax, r.Span, nil, "R6", "Public data is joined to protected data, as the inner or the nullable side.", "Write the protected dataset first.")
		return &relation{kind: broken}
	case left.kind == public || right.kind == public:
		return d.publicJoin(r, left, right)
	}
	return d.unitJoin(r, left, right)
}

// maxFactors bounds what the rows of one unit can become: a query that fails, or takes hours, where one unit has many rows would tell of it.
const maxFactors = 3

// both is the relation whose columns are those of left and then right, as conditions of a join see them.
func both(left, right *relation) *relation {
	out := *left
	out.cols = append(append([]fact{}, left.cols...), right.cols...)
	out.units = map[int]bool{}
	for i := range left.units {
		out.units[i] = true
	}
	for i := range right.units {
		out.units[len(left.cols)+i] = true
	}
	return &out
}

func (d *decider) unitJoin(r *plan.Join, left, right *relation) *relation {
	all := both(left, right)
	onUnit := false
	for _, c := range r.On {
		if d.unitEquality(c, all, left, right) {
			onUnit = true
			continue
		}
		d.condition(c, all)
	}
	if !onUnit {
		d.joinNotOnUnit(r, left, right)
		return &relation{kind: broken}
	}
	out := *all
	reads(&out, left, right)
	if r.Kind == plan.Anti {
		out.asked = left.asked
	}
	switch r.Kind {
	case plan.Semi, plan.Anti:
		out.cols, out.units = left.cols, left.units
		out.keyed, out.key, out.simple = left.keyed, left.key, left.simple
	default:
		out.keyed, out.simple = left.keyed && right.keyed, left.simple && right.simple
		out.key = append([]int{}, left.key...)
		for _, k := range right.key {
			out.key = append(out.key, k+len(left.cols))
		}
		if out.factors = left.factors + right.factors; out.factors > maxFactors {
			d.refuse(refusal.LimitExceeded, r.Span, nil, "rows of a unit", fmt.Sprintf("The joins repeat rows: of more than %d relations with several rows a unit, each row meets each.", maxFactors),
				"Group by the identifier before joining, or use EXISTS.")
		}
		if !left.keyed && !right.keyed {
			out.repeats = append(out.repeats, "The join repeats rows: each row of one side meets every row of the same unit on the other.")
		}
	}
	d.ownersOf(&out, r, left, right)
	if r.Kind == plan.Left {
		out.units = left.units
		for i := range right.cols {
			f := &out.cols[len(left.cols)+i]
			f.fixed = f.fixed && len(r.On) == 1 // a further condition may match some rows of the unit and not others
			if *f = f.orNull(); f.role == identifier {
				f.role = nullableUnit
			}
		}
	}
	return &out
}

// ownersOf tells whose units stand behind the rows, and asks those who are only asked whether a unit is absent.
func (d *decider) ownersOf(out *relation, r *plan.Join, left, right *relation) {
	out.owners, out.certain = left.owners, left.certain
	if r.Kind == plan.Inner || r.Kind == plan.Semi {
		out.owners, out.certain = union(left.owners, right.owners), union(left.certain, right.certain)
		out.alone = union(d.stillAlone(left, right), d.stillAlone(right, left))
		if r.Kind == plan.Semi {
			d.uncertain(r, out, right)
		}
		return
	}
	for ds := range right.datasets { // anti_overlap, by syntax (R5)
		p := d.policies[ds]
		if left.certain[p.Owner] || p.AntiOverlap {
			continue
		}
		d.refuse(refusal.AntiOverlap, r.Place(), []origin{{p.Owner, ds, ""}}, "anti_overlap: false",
			fmt.Sprintf("%s does not let a query count units that are absent from %s.", p.Owner, ds), "Use INNER JOIN or EXISTS: count units that are present in both.")
	}
}

// stillAlone are the datasets of one side that the other side joins with no other owner's data.
func (d *decider) stillAlone(side, other *relation) map[string]bool {
	out := map[string]bool{}
	for ds := range side.alone {
		met := false
		for o := range other.certain {
			met = met || o != d.policies[ds].Owner
		}
		if !met {
			out[ds] = true
		}
	}
	return out
}

// uncertain refuses EXISTS and IN over a union in which an owner has a part only: which part a unit was found in is not kept, so that the
// owner's units could not be counted.
func (d *decider) uncertain(r *plan.Join, out, right *relation) {
	for o := range right.owners {
		if !out.certain[o] {
			d.refuse(refusal.UnsupportedSyntax, r.Place(), nil, "R5", "EXISTS and IN read a UNION ALL of data of different owners.", "Write one EXISTS for each owner's data, or join the union.")
			return
		}
	}
}

// unitEquality recognises left.unit = right.unit. Identifiers that are equal to anything else are refused here.
func (d *decider) unitEquality(e plan.Expr, all, left, right *relation) bool {
	c, ok := e.(*plan.Call)
	if !ok || c.Op != "=" || len(c.Args) != 2 {
		return false
	}
	a, aok := c.Args[0].(*plan.Col)
	b, bok := c.Args[1].(*plan.Col)
	if !aok || !bok {
		return false
	}
	if a.Index > b.Index {
		a, b = b, a
	}
	width := len(left.cols)
	if a.Index >= width || b.Index < width || !left.units[a.Index] || !right.units[b.Index-width] {
		return false
	}
	d.exempt[e] = true
	if left.namespace == right.namespace {
		d.meet(c, all.cols[a.Index], all.cols[b.Index])
		return true
	}
	d.refuse(refusal.NamespaceMismatch, c.Span, all.cols[a.Index].from, "section 4",
		fmt.Sprintf("The identifiers mean different units: %s and %s.", left.namespace, right.namespace), "Join datasets of one namespace.")
	return true
}

func (d *decider) joinNotOnUnit(r *plan.Join, left, right *relation) {
	suggestion := fmt.Sprintf("Add %s = %s to the join's condition.", unitName(left), unitName(right))
	if left.namespace != right.namespace {
		suggestion = "Join datasets of one namespace."
		d.refuse(refusal.NamespaceMismatch, r.Span, nil, "section 4",
			fmt.Sprintf("The datasets protect different units: %s and %s.", left.namespace, right.namespace), suggestion)
	}
	d.refuse(refusal.JoinNotOnUnit, r.Span, nil, "section 4", "Protected data is joined on the unit: the equality of the identifiers must be a condition of the join itself.", suggestion)
}

func unitName(r *relation) string {
	for i, f := range r.cols {
		if r.units[i] && len(f.from) > 0 {
			return f.from[0].dataset + "." + f.from[0].column
		}
	}
	return "the identifier"
}

// publicJoin joins public reference data on an expression that may be a group key.
func (d *decider) publicJoin(r *plan.Join, left, right *relation) *relation {
	all := both(left, right)
	if left.kind == public {
		all.namespace, all.kind, all.policies = right.namespace, perUnit, right.policies
	}
	width, joined := len(left.cols), false
	for _, c := range r.On {
		if call, ok := c.(*plan.Call); ok && call.Op == "=" && sides(call, width) {
			joined = true
			for _, a := range call.Args {
				f := d.derive(a, all)
				d.key(a, f)
			}
			continue
		}
		d.condition(c, all)
	}
	if !joined {
		d.refuse(refusal.JoinNotOnUnit, r.Span, nil, "R6", "Public data is joined on an equality with a column that may be a group key.", "Add the equality to ON.")
	}
	protected := left
	if left.kind == public {
		protected = right
	}
	out := *all
	reads(&out, left, right)
	out.kind, out.namespace, out.owners, out.certain, out.factors = perUnit, protected.namespace, protected.owners, protected.certain, protected.factors
	out.keyed, out.key, out.simple = false, nil, false
	for i := range out.cols {
		if (i < width) == (left.kind == public) {
			out.cols[i].fixed = false
		}
	}
	if r.Kind == plan.Semi || r.Kind == plan.Anti {
		out.cols, out.units, out.keyed, out.key = left.cols, left.units, left.keyed, left.key
	}
	if r.Kind == plan.Left {
		for i := range right.cols {
			out.cols[width+i] = out.cols[width+i].orNull()
		}
	}
	out.unit = -1
	for i := range out.cols {
		if out.units[i] {
			out.unit = i
			break
		}
	}
	return &out
}

// sides says that one argument reads the left columns only and the other the right ones only.
func sides(c *plan.Call, width int) bool {
	side := func(e plan.Expr) int {
		s := -1
		for _, i := range plan.Columns(e) {
			here := 0
			if i >= width {
				here = 1
			}
			if s >= 0 && s != here {
				return -1
			}
			s = here
		}
		return s
	}
	a, b := side(c.Args[0]), side(c.Args[1])
	return a >= 0 && b >= 0 && a != b
}
