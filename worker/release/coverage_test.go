package release_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"concordat.dev/policies/mechanism"
	"concordat.dev/worker/release"
)

// Each kind of cell's 95 % interval holds the truth in 90 to 99 % of groups, whether noise is small against the groups or not; by the binomial distribution
// a true 95 % of 1500 groups is outside of that less than once in 10^13. Where noise is finer than the steps of the
// answer (integers, leaves of a histogram), an interval of one step has to hold more.
func TestIntervalsCover(t *testing.T) {
	const n = 1500
	names := []string{"units", "rows", "sum", "avg", "variance", "sample stddev", "median", "quantile 0.9"}
	for _, c := range []struct {
		name         string
		size         int
		mean, spread float64
		apart        float64 // of the means of two halves
		rho          mechanism.Rho
		coarse       []string
	}{
		{"large groups", 10_000, 45, 12, 0, 5_000_000, []string{"median", "quantile 0.9"}},
		{"middling groups", 3_000, 75, 10, 0, 5_000_000, nil},
		{"small groups", 300, 55, 15, 0, 5_000_000, nil},
		{"tiny groups", 40, 55, 15, 0, 5_000_000, nil},
		{"fine noise", 300, 55, 15, 0, 2_000_000_000, []string{"units", "rows"}},
		{"split groups", 2_000, 60, 3, 50, 5_000_000, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, uint64(c.size)))
			s := public(ages(1, 1), n)
			for i := range s.Columns {
				s.Columns[i].Rho = c.rho
			}
			var groups []release.Group
			var truths [][]float64
			for i := range int64(n) {
				g, truth := measures(i, append(people(r, c.size/2, c.mean-c.apart/2, c.spread), people(r, c.size/2, c.mean+c.apart/2, c.spread)...))
				groups, truths = append(groups, g), append(truths, truth)
			}
			rows := run(t, s, groups).Rows
			for cell, name := range names {
				cover(t, fmt.Sprintf("%s of %s", name, c.name), rows, truths, cell, slices.Contains(c.coarse, name))
			}
		})
	}
}

func cover(t *testing.T, name string, rows []release.Row, truths [][]float64, cell int, coarse bool) {
	t.Helper()
	inside, all, width := 0.0, 0.0, 0.0
	for _, row := range rows {
		x, truth := row.Cells[cell], truths[row.Keys[0].(int64)][cell]
		if x.Value == nil {
			continue
		}
		if v := number(t, x.Value); v < *x.Low || v > *x.High {
			t.Fatalf("%s: %g outside its own interval [%g, %g]", name, v, *x.Low, *x.High)
		}
		all++
		width += *x.High - *x.Low
		if *x.Low <= truth && truth <= *x.High {
			inside++
		}
	}
	t.Logf("%-40s %.3f of %g, mean width %.3g", name, inside/all, all, width/all)
	if inside < 0.90*all || inside > 0.99*all && !coarse {
		t.Errorf("%s: the interval holds the truth in %.3f of %g cells", name, inside/all, all)
	}
}
