package mechanism

import "math/big"

// Sigma2 is the variance parameter of the discrete Gaussian noise on one column of each group:
//
//	sigma^2 = L0 sensitivity^2 / (2 rho)
//
// Noise of variance parameter sigma^2 on an integer that one unit changes by its sensitivity is sensitivity^2 / (2 sigma^2)-zCDP (Canonne, Kamath,
// Steinke 2020, Theorem 4); a unit is in at most L0 groups, and zCDP adds up over them (Bun, Steinke 2016, Lemma 1.7). A
// histogram's rho is split evenly over its levels in the same way, because a row is in one bin of each. The Spec is valid and differentially private.
func Sigma2(c Column, s *Spec) *big.Rat {
	n := new(big.Int).Mul(c.Sensitivity, c.Sensitivity)
	n.Mul(n, big.NewInt(s.GroupsPerUnit))
	n.Mul(n, big.NewInt(int64(Unit)))
	if c.Kind == Histogram {
		n.Mul(n, big.NewInt(int64(c.Levels)))
	}
	d := new(big.Int).Mul(big.NewInt(2), big.NewInt(int64(c.Rho)))
	return new(big.Rat).SetFrac(n, d)
}

// Price is the rho of a release: the sum over its columns, since zCDP composes by addition (Bun, Steinke 2016, Lemma 1.7).
func (s *Spec) Price() Rho {
	if s.Kind != DifferentialPrivacy {
		return 0
	}
	var sum Rho
	for _, c := range s.Columns {
		sum += c.Rho
	}
	return sum
}
