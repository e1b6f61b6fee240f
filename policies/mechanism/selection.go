package mechanism

import "math"

// Tau is how far above min_units - 1 the noisy count of a group must lie for the group to be shown when its key is private:
//
//	tau = 2 + ceil(sigma quantile((1 - delta)^(1/L0)))
//
// A group that only one unit makes visible has at most min_units units, so it is shown when its noise reaches tau - 1; over the L0 groups of that unit this
// happens with probability of at most delta. That is PRIVACY.md section 6 plus one unit, because a discrete Gaussian reaches m with at most the
// probability that the continuous one reaches m - 1 (Canonne, Kamath, Steinke 2020, tail bounds of section 3; tested). The test on raw units before
// it is the pre-threshold of Desfontaines, Voss, Gipson, Mandayam 2020 as in google/differential-privacy. c counts units and the Spec selects.
func Tau(c Column, s *Spec) int64 {
	p := -math.Expm1(math.Log1p(-s.Delta) / float64(s.GroupsPerUnit))
	v, _ := Sigma2(c, s).Float64()
	return 2 + int64(math.Ceil(math.Max(0, math.Sqrt(v)*UpperQuantile(p))))
}
