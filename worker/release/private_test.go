package release_test

import (
	"math"
	"math/big"
	"math/rand/v2"
	"reflect"
	"testing"

	"concordat.dev/policies/mechanism"
	"concordat.dev/worker/release"
)

// The variance of what is released, worked from PRIVACY.md by hand: L0 = 3, R = 5, rho 0.005, so that sigma^2 = 3 (R bound)^2 / 0.01. The
// bounds are 5 standard errors, 5 sqrt(2/n), of a sample variance: a missing L0, R, factor 2 or square is far outside.
func TestReleasedNoiseHasItsVariance(t *testing.T) {
	const n = 4000
	s := public(ages(3, 5), n)
	s.MinUnits = 0
	var groups []release.Group
	for i := range int64(n) {
		groups = append(groups, release.Group{
			Keys:   []any{i},
			Sums:   []*big.Int{big.NewInt(100_000), big.NewInt(200_000), big.NewInt(1 << 50), big.NewInt(0), big.NewInt(1 << 60), nil},
			Leaves: make([]map[int]int64, 6),
		})
		groups[i].Leaves[5] = map[int]int64{0: 1}
	}
	rows := run(t, s, groups).Rows
	if len(rows) != n {
		t.Fatalf("%d rows", len(rows))
	}
	for cell, want := range map[int]struct{ truth, variance float64 }{
		0: {100_000, 300},
		1: {200_000, 300 * 25},
		2: {(1 << 50) / 100.0, 300 * 25 * 1e8 / 1e4},
		3: {60, 300 * 25 * 1600 / (200_000.0 * 200_000.0)},
	} {
		var sum, squares float64
		for _, row := range rows {
			d := number(t, row.Cells[cell].Value) - want.truth
			sum += d
			squares += d * d
		}
		if v := squares / n / want.variance; math.Abs(v-1) > 5*math.Sqrt(2.0/n) {
			t.Errorf("cell %d: %g times the variance of the formula", cell, v)
		}
		if mean := sum / n / math.Sqrt(want.variance); math.Abs(mean) > 5/math.Sqrt(n) {
			t.Errorf("cell %d: off by %g standard deviations on average", cell, mean)
		}
	}
}

func TestExpectedIntervalsAreReleased(t *testing.T) {
	s := public(ages(3, 1), 50)
	g, _ := measures(int64(7), people(rand.New(rand.NewPCG(1, 1)), 4000, 50, 10))
	for _, row := range run(t, s, []release.Group{g}).Rows {
		if row.Keys[0] != int64(7) {
			continue
		}
		for i, c := range row.Cells {
			e := s.Expect(i)
			half := (*c.High - *c.Low) / 2
			switch {
			case e.Known && math.Abs(half/e.Half-1) > 1e-9:
				t.Errorf("cell %d: half width %g, %g was told before", i, half, e.Half)
			case e.PerRow > 0 && (half > e.PerRow/4000*1.2 || half < e.PerRow/4000/4):
				t.Errorf("cell %d: half width %g, about %g was told before", i, half, e.PerRow/4000)
			}
		}
	}
}

// Same question, same release; another order, other groups about, the same noise; any other context, other noise.
func TestNoiseBelongsToTheGroupAndContext(t *testing.T) {
	s := ages(3, 1)
	r := rand.New(rand.NewPCG(2, 2))
	var groups []release.Group
	for i := range int64(50) {
		g, _ := measures(i, people(r, 500, 50, 10))
		groups = append(groups, g)
	}
	whole := run(t, s, groups)
	if len(whole.Rows) != 50 {
		t.Fatalf("%d rows of 50 large groups", len(whole.Rows))
	}
	r.Shuffle(len(groups), func(i, j int) { groups[i], groups[j] = groups[j], groups[i] })
	if !reflect.DeepEqual(whole, run(t, s, groups)) {
		t.Error("the order of groups changes the release")
	}
	part := run(t, s, groups[:20])
	for _, row := range part.Rows {
		if !reflect.DeepEqual(row, whole.Rows[row.Keys[0].(int64)]) {
			t.Errorf("group %v is released otherwise without its neighbours", row.Keys[0])
		}
	}
	for name, c := range map[string]release.Context{
		"plan":       {Plan: "x", Parameters: context.Parameters, Datasets: context.Datasets, Policies: context.Policies},
		"parameters": {Plan: context.Plan, Parameters: "x", Datasets: context.Datasets, Policies: context.Policies},
		"datasets":   {Plan: context.Plan, Parameters: context.Parameters, Datasets: []string{"x"}, Policies: context.Policies},
		"policies":   {Plan: context.Plan, Parameters: context.Parameters, Datasets: context.Datasets},
		"lists":      {Plan: context.Plan, Parameters: context.Parameters, Datasets: append(context.Datasets, context.Policies...)},
	} {
		other, err := release.Release(s, groups, secret, c)
		if err != nil {
			t.Fatal(err)
		}
		if same(t, whole, other) > 8 { // of 50, each with probability 1/40
			t.Errorf("another context (%s) has the same noise", name)
		}
	}
	dearer := ages(3, 1)
	dearer.Columns[0].Rho++
	if same(t, whole, run(t, dearer, groups)) > 8 {
		t.Error("another variance has the same noise")
	}
}

// Same is the number of groups whose first cell is the same in two releases.
func same(t *testing.T, a, b release.Result) int {
	t.Helper()
	n := 0
	for i := range min(len(a.Rows), len(b.Rows)) {
		if number(t, a.Rows[i].Cells[0].Value) == number(t, b.Rows[i].Cells[0].Value) {
			n++
		}
	}
	return n
}

func unitsOnly(s *mechanism.Spec) *mechanism.Spec {
	s.Columns, s.Cells = s.Columns[:1], s.Cells[:1]
	return s
}

func counted(key any, counts ...int64) release.Group {
	g := release.Group{Keys: []any{key}}
	for _, n := range counts {
		g.Sums = append(g.Sums, big.NewInt(n))
	}
	return g
}

func TestPrivateKeysAreSelected(t *testing.T) {
	const n = 20_000
	s := unitsOnly(ages(1, 1))
	s.Delta = 0.05
	tau := mechanism.Tau(s.Columns[0], s)
	shown := func(units int64) float64 {
		var groups []release.Group
		for i := range int64(n) {
			groups = append(groups, counted(i+units*n, units))
		}
		rows := run(t, s, groups).Rows
		for _, row := range rows {
			if x := row.Cells[0].Value.(int64); x < max(s.MinUnits, 1)-1+tau {
				t.Errorf("released %d, below %d", x, max(s.MinUnits, 1)-1+tau)
			}
		}
		return float64(len(rows)) / n
	}
	if p := shown(9); p != 0 {
		t.Errorf("groups below min_units are shown: %g", p)
	}
	// One unit makes a group of 10 possible: shown with at most delta, and not much less, or tau would hide more than it has to.
	if p := shown(10); p > 0.05+5*math.Sqrt(0.05*0.95/n) || p < 0.03 {
		t.Errorf("groups that one unit makes visible are shown: %g", p)
	}
	if p := shown(100); p < 0.999 {
		t.Errorf("large groups are shown: %g", p)
	}
	s.MinUnits = 0
	if p := shown(1); p > 0.05+5*math.Sqrt(0.05*0.95/n) {
		t.Errorf("groups of one unit are shown without min_units: %g", p)
	}
}

func TestEveryOwnersUnitsAreTested(t *testing.T) {
	const n = 2000
	s := unitsOnly(ages(1, 1))
	s.Columns = append(s.Columns, mechanism.Column{Kind: mechanism.OwnerUnits, Owner: "b", Sensitivity: big.NewInt(1), Scale: 1, Rho: 5_000_000})
	for owners, want := range map[int64][2]float64{9: {0, 0}, 10: {0, 0.001}, 66: {0.3, 0.7}, 200: {1, 1}} {
		var groups []release.Group
		for i := range int64(n) {
			groups = append(groups, counted(i, 500, owners))
		}
		if p := float64(len(run(t, s, groups).Rows)) / n; p < want[0] || p > want[1] {
			t.Errorf("with %d units of an owner %g of groups are shown", owners, p)
		}
	}
}

func TestDeclaredKeys(t *testing.T) {
	s := unitsOnly(ages(1, 1))
	s.KeyCount, s.PublicKeys, s.MinUnits, s.Delta = 2, true, 0, 0
	s.Domain = [][]any{{"b", "a", nil}, {true, false}}
	groups := []release.Group{
		{Keys: []any{"a", true}, Sums: []*big.Int{big.NewInt(1000)}},
		{Keys: []any{"not declared", true}, Sums: []*big.Int{big.NewInt(1000)}},
		{Keys: []any{"a", nil}, Sums: []*big.Int{big.NewInt(1000)}},
	}
	result := run(t, s, groups)
	want := [][]any{{"a", false}, {"a", true}, {"b", false}, {"b", true}, {nil, false}, {nil, true}}
	if len(result.Rows) != len(want) {
		t.Fatalf("%d rows, not %d", len(result.Rows), len(want))
	}
	noisy := 0
	for i, row := range result.Rows {
		if !reflect.DeepEqual(row.Keys, want[i]) {
			t.Errorf("row %d is %v, not %v", i, row.Keys, want[i])
		}
		if x := row.Cells[0].Value.(int64); (x > 900) != (i == 1) || x < 0 {
			t.Errorf("%v has %d units", row.Keys, x)
		} else if x > 0 {
			noisy++
		}
	}
	if noisy < 3 {
		t.Errorf("only %d of 6 groups have noise above 0: zeros have none", noisy)
	}
	if result.WithheldPossible {
		t.Error("nothing can be withheld without min_units")
	}
	if s.MinUnits = 500; len(run(t, s, groups).Rows) != 1 || !run(t, s, groups).WithheldPossible {
		t.Error("min_units is not tested on the noisy count")
	}
}

func TestNoKeys(t *testing.T) {
	s := unitsOnly(ages(1, 1))
	s.KeyCount, s.MinUnits = 0, 0
	if rows := run(t, s, nil).Rows; len(rows) != 1 || len(rows[0].Keys) != 0 {
		t.Errorf("an empty input gives %v", rows)
	}
}

func TestLargestGroupsAreKept(t *testing.T) {
	s := unitsOnly(ages(1, 1))
	var groups []release.Group
	for i := range int64(30) {
		groups = append(groups, counted(i, 1000+i*200))
	}
	all := run(t, s, groups).Rows
	s.MaxGroups = 10
	if rows := run(t, s, groups).Rows; !reflect.DeepEqual(rows, all[20:]) {
		t.Errorf("kept %v", rows)
	}
}
