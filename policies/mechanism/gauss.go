package mechanism

import (
	"math"
	"math/big"
)

// Z95 is the 97.5 % quantile of the standard normal distribution: 95 % lie within it on either side.
const Z95 = 1.959963984540054

// Above this sigma the discrete Gaussian's distribution function at h equals the continuous one's at h + 1/2 to within
// exp(-2 pi^2 sigma^2), far below float precision (Poisson summation formula).
const smooth = 20

// Half95 is the smallest integer h such that discrete Gaussian noise of variance parameter sigma2 lies in [-h, h] with probability of at least 95 %.
func Half95(sigma2 *big.Rat) float64 {
	v, _ := sigma2.Float64()
	if v <= 0 {
		return 0
	}
	sigma := math.Sqrt(v)
	if sigma >= smooth {
		return math.Ceil(Z95*sigma - 0.5)
	}
	mass := discrete(v)
	inside := mass[0]
	h := 0
	for inside < 0.95 {
		h++
		inside += 2 * mass[h]
	}
	return float64(h)
}

// Discrete is the probability of 0, 1, 2, … under the discrete Gaussian of variance parameter v (its definition: proportional to
// exp(-x^2 / (2v)) on all integers), up to where it vanishes in floats.
func discrete(v float64) []float64 {
	n := int(math.Ceil(40*math.Sqrt(v))) + 1
	mass := make([]float64, n+1)
	total := 0.0
	for x := n; x >= 0; x-- {
		mass[x] = math.Exp(-float64(x) * float64(x) / (2 * v))
		total += 2 * mass[x]
	}
	total -= mass[0]
	for x := range mass {
		mass[x] /= total
	}
	return mass
}

// UpperQuantile is z with P[N(0,1) >= z] = p for 0 < p < 1, rounded up: it serves tails as small as floats go, where 1 - p has no
// digits left and the inverse error function of package math has none either. Below 1e-300 it is the bound sqrt(2 log(1/(2p))) (Chernoff).
func UpperQuantile(p float64) float64 {
	if p < 1e-300 {
		return outward(math.Sqrt(2 * (-math.Ln2 - math.Log(p))))
	}
	low, high := -38.0, 38.0
	for range 100 {
		if z := (low + high) / 2; math.Erfc(z/math.Sqrt2)/2 > p {
			low = z
		} else {
			high = z
		}
	}
	return high + math.Abs(high)*1e-12
}
