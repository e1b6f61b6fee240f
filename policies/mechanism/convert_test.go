package mechanism_test

import (
	"math"
	"testing"

	"github.com/google/differential-privacy/go/v3/noise"

	"concordat.dev/policies/mechanism"
)

var (
	costs  = []mechanism.Rho{1, 1_000, 1_000_000, 5_000_000, 20_000_000, 500_000_000, 3_000_000_000, 50_000_000_000}
	deltas = []float64{1e-3, 1e-6, 1e-9, 1e-12}
)

// A grid over alpha can only miss the infimum, so it is never below; and being fine it is close.
func TestEpsilonIsTheInfimum(t *testing.T) {
	for _, rho := range costs {
		for _, delta := range deltas {
			best := math.Inf(1)
			r := rho.Float()
			for x := -12.0; x < 16; x += 0.0005 {
				a := 1 + math.Exp(x)
				best = math.Min(best, a*r+math.Log(1/(a*delta))/(a-1)+math.Log1p(-1/a))
			}
			best = math.Max(best, 0)
			got := mechanism.Epsilon(rho, delta)
			if got > best*(1+1e-9)+1e-12 || got < best*(1-1e-6)-1e-9 {
				t.Errorf("Epsilon(%v, %g) = %g, a grid finds %g", r, delta, got, best)
			}
		}
	}
}

// Between the optimal value for the Gaussian mechanism (Balle, Wang 2018, as google/differential-privacy computes it) and the plain bound of Bun and Steinke.
func TestEpsilonAgainstOracle(t *testing.T) {
	for _, rho := range costs[2:7] {
		for _, delta := range deltas[:3] {
			r := rho.Float()
			got := mechanism.Epsilon(rho, delta)
			if plain := r + 2*math.Sqrt(r*math.Log(1/delta)); got >= plain {
				t.Errorf("Epsilon(%v, %g) = %g is no better than %g", r, delta, got, plain)
			}
			sigma := 1 / math.Sqrt(2*r)
			least := noise.SigmaForGaussian(1, 1, got, delta)
			if least > sigma*1.001 || least < sigma*0.8 {
				t.Errorf("Epsilon(%v, %g) = %g: the Gaussian needs sigma %g for that, the cost pays for %g", r, delta, got, least, sigma)
			}
		}
	}
}

func TestDeltaInvertsEpsilon(t *testing.T) {
	for _, rho := range costs[2:] {
		for _, delta := range deltas {
			e := mechanism.Epsilon(rho, delta)
			if e == 0 {
				continue
			}
			if got := mechanism.Delta(rho, e); math.Abs(got/delta-1) > 1e-6 {
				t.Errorf("Delta(%v, Epsilon = %g) = %g, not %g", rho.Float(), e, got, delta)
			}
		}
	}
}

func TestRhoWithinIsTheLargest(t *testing.T) {
	for _, epsilon := range []float64{0.01, 0.1, 0.5, 1, 3, 10, 100} {
		for _, delta := range deltas {
			rho := mechanism.RhoWithin(epsilon, delta)
			if mechanism.Epsilon(rho, delta) > epsilon || mechanism.Epsilon(rho+1, delta) <= epsilon {
				t.Errorf("RhoWithin(%g, %g) = %d is not the largest", epsilon, delta, rho)
			}
		}
	}
	if mechanism.RhoWithin(1, 0) != 0 || mechanism.RhoWithin(-1, 1e-6) != 0 {
		t.Error("an impossible target has a positive rho")
	}
}

func TestEpsilonAtTheEdges(t *testing.T) {
	if e := mechanism.Epsilon(mechanism.Unit, 0); !math.IsInf(e, 1) {
		t.Errorf("delta 0 gives %g", e)
	}
	if e := mechanism.Epsilon(0, 1e-6); e != 0 {
		t.Errorf("rho 0 gives %g", e)
	}
	if e := (mechanism.Loss{Rho: 1, Delta: 2e-6}).Epsilon(1e-6); !math.IsInf(e, 1) {
		t.Errorf("selection used up all of delta, and epsilon is %g", e)
	}
}

func TestSelectionDeltaStaysWithinHalf(t *testing.T) {
	const delta = 1e-6
	lifetime := 3 * mechanism.Unit
	var spent mechanism.Loss
	for spent.Rho < lifetime {
		q := mechanism.Rho(20_000_000)
		spent = spent.Plus(mechanism.Loss{Rho: q, Delta: mechanism.SelectionDelta(delta, q, lifetime)})
	}
	if spent.Delta > delta/2*(1+1e-9) || spent.Delta < delta/2*(1-1e-9) {
		t.Errorf("a lifetime of queries spends %g on selection, not %g", spent.Delta, delta/2)
	}
	if got, want := spent.Epsilon(delta), mechanism.Epsilon(lifetime, delta/2); math.Abs(got/want-1) > 1e-6 {
		t.Errorf("epsilon of a lifetime is %g, not %g", got, want)
	}
}
