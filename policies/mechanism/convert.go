package mechanism

import "math"

// Epsilon is the smallest epsilon for which rho-zCDP implies (epsilon, delta)-differential privacy by the tight bound of Canonne, Kamath,
// Steinke 2020 (Proposition 12 with Corollary 13):
//
//	epsilon = inf over alpha > 1 of  alpha rho + log(1/(alpha delta)) / (alpha - 1) + log(1 - 1/alpha)
//
// Its derivative in alpha vanishes where rho (alpha-1)^2 + log(alpha) = log(1/delta), whose left side grows, so bisection finds it. Any
// alpha gives a valid bound: an inexact one errs on the safe side. +Inf where delta is 0.
func Epsilon(rho Rho, delta float64) float64 {
	r := rho.Float()
	switch {
	case r <= 0 || delta >= 1:
		return 0
	case math.IsNaN(delta) || delta <= 0:
		return math.Inf(1)
	}
	log := -math.Log(delta)
	low, high := 0.0, math.Sqrt(log/r) // of alpha - 1
	for range 200 {
		if u := (low + high) / 2; r*u*u+math.Log1p(u) < log {
			low = u
		} else {
			high = u
		}
	}
	u := high
	e := (1+u)*r + (log-math.Log1p(u))/u - math.Log1p(1/u)
	return math.Max(0, outward(e))
}

// Delta is the smallest delta for which rho-zCDP implies (epsilon, delta)-differential privacy, by the same bound solved for delta:
//
//	delta = inf over alpha > 1 of  exp((alpha-1)(alpha rho - epsilon)) / (alpha-1) * (1 - 1/alpha)^alpha
//
// whose logarithm is convex in alpha with derivative (2 alpha - 1) rho - epsilon + log(1 - 1/alpha).
func Delta(rho Rho, epsilon float64) float64 {
	r := rho.Float()
	if r <= 0 {
		return 0
	}
	low, high := 0.0, (epsilon+1)/(2*r)+2 // of alpha - 1
	for range 200 {
		if u := (low + high) / 2; (2*u+1)*r-epsilon-math.Log1p(1/u) < 0 {
			low = u
		} else {
			high = u
		}
	}
	u := high
	log := u*((1+u)*r-epsilon) - (1+u)*math.Log1p(1/u) - math.Log(u)
	return math.Min(1, outward(math.Exp(log)))
}

// RhoWithin is the largest rho that implies (epsilon, delta)-differential privacy: the inverse of Epsilon, rounded down.
func RhoWithin(epsilon, delta float64) Rho {
	if !(epsilon >= 0) || !(delta > 0) {
		return 0
	}
	if math.IsInf(epsilon, 1) || delta >= 1 {
		return math.MaxInt64
	}
	low, high := Rho(0), Unit
	for Epsilon(high, delta) <= epsilon {
		if high > math.MaxInt64/2 {
			return high
		}
		low, high = high, high*2
	}
	for high-low > 1 {
		if m := low + (high-low)/2; Epsilon(m, delta) <= epsilon {
			low = m
		} else {
			high = m
		}
	}
	return low
}

// Loss is what a sequence of releases cost: zCDP, but for events of probability Delta in which a selection shows a group that it should hide.
type Loss struct {
	Rho   Rho
	Delta float64
}

// Plus composes: both costs add up (Bun, Steinke 2016, Lemma 8.2 for approximate zCDP).
func (l Loss) Plus(m Loss) Loss { return Loss{Rho: l.Rho + m.Rho, Delta: l.Delta + m.Delta} }

// Epsilon is the epsilon that the loss means at a total delta: what selections took of it is not there for the conversion.
func (l Loss) Epsilon(delta float64) float64 { return Epsilon(l.Rho, delta-l.Delta) }

// SelectionDelta is what a query of cost rho may spend on selection (PRIVACY.md R7): a share of half the budget's delta that is proportional to its
// share of the lifetime's rho, so that the sum over a lifetime stays within that half. The other half is left for the conversion.
func SelectionDelta(delta float64, rho, lifetime Rho) float64 {
	if lifetime <= 0 || rho <= 0 {
		return 0
	}
	return delta / 2 * math.Min(1, rho.Float()/lifetime.Float())
}

// Outward grows a positive bound by more than the rounding of the float operations behind it.
func outward(x float64) float64 { return x*(1+1e-12) + 1e-300 }
