package engine_test

import (
	"context"
	"fmt"
	"testing"

	"concordat.dev/policies/decide"
	"concordat.dev/policies/decide/decidetest"
	"concordat.dev/sql/plan"
	"concordat.dev/sql/render"
	"concordat.dev/worker/engine"
	"concordat.dev/worker/engine/reference"
	"concordat.dev/worker/release"
)

// TestThresholdDetails compares what threshold mode asks of groups with the reference, for random queries: dominance, units that
// contribute, and the isolation test.
func TestThresholdDetails(t *testing.T) {
	e, p := open(t), parser(t)
	plans := 0
	for seed := range soak(60) {
		c := decidetest.Seed(300_000 + seed)
		room := decidetest.NewRoom(c)
		if room.Policies[room.Datasets[0]].Release.Mechanism != "threshold" {
			continue
		}
		tables := tablesOf(room, room.Rows(c, 4+c.Below(8)))
		at := load(t, e, tables)
		for range 4 {
			text := room.Query(c)
			r := decided(t, p, room, text)
			if r == nil || !r.Bounded.Threshold {
				continue
			}
			plans++
			if d := compareDetails(t, e, r, tables, at); d != "" {
				t.Fatalf("seed %d: %s\n%s\n%s", seed, d, room, text)
			}
		}
		drop(t, e, tables)
	}
	if plans < 20 {
		t.Errorf("only %d plans", plans)
	}
}

func compareDetails(t *testing.T, e *engine.Engine, r *decide.Release, tables reference.Tables, at render.Tables) string {
	t.Helper()
	b := &r.Bounded
	k := r.Spec.MinUnits
	groups, err := e.Groups(context.Background(), b, r.Exempt, render.Params{Tables: at, Salt: salt}, k)
	if err != nil {
		t.Fatal(cause(err))
	}
	details, err := reference.Details(b, tables, salt)
	if err != nil {
		t.Fatal(err)
	}
	isolated := reference.Isolated(b, r.Exempt, tables, k)
	sets := map[string]string{}
	for _, g := range groups {
		name := reference.Text(g.Keys)
		if g.Isolated != isolated[name] {
			return fmt.Sprintf("%v: isolated %v, reference %v", g.Keys, g.Isolated, isolated[name])
		}
		for i, want := range details[name] {
			have := fmt.Sprint(g.Top1[i], g.Top2[i], g.Absolute[i], g.NonZero[i])
			if b.Sums[i].Kind == plan.SumHistogram {
				have = fmt.Sprint(g.NonZero[i])
			}
			if text := wanted(b.Sums[i].Kind, want); have != text {
				return fmt.Sprintf("%v, column %d (%s): %s, reference %s", g.Keys, i, b.Sums[i].Kind, have, text)
			}
		}
		if d := repeated(sets, g); d != "" {
			return d
		}
	}
	return ""
}

func wanted(kind plan.SumKind, d reference.Detail) string {
	if kind == plan.SumHistogram {
		return fmt.Sprint(d.NonZero)
	}
	return fmt.Sprint(d.Top1, d.Top2, d.Absolute, d.NonZero)
}

// repeated checks that two groups have one set of units only if they have as many.
func repeated(sets map[string]string, g release.Group) string {
	set, n := fmt.Sprintf("%x", g.UnitSets[0]), g.Sums[0].String()
	if have, ok := sets[set]; ok && have != n {
		return fmt.Sprintf("%v: the set of %s units is that of %s units", g.Keys, n, have)
	}
	sets[set] = n
	return ""
}
