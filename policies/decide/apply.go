package decide

import (
	"fmt"
	"math"

	"concordat.dev/sql/plan"
	"concordat.dev/sql/refusal"
)

// apply tells what a function or an arithmetic operator makes of its arguments.
func (d *decider) apply(e *plan.Call, args []fact) fact {
	switch e.Op {
	case "left":
		return d.applyLeft(e, args[0])
	case "lower", "upper", "trim":
		if d.prefixed(e.Args[0], args[0]) {
			return fact{role: bad}
		}
		args[0].bare = false
		return args[0]
	case "coalesce":
		return d.coalesce(e, args)
	case "least", "greatest":
		return d.extreme(e, args)
	case "date_trunc", "date_part", "date_diff":
		return d.temporal(e, args)
	}
	if len(e.Args) == 2 {
		if s, ok := e.Args[1].(*plan.Step); ok {
			return d.shift(e, args[0], s)
		}
	}
	return d.arithmetic(e, args)
}

func (d *decider) applyLeft(e *plan.Call, f fact) fact {
	if f.role != dimension && f.role != constant {
		return d.columnUse(e.Args[0], f, "may not be cut")
	}
	n, _ := number(e.Args[1].(*plan.Const).Value)
	if f.prefix > 0 && int(n) > f.prefix {
		d.prefixed(e, f)
		return fact{role: bad}
	}
	f.bare, f.prefix, f.exact = false, 0, ""
	return f
}

func (d *decider) coalesce(e *plan.Call, args []fact) fact {
	out := args[0]
	for i, a := range args {
		if d.prefixed(e.Args[i], a) {
			return fact{role: bad}
		}
		if i > 0 {
			out = d.either(e.Args[i], out, a)
		}
	}
	if out.role == constant { // of NULLs and constants: a label
		out.nullable = false
		return out
	}
	if out.nullable = args[len(args)-1].nullable; !out.nullable && out.values != nil {
		out.values = withoutNull(out.values)
	}
	return out
}

func (d *decider) extreme(e *plan.Call, args []fact) fact {
	if e.T.Temporal() {
		out := args[0]
		for i, a := range args[1:] {
			out = d.either(e.Args[i+1], out, a)
		}
		out.bare = false
		return out
	}
	for i, a := range args {
		if !a.numeric() {
			return d.columnUse(e.Args[i], a, "may not stand in "+e.Op)
		}
	}
	out := args[0]
	for i, a := range args[1:] {
		low, high := math.Min(out.low, a.low), math.Min(out.high, a.high)
		if e.Op == "greatest" {
			low, high = math.Max(out.low, a.low), math.Max(out.high, a.high)
		}
		if out = d.either(e.Args[i+1], out, a); out.role == bad {
			return out
		}
		out.low, out.high = low, high
	}
	out.bare, out.values = false, nil
	if out.role == constant {
		out.role = count
	}
	if out.role == measure {
		out.grain = 0
	}
	return out
}

func (f fact) numeric() bool {
	return f.role == measure || f.role == count || f.role == constant
}

// bin recognises floor(column / m) with m a multiple of the grain: an integer of grain 1 (R4).
func (d *decider) bin(e *plan.Call, in *relation) (fact, bool) {
	if e.Op != "floor" {
		return fact{}, false
	}
	div, ok := e.Args[0].(*plan.Call)
	if !ok || div.Op != "/" {
		return fact{}, false
	}
	col, ok := strip(div.Args[0]).(*plan.Col)
	k, isConst := div.Args[1].(*plan.Const)
	if !ok || !isConst {
		return fact{}, false
	}
	c := d.derive(col, in)
	m, _ := number(k.Value)
	if c.role != measure || !c.bare || c.grain == 0 || m <= 0 {
		return fact{}, false
	}
	if !multiple(m, c.grain) {
		d.refuse(refusal.Grain, e.Span, c.from, fmt.Sprintf("grain: %g", c.grain), fmt.Sprintf("Steps of %g are finer than, or not aligned to, the grain of %s.", m, c.name()),
			fmt.Sprintf("Use floor(%s / %g).", c.name(), math.Max(1, math.Ceil(m/c.grain))*c.grain))
		return fact{role: bad}, true
	}
	return fact{role: count, from: c.from, low: math.Floor(c.low / m), high: math.Floor(c.high / m), scale: 1, grain: 1, nullable: c.nullable}, true
}

// strip takes off a cast that changes no value: of an integer to a double.
func strip(e plan.Expr) plan.Expr {
	if c, ok := e.(*plan.Cast); ok && c.T == plan.Double && c.Arg.Type().Whole() {
		return c.Arg
	}
	return e
}

func (d *decider) arithmetic(e *plan.Call, args []fact) fact {
	for i, a := range args {
		if !a.numeric() {
			return d.columnUse(e.Args[i], a, "may not be computed with")
		}
	}
	out := fact{role: measure, scale: args[0].scale, exact: computed(args)}
	for _, a := range args[1:] {
		out.scale = finest(out.scale, a.scale)
	}
	if args[0].role == count && len(args) == 1 {
		out.role, out.grain = count, 1
	}
	if len(args) == 2 && (e.Op == "+" || e.Op == "-") && wholeStep(args[0]) && wholeStep(args[1]) && (args[0].role == constant || args[1].role == constant) {
		out.role, out.grain = count, 1
	}
	if allConstant(args) {
		out.role = constant
	}
	out.low, out.high = interval(e.Op, args)
	return out
}

func allConstant(args []fact) bool {
	for _, a := range args {
		if a.role != constant {
			return false
		}
	}
	return true
}

// wholeStep holds for derived integers and for integer constants.
func wholeStep(f fact) bool {
	return f.role == count || f.role == constant && f.low == math.Trunc(f.low)
}

// interval is interval arithmetic (R3). A product of 0 and infinity is 0: the bound of a bounded factor of nothing.
func interval(op string, args []fact) (low, high float64) {
	a := args[0]
	switch op {
	case "neg":
		return -a.high, -a.low
	case "abs":
		if a.low <= 0 && a.high >= 0 {
			return 0, math.Max(-a.low, a.high)
		}
		return math.Min(math.Abs(a.low), math.Abs(a.high)), math.Max(math.Abs(a.low), math.Abs(a.high))
	case "floor", "round", "ceil":
		return math.Floor(a.low), math.Ceil(a.high)
	}
	b := args[len(args)-1]
	switch op {
	case "+":
		return a.low + b.low, a.high + b.high
	case "-":
		return a.low - b.high, a.high - b.low
	case "*":
		return corners(a, b.low, b.high)
	case "/":
		if b.low <= 0 && b.high >= 0 {
			return -inf, inf
		}
		return corners(a, 1/b.high, 1/b.low)
	}
	return -inf, inf
}

func corners(a fact, low, high float64) (float64, float64) {
	lo, hi := inf, -inf
	for _, x := range []float64{a.low, a.high} {
		for _, y := range []float64{low, high} {
			p := x * y
			if math.IsNaN(p) {
				p = 0
			}
			lo, hi = math.Min(lo, p), math.Max(hi, p)
		}
	}
	return lo, hi
}

func (d *decider) temporal(e *plan.Call, args []fact) fact {
	unit, _ := e.Args[0].(*plan.Const).Value.(string)
	out := args[1]
	for i, a := range args[1:] {
		if a.role == constant {
			continue
		}
		if a.role != moment {
			return d.columnUse(e.Args[i+1], a, "is not a time")
		}
		out = a
		if finer(unit, a.unit) {
			d.refuse(refusal.Grain, e.Span, a.from, "grain: "+a.unit, fmt.Sprintf("%s is finer than the grain of %s, which is the %s.", one(unit), a.name(), a.unit),
				coarserHint(e.Op, a))
			return fact{role: bad}
		}
	}
	switch e.Op {
	case "date_trunc":
		if out.role == constant {
			return out
		}
		return fact{role: moment, unit: unit, shifted: out.shifted, low: -inf, high: inf}
	case "date_part":
		low, high := partRange(unit)
		return fact{role: count, low: low, high: high, scale: 1, grain: 1}
	}
	return fact{role: count, low: -inf, high: inf, scale: 1, grain: 1}
}

func partRange(unit string) (low, high float64) {
	switch unit {
	case "quarter":
		return 1, 4
	case "month":
		return 1, 12
	case "week":
		return 1, 53
	case "day":
		return 1, 31
	case "dow":
		return 0, 6
	case "isodow":
		return 1, 7
	case "hour":
		return 0, 23
	case "minute", "second":
		return 0, 59
	}
	return 1, 9999
}

// shift is a time and an INTERVAL, which is no finer than the grain.
func (d *decider) shift(e *plan.Call, f fact, s *plan.Step) fact {
	if f.role == constant {
		return f
	}
	if f.role != moment {
		return d.columnUse(e.Args[0], f, "is not a time")
	}
	if finer(s.Unit, f.unit) {
		d.refuse(refusal.Grain, s.Span, f.from, "grain: "+f.unit, fmt.Sprintf("An interval of a %s is finer than the grain of %s, which is the %s.", s.Unit, f.name(), f.unit),
			"Use INTERVAL in whole units of a "+f.unit+".")
		return fact{role: bad}
	}
	if f.shifted += math.Abs(float64(s.Count)) * years[s.Unit]; f.shifted > maxShift {
		d.refuse(refusal.LimitExceeded, s.Span, f.from, "intervals", fmt.Sprintf("Intervals move a time by %d years at most.", maxShift), "Write a smaller INTERVAL.")
		return fact{role: bad}
	}
	f.bare = false
	return f
}

// maxShift is how far intervals may move a time: what they lead to stays within what an engine can compute with, whatever the data.
const maxShift = 100_000

// years are the lengths of the units of intervals.
var years = map[string]float64{"second": 1 / 31_556_952., "minute": 60 / 31_556_952., "hour": 3600 / 31_556_952., "day": 86_400 / 31_556_952., "week": 604_800 / 31_556_952.,
	"month": 1 / 12., "quarter": 1 / 4., "year": 1}

func coarserHint(op string, f fact) string {
	if op == "date_trunc" {
		return fmt.Sprintf("Use date_trunc('%s', %s).", f.unit, f.name())
	}
	return "The finest unit of " + f.name() + " is the " + f.unit + "."
}

// one is a unit of time with its article.
func one(unit string) string {
	switch unit {
	case "hour":
		return "An hour"
	case "dow", "isodow":
		return "A day of the week"
	}
	return "A " + unit
}
