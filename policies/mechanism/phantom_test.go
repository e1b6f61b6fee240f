package mechanism_test

import (
	"math"
	"testing"

	"concordat.dev/policies/mechanism"
)

func TestPhantomHalf95(t *testing.T) {
	// Worked by enumeration: 3 phantom rows a unit, noise of 9 sigma, rounding of up to 2.
	for weight, want := range map[float64]float64{0: 2, 1: 6, 3: 19, 100: 600} {
		inside := func(h float64) float64 {
			p := 0.0
			for d := -40; d <= 40; d++ {
				for e := -2; e <= 2; e++ {
					if math.Abs(weight*float64(d)+float64(e)) <= h {
						p += (tail(d, 9) - tail(d+1, 9)) / 5
					}
				}
			}
			return p
		}
		got := mechanism.PhantomHalf95(weight)
		if math.Abs(got-want) > 2 || inside(got) < 0.95 || inside(got-0.5) >= 0.95 {
			t.Errorf("weight %g: half width %g, about %g expected; it holds %.4f", weight, got, want, inside(got))
		}
	}
}

func TestPhantomValueHidesInSums(t *testing.T) {
	for _, c := range []struct{ low, high, want float64 }{
		{0, 100, 50}, {18, 100, 59}, {-100, 0, -50}, {-100, 100, 50}, {-100, 90, -47.5}, {-10, 100, 45}, {7, 7, 7},
	} {
		if got := mechanism.PhantomValue(c.low, c.high); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("bounds [%g, %g]: phantom rows of %g, not %g", c.low, c.high, got, c.want)
		}
	}
}
