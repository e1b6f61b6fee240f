package release_test

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"slices"
	"testing"

	"concordat.dev/policies/mechanism"
	"concordat.dev/worker/release"
)

// Trusting is a threshold Spec over a measure from 0 to 100: units, rows, sum, average, variance, median; one row a unit at most unless said otherwise.
func trusting(rows int64) *mechanism.Spec {
	column := func(kind mechanism.ColumnKind) mechanism.Column {
		return mechanism.Column{Kind: kind, Sensitivity: big.NewInt(1), Scale: 1}
	}
	s := &mechanism.Spec{
		Kind: mechanism.Threshold, KeyCount: 1, MinUnits: 10, GroupsPerUnit: 1, RowsPerGroup: rows,
		Columns: []mechanism.Column{
			column(mechanism.Units), column(mechanism.Count), column(mechanism.Sum), column(mechanism.Centred), column(mechanism.Square), column(mechanism.Histogram),
		},
	}
	s.Columns[3].Midpoint, s.Columns[4].Midpoint = 50, 50
	s.Columns[5].High, s.Columns[5].Levels = 100, 6
	cell := func(kind mechanism.CellKind, columns ...int) mechanism.Cell {
		return mechanism.Cell{Kind: kind, Columns: columns, High: 100, Quantile: 0.5}
	}
	s.Cells = []mechanism.Cell{
		cell(mechanism.CellCount, 0),
		cell(mechanism.CellCount, 1),
		cell(mechanism.CellSum, 2, 1),
		cell(mechanism.CellAverage, 2, 1),
		cell(mechanism.CellVariance, 3, 1, 4),
		cell(mechanism.CellQuantile, 5, 1),
	}
	return s
}

// Unit is a person with the values of her rows.
type unit struct {
	name   string
	values []int64
}

// Persons are units named by prefix and number, each with one value.
func persons(prefix string, n int, value func(i int) int64) []unit {
	all := make([]unit, n)
	for i := range all {
		all[i] = unit{fmt.Sprint(prefix, i), []int64{value(i)}}
	}
	return all
}

// Gather computes a group as an engine would, and the truth of each cell.
func gather(key any, units []unit) (release.Group, []float64) {
	g := release.Group{
		Keys: []any{key}, Sums: make([]*big.Int, 6), Leaves: make([]map[int]int64, 6), LeafUnits: make([]map[int]int64, 6),
		UnitSets: make([][16]byte, 6), RowSets: make([][16]byte, 6),
		Top1: make([]*big.Int, 6), Top2: make([]*big.Int, 6), Absolute: make([]*big.Int, 6), NonZero: make([]int64, 6),
	}
	contributions := make([][]int64, 5)
	g.Leaves[5], g.LeafUnits[5] = map[int]int64{}, map[int]int64{}
	var all []int64
	for _, u := range units {
		xor(&g.UnitSets[0], u.name)
		xor(&g.RowSets[1], fmt.Sprint(u.name, "/", len(u.values)))
		var sum, centred, square int64
		mine := map[int]bool{}
		for _, v := range u.values {
			sum, centred, square = sum+v, centred+v-50, square+(v-50)*(v-50)
			leaf := min(int(v)*64/100, 63)
			g.Leaves[5][leaf]++
			mine[leaf] = true
		}
		for leaf := range mine {
			g.LeafUnits[5][leaf]++
		}
		all = append(all, u.values...)
		for i, x := range []int64{1, int64(len(u.values)), sum, centred, square} {
			contributions[i] = append(contributions[i], x)
		}
	}
	for i, xs := range contributions {
		var sum, absolute int64
		for _, x := range xs {
			sum, absolute = sum+x, absolute+max(x, -x)
			if x != 0 {
				g.NonZero[i]++
			}
		}
		slices.SortFunc(xs, func(a, b int64) int { return cmp.Compare(max(b, -b), max(a, -a)) })
		xs = append(xs, 0, 0)
		g.Sums[i], g.Absolute[i] = big.NewInt(sum), big.NewInt(absolute)
		g.Top1[i], g.Top2[i] = big.NewInt(max(xs[0], -xs[0])), big.NewInt(max(xs[1], -xs[1]))
	}
	g.NonZero[5] = int64(len(units))
	slices.Sort(all)
	n := float64(len(all))
	f := func(i int) float64 { return float64(g.Sums[i].Int64()) }
	if len(all) == 0 {
		return g, nil
	}
	return g, []float64{f(0), n, f(2), f(2) / n, f(4)/n - f(3)*f(3)/n/n, float64(all[int(0.5*(n-1))])}
}

func xor(set *[16]byte, name string) {
	sum := sha256.Sum256([]byte(name))
	for i := range set {
		set[i] ^= sum[i]
	}
}

func spread(i int) int64 { return int64(20 + i*7%61) }

// ShownOf is the share of groups that are shown among those made for each of many sets of units.
func shownOf(t *testing.T, s *mechanism.Spec, n int, make func(prefix string) []unit) float64 {
	t.Helper()
	shown := 0
	for i := range n {
		g, _ := gather("a", make(fmt.Sprint(i, "-")))
		shown += len(run(t, s, []release.Group{g}).Rows)
	}
	return float64(shown) / float64(n)
}

func TestMinUnitsHaveAStickyOffset(t *testing.T) {
	s := trusting(1)
	for units, want := range map[int][2]float64{9: {0, 0}, 10: {0.15, 0.25}, 12: {0.7, 0.9}, 30: {1, 1}} {
		if units < 30 {
			s.Cells = trusting(1).Cells[:2] // a variance needs three times as many
		} else {
			s.Cells = trusting(1).Cells
		}
		// |discrete Gaussian of sd 2| is 0 with probability 0.2, at most 2 with 0.79.
		p := shownOf(t, s, 400, func(prefix string) []unit { return persons(prefix, units+20*(units/30), spread) })
		if p < want[0] || p > want[1] {
			t.Errorf("with %d units %g of groups are shown", units, p)
		}
	}
}

func TestUnsafeCellsWithholdTheirGroup(t *testing.T) {
	base := func(prefix string) []unit { return persons(prefix, 60, spread) }
	with := func(cell int) *mechanism.Spec {
		s := trusting(5)
		s.Cells = s.Cells[cell : cell+1]
		return s
	}
	for name, c := range map[string]struct {
		cell int
		make func(prefix string) []unit
		want float64
	}{
		"harmless":                     {2, base, 1},
		"sum of zeros":                 {2, func(p string) []unit { return persons(p, 60, func(int) int64 { return 0 }) }, 0},
		"sum of nine":                  {2, func(p string) []unit { return persons(p, 60, func(i int) int64 { return int64(max(0, 60-i-51) * 10) }) }, 0},
		"average of nine":              {3, func(p string) []unit { return persons(p, 60, func(i int) int64 { return int64(max(0, 60-i-51) * 10) }) }, 0},
		"count is not asked for a sum": {0, func(p string) []unit { return persons(p, 60, func(int) int64 { return 0 }) }, 1},
		"one has 5 of 19 rows":         {1, func(p string) []unit { return append(persons(p, 40, spread), unit{p + "x", make([]int64, 5)}) }, 1},
		"one has most of a sum": {2, func(p string) []unit {
			return append(persons(p, 40, func(int) int64 { return 1 }), unit{p + "x", []int64{100}})
		}, 0},
		"variance of 29": {4, func(p string) []unit { return persons(p, 29, spread) }, 0},
		"variance of 60": {4, base, 1},
	} {
		if p := shownOf(t, with(c.cell), 50, c.make); p != c.want {
			t.Errorf("%s: %g of groups are shown, not %g", name, p, c.want)
		}
	}
	g, _ := gather("a", base("isolated"))
	g.Isolated = true
	if rows := run(t, with(0), []release.Group{g}).Rows; len(rows) != 0 {
		t.Error("a group is shown in which a comparison isolates units")
	}
	g, _ = gather("a", base("filter"))
	s := with(0)
	s.Columns[0].Kind, s.Columns = mechanism.Units, append(s.Columns, mechanism.Column{Kind: mechanism.Distinct, Sensitivity: big.NewInt(1), Scale: 1})
	s.Cells[0].Columns = []int{6}
	for met, want := range map[int64]int{0: 1, 1: 0, 9: 0, 10: 1} {
		wide := widen(g, met)
		if rows := run(t, s, []release.Group{wide}).Rows; len(rows) != want {
			t.Errorf("with %d units that meet a filter %d rows are shown", met, len(rows))
		}
	}
}

// Widen adds a distinct column with so many units.
func widen(g release.Group, n int64) release.Group {
	g.Sums, g.NonZero = append(slices.Clone(g.Sums), big.NewInt(n)), append(slices.Clone(g.NonZero), n)
	g.Leaves, g.LeafUnits = append(slices.Clone(g.Leaves), nil), append(slices.Clone(g.LeafUnits), nil)
	g.UnitSets, g.RowSets = append(slices.Clone(g.UnitSets), [16]byte{byte(n)}), append(slices.Clone(g.RowSets), [16]byte{})
	for _, list := range []*[]*big.Int{&g.Top1, &g.Top2, &g.Absolute} {
		*list = append(slices.Clone(*list), nil)
	}
	return g
}

func TestEachOwnerReachesMinUnits(t *testing.T) {
	s := trusting(1)
	s.Cells = s.Cells[:1]
	s.Columns = append(s.Columns, mechanism.Column{Kind: mechanism.OwnerUnits, Owner: "b", Sensitivity: big.NewInt(1), Scale: 1})
	g, _ := gather("a", persons("o", 60, spread))
	for n, want := range map[int64]int{9: 0, 30: 1} {
		if rows := run(t, s, []release.Group{widen(g, n)}).Rows; len(rows) != want {
			t.Errorf("with %d units of an owner %d rows are shown", n, len(rows))
		}
	}
}

// The same units have the same noise in any query: another plan, dataset version, key or company. One unit more has its own.
func TestNoiseSticksToUnits(t *testing.T) {
	s := trusting(1)
	some := persons("s", 200, spread)
	g, _ := gather("a", some)
	want := run(t, s, []release.Group{g}).Rows[0].Cells

	other, _ := gather("z", persons("t", 90, spread))
	slices.Reverse(some)
	g, _ = gather("b", some)
	result, err := release.Release(s, []release.Group{other, g}, secret, release.Context{Plan: "another", Datasets: []string{"next version"}})
	if err != nil || !reflect.DeepEqual(result.Rows[0].Cells, want) {
		t.Errorf("the same units are released as %v, then as %v (%v)", want, result.Rows[0].Cells, err)
	}

	differ := map[float64]bool{}
	for i := range 40 {
		g, _ := gather("a", append(persons("s", 200, spread), unit{fmt.Sprint("guest ", i), []int64{50}}))
		differ[number(t, run(t, s, []release.Group{g}).Rows[0].Cells[0].Value)] = true
	}
	if len(differ) < 3 {
		t.Errorf("200 units and any guest are released as %v: the noise does not follow the set", differ)
	}
}

func TestOneWithheldTakesTheNextSmallest(t *testing.T) {
	s := trusting(1)
	s.Cells = s.Cells[:1]
	group := func(key string, n int) release.Group {
		g, _ := gather(key, persons(key, n, spread))
		return g
	}
	keys := func(groups ...release.Group) string {
		out := ""
		for _, r := range run(t, s, groups).Rows {
			out += r.Keys[0].(string)
		}
		return out
	}
	a, b, c, small, tiny := group("a", 100), group("b", 60), group("c", 80), group("s", 5), group("t", 3)
	empty := group("e", 0)
	for name, c := range map[string]struct{ got, want string }{
		"none withheld":          {keys(a, b, c), "abc"},
		"one withheld":           {keys(a, b, c, small), "ac"},
		"two withheld":           {keys(a, b, c, small, tiny), "abc"},
		"an empty group is none": {keys(a, b, c, empty), "abc"},
		"one withheld, alone":    {keys(small), ""},
	} {
		if c.got != c.want {
			t.Errorf("%s: %q is shown, not %q", name, c.got, c.want)
		}
	}
	if !run(t, s, []release.Group{a}).WithheldPossible || !run(t, s, nil).WithheldPossible {
		t.Error("whether groups may be withheld depends on the data")
	}
	if s.MaxGroups = 2; keys(a, b, c) != "ac" {
		t.Error("max_groups does not keep the largest")
	}
}

// Rounding, consistency and coverage over many sets of units, with one row and with up to nine rows a unit.
func TestVeiledCells(t *testing.T) {
	names := []string{"units", "rows", "sum", "avg", "variance", "median"}
	for _, rows := range []int64{1, 9} {
		const n = 1200
		s := trusting(rows)
		var out []release.Row
		var truths [][]float64
		for i := range int64(n) {
			all := persons(fmt.Sprint(rows, i, "-"), 150+int(i)%50, func(j int) int64 { return int64(30 + (j*j+int(i))%45) })
			for j := range all {
				for k := range j % int(rows) {
					all[j].values = append(all[j].values, int64(30+(j+k)%45))
				}
			}
			g, truth := gather(i, all)
			truths = append(truths, truth)
			out = append(out, run(t, s, []release.Group{g}).Rows...)
		}
		if len(out) != n {
			t.Fatalf("%d of %d groups are shown", len(out), n)
		}
		for _, row := range out {
			f := func(i int) float64 { return number(t, row.Cells[i].Value) }
			if math.Mod(f(0), 5) != 0 || math.Mod(f(1), 5) != 0 || math.Mod(f(2), 5) != 0 {
				t.Fatalf("not rounded to 5: %g, %g, %g", f(0), f(1), f(2))
			}
			if math.Abs(f(3)-f(2)/f(1)) > 1e-9 {
				t.Fatalf("the average %g is not the ratio of %g and %g", f(3), f(2), f(1))
			}
		}
		for i, name := range names {
			cover(t, fmt.Sprintf("%s with up to %d rows", name, rows), out, truths, i, name == "median")
		}
		var squares float64
		for _, row := range out {
			d := number(t, row.Cells[0].Value) - truths[row.Keys[0].(int64)][0]
			squares += d * d
		}
		// Variance 9 of the phantoms and 2 of the rounding; 5 standard errors.
		if v := squares / n / 11; math.Abs(v-1) > 5*math.Sqrt(2.0/n) {
			t.Errorf("units have %g times the variance of phantoms and rounding", v)
		}
	}
}

func TestQuantileBinsHoldEnoughUnits(t *testing.T) {
	s := trusting(1)
	s.Cells = s.Cells[5:]
	for name, c := range map[string]struct {
		units []unit
		width float64
	}{
		"dense":            {persons("dense", 600, func(int) int64 { return 40 }), 100.0 / 64},
		"spread over all":  {persons("spread", 64, func(i int) int64 { return int64(i * 100 / 64) }), 100.0 / 4},
		"ten at each edge": {persons("edges", 40, func(i int) int64 { return int64(i % 2 * 99) }), 100.0 / 64},
	} {
		g, _ := gather("a", c.units)
		cell := run(t, s, []release.Group{g}).Rows[0].Cells[0]
		v := number(t, cell.Value)
		bin := v / c.width
		if math.Abs(bin-math.Floor(bin)-0.5) > 1e-6 {
			t.Errorf("%s: %g is not the midpoint of a bin of width %g", name, v, c.width)
		}
		if *cell.High-*cell.Low < c.width-1e-9 {
			t.Errorf("%s: the interval [%g, %g] is narrower than the bin", name, *cell.Low, *cell.High)
		}
	}
}
