package eval

import (
	"math"
	"math/big"

	"concordat.dev/sql/plan"
)

// Grid is the step to which doubles are rounded before they are added up within a unit. Sums of doubles depend on the order of their
// rows, which an engine with threads does not keep; sums of whole steps do not. It is a power of two, so that dividing by it is exact.
const Grid = 1 << 40

// MaxSummand bounds the doubles that are added up; larger ones, and those that are no numbers, count as NULL.
const MaxSummand = 1 << 60

// total is the sum or the average of values that are not NULL.
func total(a plan.Agg, values []any) any {
	sum, n := new(big.Int), 0
	whole := true
	for _, v := range values {
		switch v := v.(type) {
		case int64:
			sum.Add(sum, big.NewInt(v))
		case float64:
			whole = false
			if !(math.Abs(v) < MaxSummand) {
				continue
			}
			steps, _ := big.NewFloat(math.Round(v * Grid)).Int(nil)
			sum.Add(sum, steps)
		default:
			continue
		}
		n++
	}
	if n == 0 {
		return nil
	}
	if whole && a.Func == "sum" {
		if !sum.IsInt64() {
			return nil
		}
		return sum.Int64()
	}
	x := wide(sum)
	if !whole {
		x /= Grid
	}
	if a.Func == "avg" {
		x /= float64(n)
	}
	return x
}

// wide is a 128-bit integer as a double, from its halves as DuckDB computes it.
func wide(n *big.Int) float64 {
	abs := new(big.Int).Abs(n)
	if n.Sign() < 0 && abs.BitLen() <= 64 {
		lower := new(big.Int).Sub(abs, big.NewInt(1)).Uint64()
		return -float64(lower) - 1
	}
	lower := new(big.Int).And(n, new(big.Int).SetUint64(math.MaxUint64)).Uint64()
	upper := new(big.Int).Rsh(n, 64).Int64()
	return float64(lower) + float64(upper)*math.Exp2(64)
}
