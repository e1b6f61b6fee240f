package decide

import (
	"fmt"

	"concordat.dev/sql/plan"
	"concordat.dev/sql/refusal"
)

// key judges an expression that rows are grouped by, or that public data is joined on.
func (d *decider) key(e plan.Expr, f fact) bool {
	switch f.role {
	case bad:
		return false
	case identifier, nullableUnit:
		d.identifierUse(e.Place(), f)
		return false
	case measure:
		hint := "Aggregate it: avg, sum or quantile_cont."
		if f.grain > 0 {
			hint = fmt.Sprintf("Group by floor(%s / %g), or by CASE with %s < … at multiples of %g.", f.name(), f.grain, f.name(), f.grain)
		}
		d.refuse(refusal.Grain, e.Place(), f.from, f.grainRule(), fmt.Sprintf("The measure %s is no group key by itself.", f.name()), hint)
		return false
	case dimension:
		return !d.prefixed(e, f)
	}
	return true
}

// usable judges an expression that is only counted.
func (d *decider) usable(e plan.Expr, f fact) {
	if f.role == identifier || f.role == nullableUnit {
		d.identifierUse(e.Place(), f)
		return
	}
	d.prefixed(e, f)
}

// argument judges what a numeric aggregate takes.
func (d *decider) argument(a plan.Agg, f fact) bool {
	switch f.role {
	case bad:
		return false
	case measure, count, flag, constant:
		return true
	case identifier, nullableUnit:
		d.identifierUse(a.Arg.Place(), f)
	case dimension:
		if d.prefixed(a.Arg, f) {
			return false
		}
		d.columnUse(a.Arg, f, "is a key, not a measure: it may not be aggregated")
	default:
		d.columnUse(a.Arg, f, "may not be aggregated")
	}
	return false
}

// window judges window functions: per unit below the release, free above it.
func (d *decider) window(r *plan.Window) *relation {
	in := d.relation(r.Input)
	if in.kind == broken {
		return in
	}
	out := *in
	out.cols = append([]fact{}, in.cols...)
	for _, f := range r.Funcs {
		if in.kind == afterRel {
			out.cols = append(out.cols, fact{role: released})
			continue
		}
		made := d.unitWindow(f, in)
		made.fixed = false // it may differ from row to row
		out.cols = append(out.cols, made)
	}
	if !in.keyed || !in.simple {
		out.simple = false // R9: never after windows over data that is not unique
	}
	return &out
}

func (d *decider) unitWindow(f plan.WindowFunc, in *relation) fact {
	holds := false
	for _, p := range f.Partition {
		c := d.derive(p, in)
		if col, ok := p.(*plan.Col); ok && in.units[col.Index] {
			holds = true
		} else if !d.identified(p, c) {
			d.toldApart(p, c)
		}
	}
	if !holds {
		d.refuse(refusal.UnitLost, f.Span, nil, "section 4", "The window runs over rows of several units.", "Add the identifier to PARTITION BY.")
	}
	for _, k := range f.Order {
		c := d.derive(k.Expr, in)
		if c.role == nullableUnit {
			d.identifierUse(k.Expr.Place(), c)
		} else {
			d.toldApart(k.Expr, c)
		}
	}
	d.ties(f, in)
	if f.Filter != nil {
		d.condition(f.Filter, in)
	}
	args := make([]fact, len(f.Args))
	for i, a := range f.Args {
		if args[i] = d.derive(a, in); args[i].role == bad || d.identified(a, args[i]) || d.prefixed(a, args[i]) {
			return fact{role: bad}
		}
	}
	out := fact{role: count, low: 1, high: inf, scale: 1, grain: 1, inner: innerCount}
	switch f.Func {
	case "row_number", "rank", "dense_rank":
		return out
	case "count":
		if len(f.Args) > 0 || f.Filter != nil {
			out.low = 0
		}
		if len(f.Args) > 0 {
			d.present(f.Args[0], args[0])
		}
		return out
	case "sum":
		a := args[0]
		if !d.argument(plan.Agg{Arg: f.Args[0]}, a) {
			return fact{role: bad}
		}
		return d.innerSum(f.Args[0], a, in)
	case "lag", "lead":
		if len(args) == 3 {
			return d.either(f.Args[2], args[0], args[2])
		}
		return args[0].orNull()
	case "first_value", "min", "max":
		return args[0]
	}
	d.refuse(refusal.UnsupportedSyntax, f.Span, nil, "section 3", "The window function "+f.Func+" is not computed per unit.", "Use row_number, rank, dense_rank, lag, lead, first_value, count, sum, min or max.")
	return fact{role: bad}
}
