package decide

import "math"

// hull is what is known of a value that is one of two: what both allow. False: no use suits both. Nothing opens what is hidden or an
// identifier: mixed with anything else it stays so, and is no unit any more.
func hull(a, b fact) (fact, bool) {
	switch {
	case a.role == bad || b.role == bad:
		return fact{role: bad}, true
	case a.role == hidden || b.role == hidden:
		return fact{role: hidden, from: sources(a, b)}, true
	case a.isUnit() || b.isUnit():
		if !a.isUnit() {
			a, b = b, a
		}
		out := fact{role: identifier, from: sources(a, b), namespace: a.namespace, nullable: true, exact: exactly(a, b)}
		if a.isUnit() && b.isUnit() && a.role != b.role {
			out.role = nullableUnit
		}
		return out, true
	case a.onlyNull():
		return b.orNull(), true
	case b.onlyNull():
		return a.orNull(), true
	}
	r, ok := mixed(a.role, b.role)
	if !ok {
		return fact{role: bad}, false
	}
	out := fact{role: r, from: sources(a, b), low: math.Min(a.low, b.low), high: math.Max(a.high, b.high), scale: finest(a.scale, b.scale)}
	out.bare = (a.bare || a.role == constant) && (b.bare || b.role == constant)
	out.nullable, out.many = a.nullable || b.nullable, a.many || b.many
	if a.values != nil && b.values != nil {
		out.values = distinct(append(append([]any{}, a.values...), b.values...))
	}
	out.grain, out.unit, out.prefix = sameGrain(a, b), finestUnit(a, b), shortest(a.prefix, b.prefix)
	out.inner, out.each = bothInner(a, b)
	out.exact, out.shifted = exactly(a, b), math.Max(a.shifted, b.shifted)
	return out, true
}

func sources(a, b fact) []origin { return append(append([]origin{}, a.from...), b.from...) }

func (f fact) isUnit() bool { return f.role == identifier || f.role == nullableUnit }

func (f fact) onlyNull() bool { return f.role == constant && len(f.values) == 1 && f.values[0] == nil }

// orNull is the same value, or NULL.
func (f fact) orNull() fact {
	if f.nullable = true; f.values != nil {
		f.values = withNull(f.values)
	}
	return f
}

// mixed is the role of a value that has one of two. Constants take the role of what they meet; numbers that were counted are measures
// among measures; a dimension never becomes a number, nor a time anything else.
func mixed(a, b role) (role, bool) {
	switch {
	case a == b || b == constant:
		return a, true
	case a == constant:
		return b, true
	case a == measure && b == count || a == count && b == measure:
		return measure, true
	}
	return bad, false
}

// sameGrain is the grain that both keep: constants have none of their own (R3).
func sameGrain(a, b fact) float64 {
	switch {
	case a.role == constant || a.grain == b.grain:
		return b.grain
	case b.role == constant:
		return a.grain
	}
	return 0
}

func finestUnit(a, b fact) string {
	if a.role == constant || a.unit == "" || b.unit != "" && timeUnits[b.unit] < timeUnits[a.unit] {
		return b.unit
	}
	return a.unit
}

// shortest is the stricter of two prefixes; 0 is none.
func shortest(a, b int) int {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// bothInner tells how a value is clamped of which at least one side came from an inner query.
func bothInner(a, b fact) (inner, [2]float64) {
	if a.inner == b.inner && a.inner != innerSum {
		return a.inner, [2]float64{}
	}
	x, y := a.one(), b.one()
	return innerSum, [2]float64{math.Min(x[0], y[0]), math.Max(x[1], y[1])}
}

// one is the range of what one row adds.
func (f fact) one() [2]float64 {
	switch f.inner {
	case innerSum:
		return f.each
	case innerCount:
		return [2]float64{0, 1}
	}
	return [2]float64{f.low, f.high}
}

func withNull(values []any) []any {
	for _, v := range values {
		if v == nil {
			return values
		}
	}
	return append(append([]any{}, values...), nil)
}

func finest(a, b float64) float64 {
	if a == 0 || b == 0 {
		return 0
	}
	return math.Min(a, b)
}
