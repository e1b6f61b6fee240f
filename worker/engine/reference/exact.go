package reference

import (
	"math"
	"math/big"
	"sort"

	"concordat.dev/policies/mechanism"
	"concordat.dev/worker/release"
)

// Exact are the cells of a group without noise: what the bounds leave of the data.
func Exact(spec *mechanism.Spec, g release.Group) []any {
	var out []any
	value := func(column int) float64 {
		f, _ := new(big.Float).SetInt(g.Sums[column]).Float64()
		return f * spec.Columns[column].Scale
	}
	for _, c := range spec.Cells {
		switch c.Kind {
		case mechanism.CellAverage:
			out = append(out, value(c.Columns[0])/value(c.Columns[1])+spec.Columns[c.Columns[0]].Midpoint)
		case mechanism.CellQuantile:
			out = append(out, quantile(spec.Columns[c.Columns[0]], g.Leaves[c.Columns[0]], c.Quantile))
		default:
			v := any(value(c.Columns[0]))
			if c.Integer {
				v = int64(math.Round(v.(float64)))
			}
			out = append(out, v)
		}
	}
	return out
}

// quantile is the middle of the leaf that holds it.
func quantile(c mechanism.Column, leaves map[int]int64, q float64) float64 {
	var at []int
	var n, below int64
	for leaf, count := range leaves {
		at = append(at, leaf)
		n += count
	}
	sort.Ints(at)
	for _, leaf := range at {
		if below += leaves[leaf]; float64(below) >= q*float64(n) {
			return c.Low + (float64(leaf)+0.5)*(c.High-c.Low)/math.Exp2(float64(c.Levels))
		}
	}
	return math.NaN()
}
