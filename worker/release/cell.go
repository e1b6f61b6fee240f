package release

import (
	"math"
	"math/big"
	"strconv"

	"concordat.dev/policies/mechanism"
)

// Cell computes one aggregate from noisy columns alone.
func (g *noisyGroup) cell(c mechanism.Cell) Cell {
	first := c.Columns[0]
	switch c.Kind {
	case mechanism.CellCount:
		return steps(g.value(first), g.noises[first].half, 1, c.Integer, true)
	case mechanism.CellSum:
		return steps(g.value(first), g.noises[first].half, g.spec.Columns[first].Scale, c.Integer, false)
	case mechanism.CellAverage:
		return g.average(c)
	case mechanism.CellVariance, mechanism.CellStddev:
		return g.variance(c)
	case mechanism.CellQuantile:
		return g.quantile(c)
	}
	return Cell{}
}

// Steps is a released integer in units of scale with half a width on either side; counts don't go below 0.
func steps(n, half *big.Int, scale float64, integer, count bool) Cell {
	low, high := new(big.Int).Sub(n, half), new(big.Int).Add(n, half)
	if count {
		zero := new(big.Int)
		n, low, high = atLeast(n, zero), atLeast(low, zero), atLeast(high, zero)
	}
	return interval(number(n, scale, integer || count), float(low, scale), float(high, scale))
}

func interval(value any, low, high float64) Cell { return Cell{Value: value, Low: &low, High: &high} }

func atLeast(a, b *big.Int) *big.Int {
	if a.Cmp(b) < 0 {
		return b
	}
	return a
}

// Number is n steps of scale, exactly where an int64 can hold it and an integer is wanted, else the nearest float.
func number(n *big.Int, scale float64, integer bool) any {
	if integer {
		x := times(n, scale)
		if x.IsInt() && x.Num().IsInt64() {
			return x.Num().Int64()
		}
	}
	return float(n, scale)
}

func float(n *big.Int, scale float64) float64 {
	x, _ := times(n, scale).Float64()
	return x
}

// Times multiplies by the decimal that the scale is written as: three steps of 0.1 are 0.3.
func times(n *big.Int, scale float64) *big.Rat {
	s, _ := new(big.Rat).SetString(strconv.FormatFloat(scale, 'g', -1, 64))
	return s.Mul(s, new(big.Rat).SetInt(n))
}

func asFloat(n *big.Int) float64 {
	x, _ := new(big.Float).SetInt(n).Float64()
	return x
}

func clamp(x, low, high float64) float64 { return math.Min(math.Max(x, low), high) }

// Average is the noisy sum over the noisy count, around the midpoint of the bounds, within the bounds.
func (g *noisyGroup) average(c mechanism.Cell) Cell {
	sum, count := g.value(c.Columns[0]), g.value(c.Columns[1])
	if count.Sign() < 1 {
		return Cell{}
	}
	column := g.spec.Columns[c.Columns[0]]
	within := func(steps float64) float64 { return clamp(column.Midpoint+steps*column.Scale, c.Low, c.High) }
	a, b := g.noises[c.Columns[0]].spread, g.noises[c.Columns[1]].spread
	s, n := asFloat(sum), asFloat(count)
	low, high := ratio{top: s, bottom: n, topVariance: a * a, bottomVariance: b * b}.interval()
	return interval(within(s/n), within(low), within(high))
}

// Variance is the noisy mean square less the squared noisy mean, both centred, not below 0 and not above what the bounds allow.
func (g *noisyGroup) variance(c mechanism.Cell) Cell {
	least := int64(1)
	if c.Sample {
		least = 2
	}
	if g.value(c.Columns[1]).Cmp(big.NewInt(least)) < 0 {
		return Cell{}
	}
	scale := g.spec.Columns[c.Columns[0]].Scale
	s, n, q := asFloat(g.value(c.Columns[0])), asFloat(g.value(c.Columns[1])), asFloat(g.value(c.Columns[2]))
	a, b, e := g.noises[c.Columns[0]].spread, g.noises[c.Columns[1]].spread, g.noises[c.Columns[2]].spread

	mean := s / n
	meanLow, meanHigh := ratio{top: s, bottom: n, topVariance: a * a, bottomVariance: b * b}.interval()
	m2 := mean * mean
	// The squares around the noisy mean are a noisy sum again; their ratio to the count is the variance plus the squared error of that mean.
	low, high := ratio{
		top: q - 2*mean*s + m2*n, bottom: n,
		topVariance: e*e + 4*m2*a*a + m2*m2*b*b, bottomVariance: b * b, covariance: m2 * b * b,
	}.interval()
	away := math.Max(meanHigh-mean, mean-meanLow)
	low -= away * away

	factor := func(n float64) float64 {
		if !c.Sample {
			return 1
		}
		return n / math.Max(n-1, 1)
	}
	most := (c.High - c.Low) * (c.High - c.Low) / 4 * factor(2)
	finish := func(v, n float64) float64 {
		v = clamp(v*scale*scale*factor(n), 0, most)
		if c.Kind == mechanism.CellStddev {
			return math.Sqrt(v)
		}
		return v
	}
	h := mechanism.Z95 * b
	return interval(finish(q/n-m2, n), finish(low, n+h), finish(high, math.Max(n-h, 2)))
}
