package decide

import (
	"fmt"
	"math"
	"time"

	"concordat.dev/sql/eval"
	"concordat.dev/sql/plan"
	"concordat.dev/sql/refusal"
)

// maxConstants is the most constants that one column is compared with in one query (R4).
const maxConstants = 50

// condition judges an expression that filters, or decides a CASE.
func (d *decider) condition(e plan.Expr, in *relation) {
	if in.kind == afterRel {
		return // released values may be compared with anything
	}
	c, ok := e.(*plan.Call)
	if !ok {
		d.truth(e, in)
		return
	}
	switch c.Op {
	case "and", "or", "not":
		for _, a := range c.Args {
			d.condition(a, in)
		}
	case "is_null":
		d.isNull(c, in)
	case "in":
		f := d.derive(c.Args[0], in)
		d.against(c, f, c.Args[0], c.Args[1:])
	case "like":
		f := d.derive(c.Args[0], in)
		if f.role != bad && f.role != dimension && f.role != constant && !f.isUnit() {
			d.columnUse(c.Args[0], f, "may not be matched by LIKE")
			return
		}
		d.against(c, f, c.Args[0], c.Args[1:])
	case "=", "<>", "<", "<=", ">", ">=":
		d.comparison(c, in)
	default:
		d.truth(e, in)
	}
}

// truth judges a column or an expression that is true or false by itself.
func (d *decider) truth(e plan.Expr, in *relation) {
	f := d.derive(e, in)
	switch f.role {
	case bad, constant, flag, released:
	case dimension, count:
		d.prefixed(e, f)
	default:
		if !d.identified(e, f) {
			d.columnUse(e, f, "is no condition")
		}
	}
}

// identified refuses an identifier where only other columns may stand.
func (d *decider) identified(e plan.Expr, f fact) bool {
	if f.role != identifier && f.role != nullableUnit {
		return false
	}
	d.identifierUse(e.Place(), f)
	return true
}

func (d *decider) isNull(c *plan.Call, in *relation) {
	f := d.derive(c.Args[0], in)
	switch f.role {
	case identifier:
		d.identifierUse(c.Span, f)
	case dimension:
		d.prefixed(c.Args[0], f)
	case measure:
		if f.grain == 0 {
			d.refuse(refusal.Grain, c.Span, f.from, "grain", fmt.Sprintf("The measure %s has no grain: it may not be filtered.", f.name()), "Aggregate it; NULLs are left out of sums and averages.")
		}
	}
}

func (d *decider) comparison(c *plan.Call, in *relation) {
	left, right := d.derive(c.Args[0], in), d.derive(c.Args[1], in)
	switch {
	case left.role == bad || right.role == bad:
	case left.role == released || right.role == released:
	case d.identified(c.Args[0], left), d.identified(c.Args[1], right):
	case left.role == constant && right.role == constant:
	case right.role == constant:
		d.against(c, left, c.Args[0], c.Args[1:])
	case left.role == constant:
		flipped := &plan.Call{Span: c.Span, Op: map[string]string{"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "<>": "<>"}[c.Op], Args: []plan.Expr{c.Args[1], c.Args[0]}}
		d.against(flipped, right, c.Args[1], flipped.Args[1:])
	default:
		d.columns(c, left, right)
	}
}

// columns judges a comparison of two columns of one unit (R2).
func (d *decider) columns(c *plan.Call, left, right fact) {
	for i, f := range []fact{left, right} {
		if f.role == measure {
			d.refuse(refusal.Grain, c.Span, f.from, "grain", fmt.Sprintf("The measure %s is compared with a constant only.", f.name()), d.grainHint(f))
			return
		}
		if d.prefixed(c.Args[i], f) {
			return
		}
		if list := labels(c.Args[1-i]); len(list) > 0 {
			d.countConstants(c, f, c.Args[i], list)
		}
	}
}

// labels are the constants that an expression can be: comparing with it compares with them.
func labels(e plan.Expr) []plan.Expr {
	var out []plan.Expr
	switch e := e.(type) {
	case *plan.Const:
		return []plan.Expr{e}
	case *plan.Case:
		for _, w := range e.Whens {
			out = append(out, labels(w.Then)...)
		}
		return append(out, labels(e.Else)...)
	case *plan.Call, *plan.Cast:
		for _, a := range plan.Children(e) {
			out = append(out, labels(a)...)
		}
	}
	return out
}

// against judges the comparison of an expression with constants, and aligns the constants of times to the grain.
func (d *decider) against(c *plan.Call, f fact, x plan.Expr, constants []plan.Expr) {
	for _, k := range constants {
		if _, literal := k.(*plan.Const); !literal {
			d.refuse(refusal.UnsupportedSyntax, k.Place(), f.from, "R4", "What a column is compared with is a constant, written out.", "Write the value itself.")
			return
		}
	}
	switch f.role {
	case bad, constant, released, flag:
		return
	case identifier, nullableUnit:
		d.identifierUse(c.Span, f)
		return
	case dimension:
		if d.prefixed(x, f) {
			return
		}
		if c.Op != "=" && c.Op != "<>" && c.Op != "in" && c.Op != "like" {
			d.columnUse(c, f, "is compared with =, <>, IN or LIKE only")
			return
		}
	case measure:
		d.measureAgainst(c, f, constants)
	case moment:
		for _, k := range constants {
			if k, ok := k.(*plan.Const); ok {
				if at, isTime := k.Value.(time.Time); isTime {
					k.Value = eval.Trunc(f.unit, at)
				}
			}
		}
	}
	d.countConstants(c, f, x, constants)
}

// measureAgainst: a bare column, < or >=, a multiple of the grain (R4).
func (d *decider) measureAgainst(c *plan.Call, f fact, constants []plan.Expr) {
	say := func(message string) {
		d.refuse(refusal.Grain, c.Span, f.from, f.grainRule(), message, d.hintFor(c, f))
	}
	switch {
	case f.grain == 0 && !f.bare:
		say(fmt.Sprintf("What is computed from %s may not be filtered: the measure is filtered as it is, at its grain.", f.name()))
		return
	case f.grain == 0:
		say(fmt.Sprintf("The measure %s has no grain: it may not be filtered.", f.name()))
		return
	case !f.bare:
		say(fmt.Sprintf("The measure %s is filtered as it is, not computed with, cast or shifted.", f.name()))
		return
	case c.Op != "<" && c.Op != ">=":
		say(fmt.Sprintf("The measure %s is compared by < and >= at steps of %g only.", f.name(), f.grain))
		return
	}
	for _, k := range constants {
		x, ok := number(k.(*plan.Const).Value)
		if !ok || !multiple(x, f.grain) {
			d.refuse(refusal.Grain, c.Span, f.from, f.grainRule(),
				fmt.Sprintf("The measure %s is compared at multiples of %g only.", f.name(), f.grain), d.alignHint(c, f, x))
			return
		}
	}
}

func (f fact) grainRule() string {
	if f.grain == 0 {
		return "no grain"
	}
	return fmt.Sprintf("grain: %g", f.grain)
}

// hintFor says what to write in the place of a comparison that the grain does not allow.
func (d *decider) hintFor(c *plan.Call, f fact) string {
	k, ok := c.Args[1].(*plan.Const)
	if !ok || f.grain == 0 || !f.bare || len(c.Args) != 2 {
		return d.grainHint(f)
	}
	x, ok := number(k.Value)
	if !ok {
		return d.grainHint(f)
	}
	low := math.Floor(x/f.grain) * f.grain
	switch c.Op {
	case "=":
		return fmt.Sprintf("Write %[1]s >= %[2]g AND %[1]s < %[3]g.", f.name(), low, low+f.grain)
	case "<>":
		return fmt.Sprintf("Write (%[1]s < %[2]g OR %[1]s >= %[3]g).", f.name(), low, low+f.grain)
	case "<=":
		return fmt.Sprintf("Write %s < %g.", f.name(), math.Round(x/f.grain)*f.grain)
	case ">":
		return fmt.Sprintf("Write %s >= %g.", f.name(), math.Round(x/f.grain)*f.grain)
	}
	return d.grainHint(f)
}

func (d *decider) alignHint(c *plan.Call, f fact, x float64) string {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return d.grainHint(f)
	}
	return fmt.Sprintf("Write %s %s %g.", f.name(), c.Op, math.Round(x/f.grain)*f.grain)
}

func (d *decider) grainHint(f fact) string {
	if f.grain == 0 {
		return "Aggregate it instead: sum, avg or quantile_cont."
	}
	step := math.Max(f.grain, math.Ceil(math.Max(f.low, 0)/f.grain)*f.grain)
	return fmt.Sprintf("Write %s < %g or %s >= %g, with a multiple of %g.", f.name(), step, f.name(), step, f.grain)
}

// countConstants keeps the constants of a column together, however they are written: those beside the column in an expression too.
func (d *decider) countConstants(c *plan.Call, f fact, x plan.Expr, constants []plan.Expr) {
	prefix := ""
	if _, isCol := x.(*plan.Col); !isCol {
		prefix = plan.Fingerprint(x) + " "
	}
	columns := f.from
	if len(columns) == 0 { // derived by an inner query
		for _, i := range plan.Columns(x) {
			columns = append(columns, origin{column: fmt.Sprintf("number %d of the subquery", i+1)})
		}
	}
	for _, o := range columns {
		if d.constants[o] == nil {
			d.constants[o] = map[string]bool{}
		}
		for _, k := range constants {
			d.constants[o][prefix+plan.Fingerprint(k)] = true
		}
		if len(d.constants[o]) > maxConstants {
			d.refuse(refusal.LimitExceeded, c.Span, []origin{o}, "constants", fmt.Sprintf("The column %s is compared with more than %d constants.", o.column, maxConstants),
				"Group by the column instead, and filter the released rows with HAVING.")
		}
	}
}
