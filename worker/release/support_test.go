package release_test

import (
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"concordat.dev/policies/mechanism"
	"concordat.dev/worker/noise"
	"concordat.dev/worker/release"
)

var (
	secret  = noise.Key{}.Derive([]byte("tests of releases"))
	context = release.Context{Plan: "sha256:plan", Parameters: "sha256:parameters", Datasets: []string{"sha256:a"}, Policies: []string{"sha256:b"}}
)

// Ages is a Spec over ages from 20 to 100 in steps of 0.01: units, rows, and all that can be asked of one measure, each at rho 0.005.
func ages(l0, rows int64) *mechanism.Spec {
	const half = 4000 // of the width, in steps
	column := func(kind mechanism.ColumnKind, sensitivity int64) mechanism.Column {
		return mechanism.Column{Kind: kind, Sensitivity: big.NewInt(sensitivity), Scale: 1, Rho: 5_000_000}
	}
	s := &mechanism.Spec{
		Kind: mechanism.DifferentialPrivacy, KeyCount: 1, MinUnits: 10, GroupsPerUnit: l0, RowsPerGroup: rows, Delta: 1e-8,
		Columns: []mechanism.Column{
			column(mechanism.Units, 1),
			column(mechanism.Count, rows),
			column(mechanism.Sum, rows*10_000),
			column(mechanism.Centred, rows*half),
			column(mechanism.Square, rows*half*half),
			column(mechanism.Histogram, rows),
		},
	}
	s.Columns[3].Midpoint, s.Columns[4].Midpoint = 60, 60
	s.Columns[2].Scale, s.Columns[3].Scale, s.Columns[4].Scale = 0.01, 0.01, 0.01
	s.Columns[5].Low, s.Columns[5].High, s.Columns[5].Levels = 20, 100, 8
	cell := func(kind mechanism.CellKind, columns ...int) mechanism.Cell {
		return mechanism.Cell{Kind: kind, Columns: columns, Low: 20, High: 100}
	}
	s.Cells = []mechanism.Cell{
		cell(mechanism.CellCount, 0),
		cell(mechanism.CellCount, 1),
		cell(mechanism.CellSum, 2),
		cell(mechanism.CellAverage, 3, 1),
		cell(mechanism.CellVariance, 3, 1, 4),
		cell(mechanism.CellStddev, 3, 1, 4),
		cell(mechanism.CellQuantile, 5),
		cell(mechanism.CellQuantile, 5),
	}
	s.Cells[5].Sample = true
	s.Cells[6].Quantile, s.Cells[7].Quantile = 0.5, 0.9
	return s
}

// Public makes the one key of a Spec declared: the integers below n.
func public(s *mechanism.Spec, n int64) *mechanism.Spec {
	values := make([]any, n)
	for i := range values {
		values[i] = int64(i)
	}
	s.PublicKeys, s.Domain, s.MinUnits, s.Delta = true, [][]any{values}, 0, 0
	return s
}

// Measures are the exact aggregates of a group of one row a unit, and the truth of each cell of ages. The ages are in steps.
func measures(key any, xs []int64) (release.Group, []float64) {
	var sum, centred, square int64
	leaves := map[int]int64{}
	for _, x := range xs {
		sum += x
		centred += x - 6000
		square += (x - 6000) * (x - 6000)
		leaves[min(int(x-2000)*256/8000, 255)]++
	}
	n := int64(len(xs))
	g := release.Group{
		Keys:   []any{key},
		Sums:   []*big.Int{big.NewInt(n), big.NewInt(n), big.NewInt(sum), big.NewInt(centred), big.NewInt(square), nil},
		Leaves: []map[int]int64{nil, nil, nil, nil, nil, leaves},
	}
	mean := float64(centred) / float64(n)
	variance := float64(square)/float64(n) - mean*mean
	sample := variance * float64(n) / float64(n-1)
	slices.Sort(xs)
	rank := func(q float64) float64 { return float64(xs[int(q*float64(n-1))]) / 100 }
	return g, []float64{float64(n), float64(n), float64(sum) / 100, 60 + mean/100, variance / 1e4, math.Sqrt(sample) / 100, rank(0.5), rank(0.9)}
}

// People draws n ages around a mean, in steps.
func people(r *rand.Rand, n int, mean, spread float64) []int64 {
	xs := make([]int64, n)
	for i := range xs {
		xs[i] = int64(math.Round(100 * min(max(mean+spread*r.NormFloat64(), 20), 100)))
	}
	return xs
}

func run(t *testing.T, s *mechanism.Spec, groups []release.Group) release.Result {
	t.Helper()
	result, err := release.Release(s, groups, secret, context)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func number(t *testing.T, v any) float64 {
	t.Helper()
	switch x := v.(type) {
	case int64:
		return float64(x)
	case float64:
		return x
	}
	t.Fatalf("%v is no number", v)
	return 0
}
