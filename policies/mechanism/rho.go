package mechanism

// Rho is a privacy cost in zero-concentrated differential privacy, in units of 1e-9: an integer, so that a ledger adds up exactly.
type Rho int64

// Unit is rho = 1.
const Unit Rho = 1_000_000_000

// Float is the cost as the real number of the papers.
func (r Rho) Float() float64 { return float64(r) / float64(Unit) }

// FromFloat rounds up to the next 1e-9, so that a price is never understated.
func FromFloat(x float64) Rho {
	r := Rho(x * float64(Unit))
	if r.Float() < x {
		r++
	}
	return r
}
