package engine_test

import (
	"context"
	"fmt"
	"math/big"
	"testing"

	"concordat.dev/policies/decide"
	"concordat.dev/policies/decide/decidetest"
	"concordat.dev/sql/plan"
	"concordat.dev/sql/render"
	"concordat.dev/worker/engine"
	"concordat.dev/worker/engine/reference"
	"concordat.dev/worker/release"
)

// without is the database in which one unit has no rows in any dataset of its namespace: the neighbour of PRIVACY.md section 6.
func without(tables reference.Tables, unit int64) reference.Tables {
	out := reference.Tables{}
	for id, table := range tables {
		if table.Policy.Unit.None {
			out[id] = table
			continue
		}
		at := unitColumn(table)
		next := reference.Table{Policy: table.Policy}
		for _, row := range table.Rows {
			if row[at] != unit {
				next.Rows = append(next.Rows, row)
			}
		}
		out[id] = next
	}
	return out
}

func unitColumn(t reference.Table) int {
	at := 0
	for name := range t.Policy.Columns {
		if name < t.Policy.Unit.Column {
			at++
		}
	}
	return at
}

// exceeds tells, in words, where two results differ by more than the price of the release assumed; "" when nowhere.
func exceeds(r *decide.Release, with, withoutUnit []release.Group) string {
	sums := map[string]*release.Group{}
	for i, g := range withoutUnit {
		sums[fmt.Sprintf("%#v", g.Keys)] = &withoutUnit[i]
	}
	changed := int64(0)
	for _, g := range with {
		name := fmt.Sprintf("%#v", g.Keys)
		other := sums[name]
		delete(sums, name)
		touched := false
		for i, column := range r.Spec.Columns {
			diff := distance(g, other, i)
			touched = touched || diff.Sign() != 0
			if diff.Cmp(column.Sensitivity) > 0 {
				return fmt.Sprintf("group %s, column %d (%s): changed by %s, sensitivity %s", name, i, column.Kind, diff, column.Sensitivity)
			}
		}
		if touched {
			changed++
		}
	}
	for name := range sums {
		if len(r.Bounded.Keys) > 0 {
			return "group " + name + " came to be when a unit was removed"
		}
	}
	if changed > r.Spec.GroupsPerUnit {
		return fmt.Sprintf("%d groups changed, groups per unit %d", changed, r.Spec.GroupsPerUnit)
	}
	return ""
}

// distance is how much a column of a group changed: of histograms, over all leaves.
func distance(g release.Group, other *release.Group, i int) *big.Int {
	out := new(big.Int)
	if g.Sums[i] != nil {
		if out.Set(g.Sums[i]); other != nil {
			out.Sub(out, other.Sums[i])
		}
		return out.Abs(out)
	}
	for leaf, n := range g.Leaves[i] {
		if other != nil {
			n -= other.Leaves[i][leaf]
		}
		out.Add(out, new(big.Int).Abs(big.NewInt(n)))
	}
	if other != nil {
		for leaf, n := range other.Leaves[i] {
			if _, have := g.Leaves[i][leaf]; !have {
				out.Add(out, big.NewInt(n))
			}
		}
	}
	return out
}

// audited is a plan as the audit runs it: small groups are not left out, so that what they hide is seen too.
func audited(r *decide.Release) *plan.Bounded {
	b := r.Bounded
	b.MinUnits, b.Threshold = 0, false
	return &b
}

// TestNeighbours removes one unit from random databases under random queries: no sum of any group changes by more than the
// sensitivity that the price assumed, and no more groups than the bound says.
func TestNeighbours(t *testing.T) {
	p := parser(t)
	plans, bites := 0, map[string]int{}
	for seed := range soak(1350) {
		c := decidetest.Seed(50_000 + seed)
		room := decidetest.NewRoom(c)
		tables := tablesOf(room, room.Rows(c, 1+c.Below(6)))
		neighbours := map[int64]reference.Tables{}
		for _, u := range []int64{1, 2, 3} {
			neighbours[u] = without(tables, u)
		}
		for range 8 {
			text := room.Query(c)
			r := decided(t, p, room, text)
			if r == nil {
				continue
			}
			plans++
			count(bites, r)
			b := audited(r)
			all, err := reference.Groups(b, tables, salt)
			if err != nil {
				t.Fatalf("seed %d: %v\n%s\n%s", seed, err, room, text)
			}
			for u, neighbour := range neighbours {
				fewer, err := reference.Groups(b, neighbour, salt)
				if err != nil {
					t.Fatal(err)
				}
				if d := exceeds(r, all, fewer); d != "" {
					t.Fatalf("seed %d, unit %d: %s\n%s\n%s", seed, u, d, room, text)
				}
			}
		}
	}
	if plans < 10_000 {
		t.Errorf("only %d plans were audited", plans)
	}
	t.Logf("%d plans: %v", plans, bites)
}

func count(bites map[string]int, r *decide.Release) {
	if r.Bounded.OneRow {
		bites["one row"]++
	}
	if r.Bounded.OneGroup {
		bites["one group"]++
	}
	if r.Spec.PublicKeys && r.Spec.KeyCount > 0 {
		bites["public keys"]++
	}
	for _, c := range r.Spec.Columns {
		bites[string(c.Kind)]++
	}
}

// TestNeighboursInEngine is the audit of a sample with the engine itself.
func TestNeighboursInEngine(t *testing.T) {
	e, p := open(t), parser(t)
	for seed := range soak(40) {
		c := decidetest.Seed(90_000 + seed)
		room := decidetest.NewRoom(c)
		tables := tablesOf(room, room.Rows(c, 1+c.Below(10)))
		var releases []*decide.Release
		for range 8 {
			if r := decided(t, p, room, room.Query(c)); r != nil {
				releases = append(releases, r)
			}
		}
		all := groupsOf(t, e, releases, tables)
		fewer := groupsOf(t, e, releases, without(tables, 1))
		for i, r := range releases {
			if d := exceeds(r, all[i], fewer[i]); d != "" {
				t.Fatalf("seed %d: %s\n%s", seed, d, plan.Text(r.Bounded.Input))
			}
		}
	}
}

func groupsOf(t *testing.T, e *engine.Engine, releases []*decide.Release, tables reference.Tables) [][]release.Group {
	t.Helper()
	at := load(t, e, tables)
	defer drop(t, e, tables)
	var out [][]release.Group
	for _, r := range releases {
		g, err := e.Groups(context.Background(), audited(r), nil, render.Params{Tables: at, Salt: salt}, 0)
		if err != nil {
			t.Fatal(cause(err))
		}
		out = append(out, g)
	}
	return out
}
