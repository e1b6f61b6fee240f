package mechanism_test

import (
	"math"
	"math/big"
	"testing"

	"github.com/google/differential-privacy/go/v3/noise"

	"concordat.dev/policies/mechanism"
)

func spec(l0 int64, columns ...mechanism.Column) *mechanism.Spec {
	return &mechanism.Spec{
		Kind: mechanism.DifferentialPrivacy, KeyCount: 1, MinUnits: 10, GroupsPerUnit: l0, RowsPerGroup: 5, Delta: 1e-8, Columns: columns,
	}
}

func column(kind mechanism.ColumnKind, sensitivity int64, rho mechanism.Rho) mechanism.Column {
	return mechanism.Column{Kind: kind, Sensitivity: big.NewInt(sensitivity), Scale: 1, Rho: rho}
}

// The numbers are PRIVACY.md's formula worked by hand: a missing square root, square, L0, R or factor 2 changes each of them.
func TestSigma2(t *testing.T) {
	deep := column(mechanism.Histogram, 5, 5_000_000)
	deep.Levels = 8
	for _, c := range []struct {
		l0     int64
		column mechanism.Column
		want   string
	}{
		{1, column(mechanism.Units, 1, 5_000_000), "100"},
		{3, column(mechanism.Units, 1, 5_000_000), "300"},
		{3, column(mechanism.Count, 5, 5_000_000), "7500"},
		{1, column(mechanism.Sum, 4000, 500_000_000), "16000000"},
		{1, column(mechanism.Units, 1, 3), "500000000/3"},
		{3, deep, "60000"},
		{3, column(mechanism.Sum, 0, 5_000_000), "0"},
	} {
		if got := mechanism.Sigma2(c.column, spec(c.l0)).RatString(); got != c.want {
			t.Errorf("L0 %d, %s of sensitivity %s, rho %d: %s, not %s", c.l0, c.column.Kind, c.column.Sensitivity, c.column.Rho, got, c.want)
		}
	}
}

// Tail is P[X >= m] of the discrete Gaussian by its definition.
func tail(m int, variance float64) float64 {
	reach := int(50*math.Sqrt(variance)) + m + 50
	var above, all float64
	for x := reach; x >= -reach; x-- {
		p := math.Exp(-float64(x) * float64(x) / (2 * variance))
		all += p
		if x >= m {
			above += p
		}
	}
	return above / all
}

func TestHalf95IsTheSmallest(t *testing.T) {
	for _, v := range []float64{0.04, 0.25, 1, 4, 9, 50, 399, 400, 401, 7500, 90000} {
		h := int(mechanism.Half95(new(big.Rat).SetFloat64(v)))
		inside := 1 - 2*tail(h+1, v)
		if inside < 0.95 {
			t.Errorf("sigma^2 %g: [-%d, %d] holds only %.4f", v, h, h, inside)
		}
		if smaller := 1 - 2*tail(h, v); h > 0 && smaller >= 0.95 {
			t.Errorf("sigma^2 %g: [-%d, %d] would do with %.4f", v, h-1, h-1, smaller)
		}
	}
}

func TestHalf95AgainstOracle(t *testing.T) {
	const epsilon, delta = 0.3, 1e-7
	for _, l0 := range []int64{1, 4, 9} {
		sigma := noise.SigmaForGaussian(l0, 70, epsilon, delta)
		want, err := noise.Gaussian().ComputeConfidenceIntervalInt64(0, l0, 70, epsilon, delta, 0.05)
		if err != nil {
			t.Fatal(err)
		}
		v := new(big.Rat).SetFloat64(sigma * sigma)
		if got := mechanism.Half95(v); math.Abs(got-want.UpperBound) > 1 {
			t.Errorf("sigma %g: half width %g, the oracle's is %g", sigma, got, want.UpperBound)
		}
	}
}

func TestUpperQuantile(t *testing.T) {
	for p, want := range map[float64]float64{0.5: 0, 0.025: 1.959963984540054, 1e-3: 3.090232306167813, 1e-9: 5.997807015007687, 1e-20: 9.262340089798408, 0.99: -2.3263478740408408} {
		if got := mechanism.UpperQuantile(p); math.Abs(got-want) > 1e-9 {
			t.Errorf("quantile of %g is %.12f, not %.12f", p, got, want)
		}
	}
	for e := 1; e <= 299; e++ {
		p := math.Pow(10, -float64(e))
		if z := mechanism.UpperQuantile(p); math.Erfc(z/math.Sqrt2)/2 > p || math.Erfc((z-1e-6)/math.Sqrt2)/2 < p {
			t.Errorf("quantile of 1e-%d is %g, which is not the least that is safe", e, z)
		}
	}
	if at, beyond := mechanism.UpperQuantile(1e-300), mechanism.UpperQuantile(1e-301); beyond < at || beyond > at+0.2 {
		t.Errorf("the tail jumps from %g to %g", at, beyond)
	}
}

// Whether a unit's presence can show a group: by the exact distribution, over all L0 groups that the unit may make visible.
func TestTauHidesGroups(t *testing.T) {
	for _, l0 := range []int64{1, 3, 50} {
		for _, rho := range []mechanism.Rho{500_000, 5_000_000, 500_000_000, 20_000_000_000} {
			for _, delta := range []float64{1e-3, 1e-8, 1e-11} {
				s := spec(l0, column(mechanism.Units, 1, rho))
				s.Delta = delta
				tau := mechanism.Tau(s.Columns[0], s)
				v, _ := mechanism.Sigma2(s.Columns[0], s).Float64()
				shown := -math.Expm1(float64(l0) * math.Log1p(-tail(int(tau)-1, v)))
				if shown > delta {
					t.Errorf("L0 %d, rho %d: tau %d shows a hidden group with probability %g > %g", l0, rho, tau, shown, delta)
				}
				if less := -math.Expm1(float64(l0) * math.Log1p(-tail(int(tau)-4, v))); less <= delta {
					t.Errorf("L0 %d, rho %d: tau %d is 3 more than delta %g needs", l0, rho, tau, delta)
				}
			}
		}
	}
}

func TestTauAgainstOracle(t *testing.T) {
	const epsilon, delta = 0.5, 1e-6
	for _, l0 := range []int64{1, 3, 10} {
		for _, selection := range []float64{1e-5, 1e-9, 1e-14} {
			want, err := noise.Gaussian().Threshold(l0, 1, epsilon, delta, selection)
			if err != nil {
				t.Fatal(err)
			}
			sigma := noise.SigmaForGaussian(l0, 1, epsilon, delta)
			s := spec(l0, column(mechanism.Units, 1, mechanism.FromFloat(float64(l0)/(2*sigma*sigma))))
			s.Delta = selection
			if tau := float64(mechanism.Tau(s.Columns[0], s)); tau < want || tau > want+2.001 {
				t.Errorf("L0 %d, delta %g: tau %g, the oracle's threshold is %g (continuous noise)", l0, selection, tau, want)
			}
		}
	}
}
