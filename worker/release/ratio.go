package release

import (
	"math"

	"concordat.dev/policies/mechanism"
)

// Ratio is a quotient of two numbers with Gaussian noise of known variances.
type ratio struct {
	top, bottom                 float64
	topVariance, bottomVariance float64
	covariance                  float64
}

// Interval is the 95 % confidence interval of the quotient without noise by Fieller's theorem (Fieller 1954): all r for which
//
//	(top - r bottom)^2 <= z^2 (topVariance - 2 r covariance + r^2 bottomVariance)
//
// It is the whole line where the bottom can't be told from 0.
func (r ratio) interval() (low, high float64) {
	z2 := mechanism.Z95 * mechanism.Z95
	a := r.bottom*r.bottom - z2*r.bottomVariance
	b := r.top*r.bottom - z2*r.covariance
	c := r.top*r.top - z2*r.topVariance
	if a <= 0 {
		return math.Inf(-1), math.Inf(1)
	}
	root := math.Sqrt(math.Max(0, b*b-a*c))
	return (b - root) / a, (b + root) / a
}
