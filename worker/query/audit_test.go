package query_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math"
	"os"
	"strconv"
	"testing"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/sql/eval"
	"concordat.dev/worker/engine"
	"concordat.dev/worker/engine/reference"
	"concordat.dev/worker/noise"
	"concordat.dev/worker/query"
)

const perAggregate = 0.5 // rho: large, so that few runs tell

// audited are two datasets of two owners in which 30 units are ordinary. The units from 100 on are the worst that there can be: more
// rows than count, in more groups than count, at the bounds, and a ward of their own.
func audited(worst ...int64) (*document.Bundle, map[string]reference.Table) {
	policy := func(dataset, owner string, unique bool) *document.Policy {
		return (&document.Policy{APIVersion: document.APIVersion, Kind: "Policy", Dataset: dataset, Owner: owner, AntiOverlap: true, Unit: document.Unit{Column: "id", Namespace: "person", Unique: unique},
			Aggregates: []string{"count", "count_distinct", "sum", "avg", "quantile", "stddev"}, Columns: map[string]document.Column{
				"cost": {Type: "double", Role: "measure", Bounds: &[2]float64{0, 100}, Scale: 0.5}, "id": {Type: "varchar", Role: "identifier"},
				"ward": {Type: "varchar", Role: "dimension", Domain: &document.Domain{Values: []any{"north", "south", "west"}}}, "word": {Type: "varchar", Role: "dimension"}},
			Release: &document.Release{Mechanism: document.DifferentialPrivacy, MinUnits: 1, GroupsPerUnit: 2, RowsPerGroup: 3, RhoPerAggregate: perAggregate},
			Budget:  &document.Budget{Rho: 5000, Delta: 1e-9, Period: "30d", LifetimeRho: 5000}}).WithDefaults()
	}
	tables := map[string]reference.Table{"red.visits": {Policy: policy("red.visits", "red", false)}, "blue.orders": {Policy: policy("blue.orders", "blue", false)}}
	bundle := &document.Bundle{Manifest: &document.Manifest{Collaboration: "audit"}, Policies: map[string]*document.Policy{}}
	for id, t := range tables {
		bundle.Policies[id] = t.Policy
		bundle.Manifest.Datasets = append(bundle.Manifest.Datasets, document.Dataset{ID: id, Owner: t.Policy.Owner})
		wards := []any{"north", "south", "west"}
		for u := range int64(30) {
			t.Rows = append(t.Rows, []any{50.0, u, wards[u%3], "seen"}, []any{50.0, u, wards[(u+1)%3], "seen"})
		}
		for _, u := range worst {
			for i := range 15 {
				t.Rows = append(t.Rows, []any{150.0, u, wards[i%3], "seen"})
			}
			t.Rows = append(t.Rows, []any{150.0, u, nil, "hers"})
		}
		tables[id] = t
	}
	return bundle, tables
}

// questions ask for each kind of cell over one dataset, a join that repeats rows, a query of units, an outer join with a union, and
// private keys. Costs are those of the cells, in rho of one aggregate (PRIVACY.md R7).
var questions = []struct {
	costs []float64
	text  string
}{
	{[]float64{1, 1, 2, 1, 1, 3, 1}, `SELECT ward, count(*), sum(cost), avg(cost), count(DISTINCT id), quantile_cont(cost, 0.9), stddev(cost), count(*) FILTER (WHERE word = 'seen') FROM red.visits GROUP BY ward`},
	{[]float64{1, 1, 1}, `SELECT v.ward, count(*), sum(v.cost + o.cost), count(DISTINCT o.id) FROM red.visits v JOIN blue.orders o ON v.id = o.id GROUP BY v.ward`},
	{[]float64{1, 1, 1}, `WITH f AS (SELECT id, ward, count(*) AS n, sum(cost) AS s, row_number() OVER (PARTITION BY id ORDER BY ward) AS r FROM red.visits GROUP BY id, ward) SELECT ward, sum(n), sum(s), count(*) FROM f WHERE r < 9 GROUP BY ward`},
	{[]float64{1, 1, 1}, `SELECT u.ward, count(*), sum(u.cost), count(DISTINCT o.id) FROM (SELECT id, ward, cost FROM red.visits UNION ALL SELECT id, ward, cost FROM blue.orders) u LEFT JOIN blue.orders o ON o.id = u.id GROUP BY u.ward`},
	{[]float64{1, 1}, `SELECT word, count(*), sum(cost) FROM red.visits GROUP BY word`},
}

// moments are mean and standard deviation of each cell over many keys, summed over the groups.
type moments struct{ mean, deviation []float64 }

// TestAuditOfPrice bounds rho from below, empirically, over the whole path of a worker: for every statistic of a rho-zCDP mechanism, the
// squared distance of its means on two neighbours is at most exp(2 rho) - 1 of its variance (Hammersley, Chapman, Robbins, with the
// Renyi divergence of order 2). No cell may break the bound of what it costs; three units at once do, which shows that the audit can
// see. CONCORDAT_SOAK=20 runs twenty times as many.
func TestAuditOfPrice(t *testing.T) {
	runs := 80
	if n, err := strconv.Atoi(os.Getenv("CONCORDAT_SOAK")); err == nil && n > 0 {
		runs *= n
	}
	analyser, err := query.NewAnalyser()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = analyser.Close() })
	slack := 3 * math.Sqrt(2/float64(runs)) // of the distance in standard deviations
	seen := 0
	for i, q := range questions {
		bundle, without := audited()
		a, err := analyser.Analyse(context.Background(), bundle, q.text, 0)
		if err != nil || a.Refused() {
			t.Fatalf("%s: %v, %v", q.text, err, a.Decision.Refusals)
		}
		_, with := audited(100)
		none := answers(t, a, without, len(q.costs), runs)
		apart := distances(none, answers(t, a, with, len(q.costs), runs))
		for cell, distance := range apart {
			if bound := bound(q.costs[cell]); distance-slack > bound {
				t.Errorf("question %d, cell %d: %.2f standard deviations between neighbours, %.2f are paid for", i, cell, distance, bound)
			}
		}
		t.Logf("question %d: %.2f standard deviations", i, apart)
		if i > 0 {
			continue
		}
		_, with = audited(100, 101, 102)
		for cell, distance := range distances(none, answers(t, a, with, len(q.costs), runs)) {
			if distance-slack > bound(q.costs[cell]) {
				seen++
			}
		}
	}
	if seen < 3 {
		t.Errorf("of three units at once, %d cells are seen to be told apart: the audit is blind", seen)
	}
}

// bound is how many standard deviations apart the means of a cell may be on neighbours.
func bound(cost float64) float64 { return math.Sqrt(math.Expm1(2 * cost * perAggregate)) }

func distances(none, some moments) []float64 {
	out := make([]float64, len(none.mean))
	for i := range out {
		out[i] = math.Abs(some.mean[i]-none.mean[i]) / none.deviation[i]
	}
	return out
}

// answers executes a question under many keys. A group of one unit's own is never shown: that would take a chance of delta.
func answers(t *testing.T, a *query.Analysis, tables map[string]reference.Table, cells, runs int) moments {
	t.Helper()
	e, err := engine.Open(engine.Config{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	var datasets []query.Dataset
	for _, id := range a.Decision.Datasets {
		reader, err := tables[id].Reader()
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Load(context.Background(), id, tables[id].Policy, reader); err != nil {
			t.Fatal(err)
		}
		reader.Release()
		datasets = append(datasets, query.Dataset{ID: id, Loaded: id, Digest: canon.Sum([]byte(id))})
	}
	sum, square := make([]float64, cells), make([]float64, cells)
	for run := range runs {
		x := query.Executor{Engine: e, Noise: noise.Key(sha256.Sum256(fmt.Appendf(nil, "%d rows, run %d", len(tables["red.visits"].Rows), run)))}
		out, err := x.Execute(context.Background(), a, datasets)
		if err != nil {
			t.Fatal(err)
		}
		for i := range cells {
			total := 0.0
			for _, row := range out.Rows {
				if row[0] == "hers" {
					t.Fatal("a group of one unit is shown")
				}
				v, _ := eval.Float(row[1+i])
				total += v
			}
			sum[i], square[i] = sum[i]+total, square[i]+total*total
		}
	}
	m := moments{make([]float64, cells), make([]float64, cells)}
	for i := range cells {
		m.mean[i] = sum[i] / float64(runs)
		m.deviation[i] = math.Sqrt((square[i] - sum[i]*m.mean[i]) / float64(runs-1))
	}
	return m
}
