package mechanism

import (
	"math"
	"math/big"
	"slices"
)

// Parameters of threshold mode (PRIVACY.md section 6).
const (
	OffsetSD         = 2  // standard deviation of the sticky offset of min_units
	PhantomSD        = 3  // standard deviation of the number of phantom units in a cell
	Base             = 5  // to which released counts round, and sums in steps of their scale
	DominancePercent = 40 // of a sum: the largest contribution stays below
	RemainderPercent = 10 // of the largest contribution: the sum without the two largest is at least this (p%-rule)
	VarianceUnits    = 3  // times min_units: units behind a variance
)

// OffsetSigma2 is the variance parameter of the discrete Gaussian behind the sticky offset of min_units.
func OffsetSigma2() *big.Rat { return big.NewRat(OffsetSD*OffsetSD, 1) }

// PhantomSigma2 is that of the number of phantom units.
func PhantomSigma2() *big.Rat { return big.NewRat(PhantomSD*PhantomSD, 1) }

// PhantomValue is the measure of a phantom unit's rows, given the bounds of the measure: their midpoint. Where the midpoint is so near to 0 that
// phantom units would hide nothing in a sum, it is a quarter of the width instead.
func PhantomValue(low, high float64) float64 {
	middle, quarter := low/2+high/2, high/4-low/4
	if math.Abs(middle) >= quarter {
		return middle
	}
	return math.Copysign(quarter, middle)
}

// Weighted is one possible number of phantom units, or rounding error, with its probability.
type Weighted struct {
	Value       float64
	Probability float64
}

// PhantomUnits is the distribution of the number of phantom units in a cell.
func PhantomUnits() []Weighted {
	mass := discrete(PhantomSD * PhantomSD)
	var all []Weighted
	for x := -4 * PhantomSD; x <= 4*PhantomSD; x++ {
		all = append(all, Weighted{float64(x), mass[max(x, -x)]})
	}
	return all
}

// RoundingErrors is the distribution of what rounding to Base adds, for a number whose residue is uniform.
func RoundingErrors() []Weighted {
	var all []Weighted
	for e := -(Base / 2); e <= Base/2; e++ {
		all = append(all, Weighted{float64(e), 1.0 / Base})
	}
	return all
}

// PhantomHalf95 is the half width of the 95 % interval of a released count or sum of threshold mode, in steps, when each phantom unit
// contributes so many steps: the 95 % quantile of |weight * phantom units + rounding error|.
func PhantomHalf95(weight float64) float64 {
	var all []Weighted
	for _, d := range PhantomUnits() {
		for _, e := range RoundingErrors() {
			all = append(all, Weighted{math.Abs(weight*d.Value + e.Value), d.Probability * e.Probability})
		}
	}
	return Quantile(all, 0.95)
}

// Quantile is the smallest value at which the accumulated probability reaches the share of the whole. It sorts its argument.
func Quantile(all []Weighted, share float64) float64 {
	slices.SortFunc(all, func(a, b Weighted) int {
		switch {
		case a.Value < b.Value:
			return -1
		case a.Value > b.Value:
			return 1
		}
		return 0
	})
	total := 0.0
	for _, w := range all {
		total += w.Probability
	}
	sum := 0.0
	for _, w := range all {
		if sum += w.Probability; sum >= share*total {
			return w.Value
		}
	}
	return math.NaN()
}

// PhantomRows is the number of rows of a phantom unit: the middle of 1 and rows_per_group, whatever the data are like, so that the noise on
// a count can be told before and covers units with many rows too.
func PhantomRows(s *Spec) int64 { return s.RowsPerGroup/2 + 1 }
