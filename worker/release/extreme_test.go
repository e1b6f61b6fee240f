package release_test

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"concordat.dev/policies/mechanism"
	"concordat.dev/worker/release"
)

// Whatever the sums, the cost and the bounds are, what leaves is NULL or finite, within its interval and, where it has bounds, within them.
func TestExtremesStayFinite(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	power := func(most int) *big.Int {
		n := new(big.Int).Lsh(big.NewInt(1), uint(r.IntN(most)))
		return n.Add(n, big.NewInt(r.Int64N(3)-1))
	}
	signed := func(n *big.Int) *big.Int {
		if r.IntN(2) == 0 {
			return n.Neg(n)
		}
		return n
	}
	for range 400 {
		s := ages(1+r.Int64N(100), 1+r.Int64N(1000))
		s.KeyCount, s.MinUnits = 0, 0
		g := release.Group{Leaves: make([]map[int]int64, len(s.Columns))}
		for i := range s.Columns {
			c := &s.Columns[i]
			c.Rho = mechanism.Rho(power(40).Int64() + 2)
			if c.Kind == mechanism.Sum || c.Kind == mechanism.Centred || c.Kind == mechanism.Square {
				c.Sensitivity = power(82)
				g.Sums = append(g.Sums, signed(power(170)))
			} else {
				g.Sums = append(g.Sums, power(40))
			}
		}
		g.Leaves[5] = map[int]int64{r.IntN(256): power(40).Int64(), r.IntN(256): power(20).Int64()}
		for i, cell := range run(t, s, []release.Group{g}).Rows[0].Cells {
			if cell.Value == nil {
				continue
			}
			v, bounded := number(t, cell.Value), s.Cells[i].Kind == mechanism.CellAverage || s.Cells[i].Kind == mechanism.CellQuantile
			for _, x := range []float64{v, *cell.Low, *cell.High} {
				if math.IsNaN(x) || math.IsInf(x, 0) || bounded && (x < 20 || x > 100) {
					t.Fatalf("cell %d: %g in [%g, %g]", i, v, *cell.Low, *cell.High)
				}
			}
			if v < *cell.Low || v > *cell.High {
				t.Fatalf("cell %d: %g outside [%g, %g]", i, v, *cell.Low, *cell.High)
			}
		}
	}
}
