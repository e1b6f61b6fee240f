package noise

import (
	"fmt"
	"math"
	"math/big"
	"testing"
)

// ChiSquare compares samples with probabilities, pooling outcomes that are expected fewer than 10 times into two tails. It returns the statistic less its
// degrees of freedom in standard deviations of the chi-square distribution: a true sampler lies within 5 but for one seed in a million.
func chiSquare(samples []int64, probability func(int64) float64) float64 {
	n := float64(len(samples))
	edge := int64(0)
	for n*probability(edge+1) >= 10 {
		edge++
	}
	observed := map[int64]float64{}
	for _, x := range samples {
		observed[min(max(x, -edge-1), edge+1)]++
	}
	var statistic, inside float64
	for x := -edge; x <= edge; x++ {
		want := n * probability(x)
		inside += probability(x)
		statistic += (observed[x] - want) * (observed[x] - want) / want
	}
	freedom := float64(2 * edge)
	if want := n * (1 - inside) / 2; want >= 5 {
		for _, tail := range []float64{observed[-edge-1], observed[edge+1]} {
			statistic += (tail - want) * (tail - want) / want
		}
		freedom += 2
	}
	return (statistic - freedom) / math.Sqrt(2*freedom)
}

// Exact is the discrete Gaussian by its definition.
func exact(variance float64) func(int64) float64 {
	total := 0.0
	for x := -int(60*math.Sqrt(variance)) - 60; x <= int(60*math.Sqrt(variance))+60; x++ {
		total += math.Exp(-float64(x) * float64(x) / (2 * variance))
	}
	return func(x int64) float64 { return math.Exp(-float64(x)*float64(x)/(2*variance)) / total }
}

func draw(t *testing.T, variance string, n int) []int64 {
	t.Helper()
	v, _ := new(big.Rat).SetString(variance)
	g, err := NewGaussian(v)
	if err != nil {
		t.Fatal(err)
	}
	s := testKey("distribution").Stream([]byte(variance))
	samples := make([]int64, n)
	for i := range samples {
		samples[i] = g.Draw(s).Int64()
	}
	return samples
}

func TestDistribution(t *testing.T) {
	const n = 200_000
	for _, variance := range []string{"1/10", "1/3", "1", "7/2", "4", "9", "300", "400", "7500", "20003/7"} {
		t.Run(variance, func(t *testing.T) {
			samples := draw(t, variance, n)
			v, _ := new(big.Rat).SetString(variance)
			right, _ := v.Float64()
			if z := chiSquare(samples, exact(right)); z > 5 {
				t.Errorf("the samples are %.1f standard deviations away from the distribution", z)
			}
			// The test has to have the power to tell near misses. Below variance 1/2 nearly all mass is on 0, and 4 % is too little to tell.
			if right < 0.5 {
				return
			}
			for name, wrong := range map[string]func(int64) float64{
				"4 % less sigma":          exact(right * 0.96 * 0.96),
				"4 % more sigma":          exact(right * 1.04 * 1.04),
				"4 % of sigma off centre": func(x int64) float64 { return exactAround(x, right, 0.04*math.Sqrt(right)) },
			} {
				if z := chiSquare(samples, wrong); z < 5 {
					t.Errorf("%s is only %.1f standard deviations away: the test can't tell", name, z)
				}
			}
		})
	}
}

// ExactAround is the discrete Gaussian shifted by less than a step, up to a factor near 1.
func exactAround(x int64, variance, shift float64) float64 {
	d := float64(x) - shift
	return math.Exp(-d*d/(2*variance)) / math.Sqrt(2*math.Pi*variance)
}

// Consecutive samples, and first samples of consecutive contexts, are uncorrelated: 5 standard errors of 1/sqrt(n).
func TestIndependence(t *testing.T) {
	const n = 100_000
	correlation := func(next func(i int) float64) float64 {
		var last, products, squares float64
		for i := range n {
			x := next(i)
			products += last * x
			squares += x * x
			last = x
		}
		return products / squares
	}
	g, err := NewGaussian(big.NewRat(400, 1))
	if err != nil {
		t.Fatal(err)
	}
	s := testKey("independence").Stream()
	if c := correlation(func(int) float64 { return float64(g.Draw(s).Int64()) }); math.Abs(c) > 5/math.Sqrt(n) {
		t.Errorf("within a stream: %g", c)
	}
	k := testKey("independence")
	if c := correlation(func(i int) float64 { return float64(g.Draw(k.Stream(fmt.Append(nil, i))).Int64()) }); math.Abs(c) > 5/math.Sqrt(n) {
		t.Errorf("between streams: %g", c)
	}
}

// Bernoulli(exp(-a/b)) in all three arithmetics, to 5 standard errors.
func TestBernoulliExp(t *testing.T) {
	const n = 100_000
	s := testKey("bernoulli").Stream()
	for _, c := range []struct{ a, b int64 }{{0, 1}, {1, 1}, {1, 7}, {2, 3}, {5, 2}, {3, 1}} {
		p := math.Exp(-float64(c.a) / float64(c.b))
		forms := map[string]func() bool{
			"big": func() bool { return bernoulliExp(s, big.NewInt(c.a), big.NewInt(c.b)) },
			"wide": func() bool {
				return (&small{denominator: wide{low: uint64(c.b)}}).bernoulliExp(s, wide{low: uint64(c.a)})
			},
		}
		if c.a <= c.b {
			forms["word"] = func() bool { return bernoulliExpWord(s, uint64(c.a), uint64(c.b)) }
		}
		for name, form := range forms {
			hits := 0.0
			for range n {
				if form() {
					hits++
				}
			}
			if math.Abs(hits/n-p) > 5*math.Sqrt(p*(1-p)/n) {
				t.Errorf("%s: exp(-%d/%d) = %g, but %g of samples", name, c.a, c.b, p, hits/n)
			}
		}
	}
}

// Below must not favour small numbers, as a remainder would: thirds of a bound that is 3/4 of a power of two.
func TestBelowIsUniform(t *testing.T) {
	const n = 90_000
	s := testKey("below").Stream()
	third := new(big.Int).Lsh(big.NewInt(1), 70)
	bound := new(big.Int).Mul(third, big.NewInt(3))
	counts := map[string]*[3]float64{"word": {}, "wide": {}, "big": {}}
	for range n {
		counts["word"][s.below(3<<20)>>20]++
		counts["wide"][s.below128(wide{high: 3 << 6}).high>>6]++
		counts["big"][new(big.Int).Div(s.belowBig(bound), third).Int64()]++
	}
	for name, c := range counts {
		for i, x := range c {
			if math.Abs(x-n/3) > 5*math.Sqrt(n*2.0/9) {
				t.Errorf("%s: %g of %d in third %d", name, x, n, i)
			}
		}
	}
}
