package release

import (
	"math"
	"math/big"

	"concordat.dev/policies/mechanism"
)

// VeiledGroup is a group of threshold mode that may be shown, with its phantom units: the drawn number of units in the middle of what the policy
// allows, each with mechanism.PhantomRows rows at the midpoint of the bounds. A negative number takes such units away, but no more rows than there are.
type veiledGroup struct {
	spec   *mechanism.Spec
	sticky *sticky
	group  *Group
}

// Count is a released count: with its phantoms, not below 0, rounded to the base. A count of nothing has no set of its own that
// could identify it; its noise is that of the group.
func (g *veiledGroup) count(column int) *big.Int {
	var phantoms int64
	if g.spec.Columns[column].Kind == mechanism.Count {
		phantoms = g.rows(column)
	} else {
		what, set := "units", g.group.UnitSets[column]
		if g.group.Sums[column].Sign() == 0 {
			what, set = "no units", g.group.UnitSets[0]
		}
		phantoms = g.sticky.phantoms(what, set)
	}
	n := new(big.Int).Add(g.group.Sums[column], big.NewInt(phantoms))
	return round(atLeast(n, new(big.Int)))
}

// Rows is the number of phantom rows behind a count column, and behind all sums of the same rows.
func (g *veiledGroup) rows(column int) int64 {
	what, set := "rows", g.group.RowSets[column]
	n := g.group.Sums[column]
	if n.Sign() == 0 {
		what, set = "no rows", g.group.UnitSets[0]
	}
	phantoms := g.sticky.phantoms(what, set) * mechanism.PhantomRows(g.spec)
	if n.IsInt64() {
		phantoms = max(phantoms, -n.Int64())
	}
	return phantoms
}

// Sum is a released sum in steps, when each phantom row adds so many.
func (g *veiledGroup) sum(column int, rows int64, each *big.Int) *big.Int {
	n := new(big.Int).Mul(big.NewInt(rows), each)
	return round(n.Add(n, g.group.Sums[column]))
}

// Round goes to the nearest multiple of the base.
func round(n *big.Int) *big.Int {
	base := big.NewInt(mechanism.Base)
	x := new(big.Int).Add(n, big.NewInt(mechanism.Base/2))
	return x.Div(x, base).Mul(x, base) // Div is Euclidean: towards minus infinity
}

// InSteps is the nearest whole number of steps.
func inSteps(x, scale float64) *big.Int {
	n, _ := new(big.Float).SetFloat64(math.Round(x / scale)).Int(nil)
	return n
}

func (g *veiledGroup) cell(c mechanism.Cell) Cell {
	first := c.Columns[0]
	switch c.Kind {
	case mechanism.CellCount:
		weight := 1.0
		if g.spec.Columns[first].Kind == mechanism.Count {
			weight = float64(mechanism.PhantomRows(g.spec))
		}
		half := big.NewInt(int64(mechanism.PhantomHalf95(weight)))
		return steps(g.count(first), half, 1, c.Integer, true)
	case mechanism.CellSum:
		scale := g.spec.Columns[first].Scale
		each := inSteps(mechanism.PhantomValue(c.Low, c.High), scale)
		weight := float64(mechanism.PhantomRows(g.spec)) * math.Abs(asFloat(each))
		half, _ := big.NewFloat(mechanism.PhantomHalf95(weight)).Int(nil)
		return steps(g.sum(first, g.rows(c.Columns[1]), each), half, scale, c.Integer, false)
	case mechanism.CellAverage:
		return g.average(c)
	case mechanism.CellVariance, mechanism.CellStddev:
		return g.variance(c)
	case mechanism.CellQuantile:
		return g.quantile(c)
	}
	return Cell{}
}

// Average is the released sum over the released count: it tells nothing that these two don't.
func (g *veiledGroup) average(c mechanism.Cell) Cell {
	scale := g.spec.Columns[c.Columns[0]].Scale
	each := inSteps(mechanism.PhantomValue(c.Low, c.High), scale)
	sum, count := g.sum(c.Columns[0], g.rows(c.Columns[1]), each), g.count(c.Columns[1])
	if count.Sign() == 0 {
		return Cell{}
	}
	s, n, v := asFloat(sum), asFloat(count), asFloat(each)
	within := func(steps float64) float64 { return clamp(steps*scale, c.Low, c.High) }
	var all []mechanism.Weighted
	g.behind(n, func(rows, n, p float64) {
		for _, e := range mechanism.RoundingErrors() {
			all = append(all, mechanism.Weighted{Value: within((s - rows*v - e.Value) / n), Probability: p * e.Probability})
		}
	})
	return between(within(s/n), all, c)
}

// Variance is the released mean square less the squared mean, both around the midpoint of the bounds, where phantom rows add nothing.
func (g *veiledGroup) variance(c mechanism.Cell) Cell {
	column := g.spec.Columns[c.Columns[0]]
	each := inSteps(c.Low/2+c.High/2-column.Midpoint, column.Scale)
	rows := g.rows(c.Columns[1])
	count := g.count(c.Columns[1])
	if count.Cmp(big.NewInt(2)) < 0 {
		return Cell{}
	}
	s := asFloat(g.sum(c.Columns[0], rows, each))
	q := asFloat(g.sum(c.Columns[2], rows, new(big.Int).Mul(each, each)))
	n, v := asFloat(count), asFloat(each)

	most := (c.High - c.Low) * (c.High - c.Low) / 4
	finish := func(s, q, n float64) float64 {
		x := (q/n - s*s/(n*n)) * column.Scale * column.Scale
		x = clamp(x, 0, most)
		if c.Sample {
			x *= n / math.Max(n-1, 1)
		}
		if c.Kind == mechanism.CellStddev {
			x = math.Sqrt(x)
		}
		return x
	}
	var all []mechanism.Weighted
	g.behind(n, func(rows, n, p float64) {
		for _, e := range mechanism.RoundingErrors() {
			for _, f := range mechanism.RoundingErrors() {
				x := finish(s-rows*v-e.Value, q-rows*v*v-f.Value, n)
				all = append(all, mechanism.Weighted{Value: x, Probability: p * e.Probability * f.Probability})
			}
		}
	})
	return between(finish(s, q, n), all, c)
}

// Behind visits what may be behind a released count of rows: the number of phantom rows, the rows without them, and the probability.
func (g *veiledGroup) behind(released float64, visit func(rows, n, probability float64)) {
	each := float64(mechanism.PhantomRows(g.spec))
	for _, d := range mechanism.PhantomUnits() {
		for _, e := range mechanism.RoundingErrors() {
			rows := d.Value * each
			if n := released - e.Value - rows; n >= float64(g.spec.MinUnits) {
				visit(rows, n, d.Probability*e.Probability)
			}
		}
	}
}

// Between is a cell with the central 95 % of what may be behind it, which always holds the value.
func between(value float64, all []mechanism.Weighted, c mechanism.Cell) Cell {
	if len(all) == 0 {
		return interval(value, math.Min(value, c.Low), math.Max(value, c.High))
	}
	low, high := mechanism.Quantile(all, 0.025), mechanism.Quantile(all, 0.975)
	return interval(value, math.Min(low, value), math.Max(high, value))
}
