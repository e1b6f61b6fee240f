package query

import (
	"math"

	"concordat.dev/policies/mechanism"
	"concordat.dev/protocol/answer"
	"concordat.dev/sql/eval"
	"concordat.dev/sql/plan"
	"concordat.dev/worker/release"
)

// output is a column of the answer in terms of the released columns: keys first, then cells.
type output struct {
	expr plan.Expr // nil when it was computed by a window
	kind answer.ColumnKind
	cell int   // the one cell that it is computed from by a monotone function; -1: none or several
	mix  []int // the cells that it is computed from by arithmetic, when they are several
}

// describe names and types the columns of the answer, and traces each back to the release.
func (a *Analysis) describe() {
	release := a.Decision.Release
	traced := trace(release.Outer)
	for i, c := range release.Outer.Schema() {
		o := output{expr: traced[i], kind: answer.Derived, cell: -1}
		if col, ok := o.expr.(*plan.Col); ok {
			if o.kind = answer.Aggregate; col.Index < release.Spec.KeyCount {
				o.kind = answer.Key
			}
		}
		if o.expr != nil {
			if o.cell = singleCell(o.expr, release.Spec.KeyCount); o.cell < 0 {
				o.mix = arithmeticCells(o.expr, release.Spec.KeyCount)
			}
		}
		a.outputs = append(a.outputs, o)
		a.Columns = append(a.Columns, answer.Column{Name: c.Name, Type: string(c.Type), Kind: o.kind})
	}
}

// trace gives the columns of a relation above the release as expressions over the released columns; nil for windows.
func trace(r plan.Relation) []plan.Expr {
	switch r := r.(type) {
	case *plan.Filter:
		return trace(r.Input)
	case *plan.Sort:
		return trace(r.Input)
	case *plan.Limit:
		return trace(r.Input)
	case *plan.Window:
		return append(trace(r.Input), make([]plan.Expr, len(r.Funcs))...)
	case *plan.Project:
		below := trace(r.Input)
		out := make([]plan.Expr, len(r.Exprs))
		for i, e := range r.Exprs {
			known := true
			for _, c := range plan.Columns(e) {
				known = known && below[c] != nil
			}
			if known {
				out[i] = plan.Substitute(e, below)
			}
		}
		return out
	}
	var out []plan.Expr
	for i, c := range r.Schema() {
		out = append(out, &plan.Col{Index: i, Name: c.Name, T: c.Type})
	}
	return out
}

// singleCell is the cell that an expression reads once, through + - * / with constants and negation only: a monotone function, so
// that the ends of its interval are those of the cell's. -1 for all else.
func singleCell(e plan.Expr, keys int) int {
	switch e := e.(type) {
	case *plan.Col:
		if e.Index >= keys {
			return e.Index - keys
		}
	case *plan.Cast:
		if e.T.Numeric() {
			return singleCell(e.Arg, keys)
		}
	case *plan.Call:
		switch e.Op {
		case "neg", "round", "floor", "ceil":
			return singleCell(e.Args[0], keys)
		}
		if len(e.Args) != 2 {
			return -1
		}
		_, left := e.Args[0].(*plan.Const)
		_, right := e.Args[1].(*plan.Const)
		switch {
		case right && (e.Op == "+" || e.Op == "-" || e.Op == "*" || e.Op == "/"):
			return singleCell(e.Args[0], keys)
		case left && (e.Op == "+" || e.Op == "-" || e.Op == "*"):
			return singleCell(e.Args[1], keys)
		}
	}
	return -1
}

// arithmeticCells are the cells that an expression reads, when it is made of + - * / round and casts alone; nil for all else.
func arithmeticCells(e plan.Expr, keys int) []int {
	var out []int
	plain := true
	plan.Walk(e, func(e plan.Expr) bool {
		switch e := e.(type) {
		case *plan.Col:
			plain = plain && e.Index >= keys
		case *plan.Call:
			switch e.Op {
			case "+", "-", "*", "/", "neg", "round":
			default:
				plain = false
			}
		case *plan.Const, *plan.Cast:
		default:
			plain = false
		}
		return plain
	})
	if !plain {
		return nil
	}
	for _, i := range plan.Columns(e) {
		out = append(out, i-keys)
	}
	return out
}

// propagated is the interval of a value computed from several cells, to first order: the half widths that each cell's interval gives it,
// added as independent errors (root of the sum of squares; Joint Committee for Guides in Metrology, GUM 5.1.2), or one on top of
// the other where one draw makes all cells of a row (threshold mode).
func (o output) propagated(row []any, keys int, cells []release.Cell, together bool) *answer.Interval {
	value, ok := eval.Float(eval.Value(o.expr, row))
	if !ok || len(o.mix) == 0 {
		return nil
	}
	total := 0.0
	for _, i := range o.mix {
		c := cells[i]
		if c.Low == nil || c.High == nil {
			return nil
		}
		var ends [2]float64
		for end, x := range []float64{*c.Low, *c.High} {
			probe := append([]any{}, row...)
			probe[keys+i] = x
			if ends[end], ok = eval.Float(eval.Value(o.expr, probe)); !ok {
				return nil
			}
		}
		half := math.Abs(ends[1]-ends[0]) / 2
		if together {
			total += half
		} else {
			total = math.Hypot(total, half)
		}
	}
	return &answer.Interval{value - total, value + total}
}

// interval maps the interval of the cell that an output is computed from; nil when there is none.
func (o output) interval(row []any, keys int, low, high *float64) *answer.Interval {
	if o.cell < 0 || low == nil || high == nil {
		return nil
	}
	at := func(x float64) (float64, bool) {
		probe := append([]any{}, row...)
		probe[keys+o.cell] = x
		return eval.Float(eval.Value(o.expr, probe))
	}
	a, aok := at(*low)
	b, bok := at(*high)
	if !aok || !bok {
		return nil
	}
	return &answer.Interval{math.Min(a, b), math.Max(a, b)}
}

// expected is the interval around the true value that can be told before any data is touched.
func (o output) expected(spec *mechanism.Spec) *answer.Interval {
	if o.cell < 0 || o.cell >= len(spec.Cells) {
		return nil
	}
	e := spec.Expect(o.cell)
	if !e.Known {
		return nil
	}
	low, high, zero := -e.Half, e.Half, 0.0
	row := make([]any, spec.KeyCount+len(spec.Cells))
	center := o.interval(row, spec.KeyCount, &zero, &zero)
	around := o.interval(row, spec.KeyCount, &low, &high)
	if center == nil || around == nil {
		return nil
	}
	return &answer.Interval{around[0] - center[0], around[1] - center[0]}
}
