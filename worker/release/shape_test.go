package release_test

import (
	"errors"
	"math"
	"math/big"
	"testing"
	"time"

	"concordat.dev/policies/mechanism"
	"concordat.dev/worker/release"
)

func TestGroupsThatDontFit(t *testing.T) {
	for name, groups := range map[string][]release.Group{
		"twice the same key":    {counted(int64(1), 100), counted(int64(1), 100)},
		"0 and -0":              {counted(0.0, 100), counted(math.Copysign(0, -1), 100)},
		"keys of two types":     {counted(int64(1), 100), counted("1", 100)},
		"unknown type of key":   {counted(int32(1), 100)},
		"key missing":           {{Sums: []*big.Int{big.NewInt(1)}}},
		"sum missing":           {{Keys: []any{"a"}}},
		"sum nil":               {{Keys: []any{"a"}, Sums: []*big.Int{nil}}},
		"more sums than wanted": {counted("a", 1, 2)},
	} {
		if _, err := release.Release(unitsOnly(ages(1, 1)), groups, secret, context); !errors.Is(err, release.ErrGroups) {
			t.Errorf("%s: %v", name, err)
		}
	}
	declared := unitsOnly(public(ages(1, 1), 3))
	if _, err := release.Release(declared, []release.Group{counted("1", 100)}, secret, context); !errors.Is(err, release.ErrGroups) {
		t.Errorf("text where integers are declared: %v", err)
	}
	declared.MaxGroups = 2
	if _, err := release.Release(declared, nil, secret, context); !errors.Is(err, mechanism.ErrSpec) {
		t.Errorf("more declared groups than max_groups: %v", err)
	}
	g, _ := measures("a", []int64{2000, 3000})
	g.Leaves[5][256] = 1
	if _, err := release.Release(ages(1, 1), []release.Group{g}, secret, context); !errors.Is(err, release.ErrGroups) {
		t.Errorf("a leaf outside the tree: %v", err)
	}
}

func TestKeysAreOrdered(t *testing.T) {
	day := func(d int) time.Time { return time.Date(2026, 1, d, 0, 0, 0, 0, time.UTC) }
	for name, keys := range map[string][]any{
		"text":    {"", "a", "ab", "b", nil},
		"integer": {int64(-5), int64(0), int64(7), nil},
		"real":    {-2.5, 0.0, 1e9, nil},
		"boolean": {false, true, nil},
		"time":    {day(1), day(2), day(30), nil},
	} {
		var groups []release.Group
		for i := range keys {
			groups = append(groups, counted(keys[len(keys)-1-i], 1000))
		}
		for i, row := range run(t, unitsOnly(ages(1, 1)), groups).Rows {
			if row.Keys[0] != keys[i] {
				t.Errorf("%s: row %d is %v, not %v", name, i, row.Keys[0], keys[i])
			}
		}
	}
}

// Without sensitivity there is no noise, so that what is released shows the arithmetic alone.
func TestSumsLoseNothing(t *testing.T) {
	s := ages(1, 1)
	s.KeyCount, s.MinUnits = 0, 0
	s.Columns[0].Sensitivity = new(big.Int)
	s.Columns = append(s.Columns[:1], mechanism.Column{Kind: mechanism.Sum, Sensitivity: new(big.Int), Rho: 1})
	s.Cells = []mechanism.Cell{{Kind: mechanism.CellSum, Columns: []int{1}, Low: 0, High: 1}}
	huge := new(big.Int).Lsh(big.NewInt(1), 80)
	for _, c := range []struct {
		sum     *big.Int
		scale   float64
		integer bool
		want    any
	}{
		{big.NewInt(3), 0.1, false, 0.3},
		{big.NewInt(-12345), 0.01, false, -123.45},
		{big.NewInt(math.MaxInt64), 1, true, int64(math.MaxInt64)},
		{big.NewInt(math.MinInt64), 1, true, int64(math.MinInt64)},
		{big.NewInt(9007199254740993), 1, true, int64(9007199254740993)},
		{big.NewInt(7), 1000, true, int64(7000)},
		{huge, 1, true, math.Ldexp(1, 80)},
		{big.NewInt(7), 1, false, 7.0},
	} {
		s.Columns[1].Scale, s.Cells[0].Integer = c.scale, c.integer
		rows := run(t, s, []release.Group{{Sums: []*big.Int{big.NewInt(100), c.sum}}}).Rows
		if got := rows[0].Cells[0]; got.Value != c.want || *got.Low > number(t, got.Value) || *got.High < number(t, got.Value) {
			t.Errorf("%s steps of %g: %v (%T), not %v", c.sum, c.scale, got.Value, got.Value, c.want)
		}
	}
}

func TestNothingToDivideBy(t *testing.T) {
	s := ages(1, 1)
	s.KeyCount, s.MinUnits = 0, 0
	for i := range s.Columns {
		s.Columns[i].Sensitivity = new(big.Int)
	}
	zero := big.NewInt(0)
	g := release.Group{Sums: []*big.Int{zero, zero, zero, zero, zero, nil}, Leaves: make([]map[int]int64, 6)}
	for i, cell := range run(t, s, []release.Group{g}).Rows[0].Cells {
		if null := cell.Value == nil && cell.Low == nil && cell.High == nil; null != (i >= 3) {
			t.Errorf("cell %d of nothing is %v", i, cell.Value)
		}
	}
}
