package decide

import (
	"math"

	"concordat.dev/sql/plan"
)

// innerSum is what a sum over rows of one unit is: a measure without grain and without bounds of its own.
func (d *decider) innerSum(arg plan.Expr, f fact, in *relation) fact {
	_, clamped := d.clamped(arg, f, in)
	return fact{role: measure, from: f.from, low: -inf, high: inf, scale: f.scale, inner: innerSum, each: [2]float64{clamped.low, clamped.high}, bare: true, exact: f.summed()}
}

// clamped gives an argument without finite bounds finite ones where it can: inner counts are clamped to R, inner sums to R times the
// bounds of their argument (R3). The expression that is returned does so when it is executed.
func (d *decider) clamped(arg plan.Expr, f fact, in *relation) (plan.Expr, fact) {
	if f.finite() || f.role == bad {
		return arg, f
	}
	r := float64(strictest(in).rows)
	narrow := *in
	narrow.cols = append([]fact{}, in.cols...)
	with := make([]plan.Expr, len(in.cols))
	for i, c := range in.cols {
		var col plan.Expr = &plan.Col{Index: i, T: plan.Bigint}
		low, high := c.low, c.high
		switch c.inner {
		case innerCount:
			high = math.Min(high, r)
			low = math.Max(low, -r)
		case innerSum:
			low, high = math.Min(0, r*c.each[0]), math.Max(0, r*c.each[1])
		default:
			continue
		}
		with[i] = clamp(col, low, high)
		narrow.cols[i].low, narrow.cols[i].high = low, high
	}
	arg = plan.Map(arg, func(e plan.Expr) plan.Expr {
		c, ok := e.(*plan.Col)
		if !ok || with[c.Index] == nil {
			return e
		}
		return plan.Map(with[c.Index], func(inner plan.Expr) plan.Expr {
			if _, isCol := inner.(*plan.Col); isCol {
				return c
			}
			if call, isCall := inner.(*plan.Call); isCall {
				typed := *call
				typed.T = c.T
				return &typed
			}
			return inner
		})
	})
	// the facts of the columns, not the clamps around them, say what the clamped expression is
	return arg, d.deriveClamped(arg, &narrow)
}

// deriveClamped derives an expression whose columns were clamped already: clamps around columns change nothing.
func (d *decider) deriveClamped(arg plan.Expr, narrow *relation) fact {
	bare := plan.Map(arg, func(e plan.Expr) plan.Expr {
		if c, ok := e.(*plan.Call); ok && c.Op == "clamp" {
			return c.Args[0]
		}
		return e
	})
	return d.derive(bare, narrow)
}

// clamp narrows a column: NULL stays NULL.
func clamp(e plan.Expr, low, high float64) plan.Expr {
	return &plan.Call{Op: "clamp", Args: []plan.Expr{e, constantOf(low, e.Type()), constantOf(high, e.Type())}, T: e.Type()}
}

func constantOf(x float64, t plan.Type) plan.Expr {
	if t.Whole() && x == math.Trunc(x) && math.Abs(x) < 1<<62 {
		return &plan.Const{Value: int64(x), T: plan.Bigint}
	}
	return &plan.Const{Value: x, T: plan.Double}
}
