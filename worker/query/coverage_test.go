package query_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/sql/eval"
	"concordat.dev/sql/plan"
	"concordat.dev/sql/render"
	"concordat.dev/worker/engine"
	"concordat.dev/worker/engine/reference"
	"concordat.dev/worker/noise"
	"concordat.dev/worker/query"
)

// clinic is a dataset like those of the study, some of whose persons have more rows and more groups than count.
func clinic() reference.Table {
	p := (&document.Policy{APIVersion: document.APIVersion, Kind: "Policy", Dataset: "clinic.visits", Owner: "clinic",
		Unit: document.Unit{Column: "id", Namespace: "patient"}, Aggregates: []string{"count", "count_distinct", "sum", "avg", "quantile", "stddev"},
		Columns: map[string]document.Column{
			"id": {Type: "varchar", Role: "identifier"}, "site": {Type: "varchar", Role: "dimension", Domain: &document.Domain{Values: []any{"north", "south", "west"}}},
			"bmi":  {Type: "double", Role: "measure", Bounds: &[2]float64{10, 80}, Scale: 0.1, Grain: "5"},
			"days": {Type: "integer", Role: "measure", Bounds: &[2]float64{0, 60}},
			"seen": {Type: "date", Role: "time", Grain: "month"},
		},
		Release: &document.Release{Mechanism: document.DifferentialPrivacy, MinUnits: 10, GroupsPerUnit: 2, RowsPerGroup: 3, RhoPerAggregate: 0.005},
		Budget:  &document.Budget{Rho: 50, Delta: 1e-6, Period: "30d", LifetimeRho: 300}}).WithDefaults()
	r := rand.New(rand.NewPCG(7, 8))
	t := reference.Table{Policy: p}
	for u := range int64(1200) {
		for range 1 + r.IntN(6) {
			// a clinic may write what lies outside its bounds
			t.Rows = append(t.Rows, []any{30 + 8*r.NormFloat64(), int64(r.IntN(80)), u, time.Date(2025, time.Month(1+r.IntN(4)), 1+r.IntN(28), 0, 0, 0, 0, time.UTC), []any{"north", "south", "west"}[r.IntN(3)]})
		}
	}
	return t
}

const study = `SELECT site, count(DISTINCT id) AS patients, count(*) AS visits, sum(days) AS days, avg(bmi) AS bmi, quantile_cont(bmi, 0.5) AS median,
	count(*) FILTER (WHERE bmi >= 30) AS obese FROM clinic.visits GROUP BY site`

// TestIntervalsHoldTheBoundedTruth runs a query like those of the study under a hundred keys: the printed 95 % intervals hold what the
// bounds leave of the data in 90 to 99 % of the cells.
func TestIntervalsHoldTheBoundedTruth(t *testing.T) {
	table := clinic()
	bundle := &document.Bundle{Manifest: &document.Manifest{Collaboration: "study", Datasets: []document.Dataset{{ID: "clinic.visits", Owner: "clinic"}}},
		Policies: map[string]*document.Policy{"clinic.visits": table.Policy}}
	analyser, err := query.NewAnalyser()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = analyser.Close() })
	a, err := analyser.Analyse(context.Background(), bundle, study, 0)
	if err != nil || a.Refused() {
		t.Fatal(err, a.Decision.Refusals)
	}
	e, err := engine.Open(engine.Config{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	reader, err := table.Reader()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Release()
	if err := e.Load(context.Background(), "clinic.visits", table.Policy, reader); err != nil {
		t.Fatal(err)
	}
	tables, err := e.Tables(map[string]string{"clinic.visits": "clinic.visits"})
	if err != nil {
		t.Fatal(err)
	}
	inside, cells := map[string]int{}, map[string]int{}
	for run := range 100 {
		key := sha256.Sum256(fmt.Appendf(nil, "run %d", run))
		x := query.Executor{Engine: e, Noise: noise.Key(key)}
		out, err := x.Execute(context.Background(), a, []query.Dataset{{ID: "clinic.visits", Loaded: "clinic.visits", Digest: canon.Sum(nil)}})
		if err != nil {
			t.Fatal(err)
		}
		salt := fmt.Sprintf("%x", x.Noise.Derive([]byte("bounding")))
		groups, err := e.Groups(context.Background(), &a.Decision.Release.Bounded, nil, render.Params{Tables: tables, Salt: salt}, 0)
		if err != nil {
			t.Fatal(err)
		}
		truth, source := map[any][]any{}, [][]any{}
		for _, g := range groups {
			source = append(source, append(append([]any{}, g.Keys...), reference.Exact(&a.Decision.Release.Spec, g)...))
		}
		for _, row := range eval.Relation(a.Decision.Release.Outer, func(plan.Relation) [][]any { return source }) {
			truth[row.Values[0]] = row.Values
		}
		for i, row := range out.Rows {
			for c := 1; c < len(row); c++ {
				interval := out.Intervals[i][c]
				if interval == nil {
					t.Fatalf("%s has no interval", a.Columns[c].Name)
				}
				name := a.Columns[c].Name
				cells[name]++
				if x, _ := eval.Float(truth[row[0]][c]); interval[0] <= x && x <= interval[1] {
					inside[name]++
				}
			}
		}
	}
	all, held := 0, 0
	for name, n := range cells {
		if n != 300 {
			t.Errorf("%s: %d cells of 300", name, n)
		}
		all, held = all+n, held+inside[name]
		if rate := float64(inside[name]) / float64(n); rate < 0.90 {
			t.Errorf("%s: %.1f %% of the intervals hold the truth", name, 100*rate)
		}
	}
	if rate := float64(held) / float64(all); rate < 0.90 || rate > 0.99 {
		t.Errorf("%.1f %% of all intervals hold the truth", 100*rate)
	}
	t.Logf("%v of %v", inside, cells)
}
