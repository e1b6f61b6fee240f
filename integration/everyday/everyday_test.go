// Package everyday_test compares the everyday queries with plain DuckDB over the files as they are: noise aside and where no bound
// bites, both say the same.
package everyday_test

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"math/big"
	"os"
	"sort"
	"strings"
	"testing"
	"time"

	_ "github.com/duckdb/duckdb-go/v2"
	"github.com/goccy/go-yaml"

	"concordat.dev/protocol/document"
	"concordat.dev/sql/eval"
	"concordat.dev/sql/plan"
	"concordat.dev/sql/render"
	"concordat.dev/worker/engine"
	"concordat.dev/worker/engine/reference"
	"concordat.dev/worker/ingest"
	"concordat.dev/worker/query"
	"concordat.dev/worker/token"
)

// boundless is the room whose bounds on rows and groups no unit reaches.
func boundless(t *testing.T) *document.Bundle {
	t.Helper()
	b, err := document.LoadDir("../testdata/room/dp")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range b.Policies {
		if p.Release != nil {
			p.Release.RowsPerGroup, p.Release.GroupsPerUnit = 100_000, 100_000
		}
	}
	return b
}

func loaded(t *testing.T, b *document.Bundle, files map[string]string) (*engine.Engine, render.Tables) {
	t.Helper()
	e, err := engine.Open(engine.Config{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	names := map[string]string{}
	for id, path := range files {
		names[id] = id
		p := b.Policies[id]
		tokenizer, err := token.New(make([]byte, 32), b.Manifest.Collaboration, p.Unit.Namespace, b.Manifest.Namespaces[p.Unit.Namespace])
		if err != nil {
			t.Fatal(err)
		}
		rows, _, err := ingest.All(context.Background(), ingest.Options{Policy: *p, Tokenizer: tokenizer}, ingest.Path(path))
		if err != nil {
			t.Fatal(err)
		}
		reader, err := rows.Reader()
		if err != nil {
			t.Fatal(err)
		}
		numbered, err := ingest.Numbered(reader, p.Unit.Column)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Load(context.Background(), id, p, numbered); err != nil {
			t.Fatal(err)
		}
		numbered.Release()
		reader.Release()
	}
	tables, err := e.Tables(names)
	if err != nil {
		t.Fatal(err)
	}
	return e, tables
}

// plainly are the files in plain DuckDB: identifiers as they are, rows without one left out, times at their grain. A time as it was
// stored has a column of its own.
func plainly(t *testing.T, b *document.Bundle, files map[string]string) *sql.DB {
	t.Helper()
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	for id, path := range files {
		owner, name, _ := strings.Cut(id, ".")
		p := b.Policies[id]
		stored, seen := "", ""
		for column, c := range p.Columns {
			if c.Role == "time" {
				stored += fmt.Sprintf(", %[1]s AS %[1]s_stored", column)
				seen += fmt.Sprintf(" REPLACE (date_trunc('%s', %s) AS %[2]s)", c.Grain, column)
			}
		}
		types := ""
		if _, has := p.Columns["zip"]; has {
			types = ", types = {'zip': 'VARCHAR'}"
		}
		for _, statement := range []string{"CREATE SCHEMA IF NOT EXISTS " + owner,
			fmt.Sprintf("CREATE TABLE %s.%s AS SELECT *%s%s FROM read_csv('%s', header = true%s) WHERE %s IS NOT NULL", owner, name, seen, stored, path, types, p.Unit.Column)} {
			if _, err := db.Exec(statement); err != nil {
				t.Fatal(statement, err)
			}
		}
	}
	return db
}

type everyday struct{ ID, Title, DP, SQL string }

func TestEveryday(t *testing.T) {
	text, err := os.ReadFile("../testdata/cases/everyday.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var cases []everyday
	if err := yaml.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	bundle, files := boundless(t), room(t)
	e, tables := loaded(t, bundle, files)
	db := plainly(t, bundle, files)
	analyser, err := query.NewAnalyser()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = analyser.Close() })
	for _, c := range cases {
		c.SQL = strings.ReplaceAll(c.SQL, "> 500", "> 20") // the room is a tenth as large
		t.Run(c.ID, func(t *testing.T) {
			a, err := analyser.Analyse(context.Background(), bundle, c.SQL, 0)
			if err != nil || a.Refused() {
				t.Fatal(err, a.Decision.Refusals)
			}
			r := a.Decision.Release
			b := r.Bounded
			b.MinUnits = 0
			groups, err := e.Groups(context.Background(), &b, nil, render.Params{Tables: tables, Salt: "s"}, 1)
			if err != nil {
				t.Fatal(err)
			}
			rows := make([][]any, len(groups))
			for i, g := range groups {
				rows[i] = append(append([]any{}, g.Keys...), reference.Exact(&r.Spec, g)...)
			}
			var have [][]any
			for _, row := range eval.Relation(r.Outer, func(plan.Relation) [][]any { return rows }) {
				have = append(have, row.Values)
			}
			same(t, answered(t, db, c.SQL), have, r.Outer.Schema())
		})
	}
}

// answered is what plain DuckDB says. Windows order by times as they were stored.
func answered(t *testing.T, db *sql.DB, text string) [][]any {
	t.Helper()
	text = strings.NewReplacer("ORDER BY i.shown_at", "ORDER BY i.shown_at_stored", "PARTITION BY c.email_sha256, c.converted_at", "PARTITION BY c.email_sha256, c.converted_at_stored").Replace(text)
	rows, err := db.Query(text)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var out [][]any
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		out = append(out, values)
	}
	return out
}

// same compares rows in any order; quantiles within a leaf, sums within the rounding of a double.
func same(t *testing.T, want, have [][]any, schema []plan.Column) {
	t.Helper()
	if len(want) != len(have) || len(want) == 0 {
		t.Fatalf("plain DuckDB has %d rows, the engine %d", len(want), len(have))
	}
	text := func(row []any) string {
		s := ""
		for _, v := range row {
			switch v := v.(type) {
			case string:
				s += v + "|"
			case time.Time:
				s += v.UTC().Format(time.RFC3339) + "|"
			}
		}
		return s
	}
	for _, rows := range [][][]any{want, have} {
		sort.SliceStable(rows, func(i, j int) bool { return text(rows[i]) < text(rows[j]) })
	}
	for i := range want {
		if text(want[i]) != text(have[i]) {
			t.Fatalf("plain DuckDB has %v, the engine %v", want[i], have[i])
		}
		for j, c := range schema {
			if x, y := float(want[i][j]), float(have[i][j]); !near(x, y, c.Name) {
				t.Errorf("%s of %v: plain DuckDB says %v, the engine %v", c.Name, text(want[i]), x, y)
			}
		}
	}
}

func near(x, y float64, name string) bool {
	if math.IsNaN(x) && math.IsNaN(y) {
		return true
	}
	tolerance := 1e-9 * math.Max(1, math.Abs(x))
	if strings.HasPrefix(name, "median") {
		tolerance = 2 * 500.0 / 1024
	}
	return math.Abs(x-y) <= tolerance
}

// float reads a number; NaN for what is none.
func float(v any) float64 {
	switch v := v.(type) {
	case int64:
		return float64(v)
	case int32:
		return float64(v)
	case float64:
		return v
	case *big.Int:
		f, _ := new(big.Float).SetInt(v).Float64()
		return f
	case interface{ Float64() float64 }: // decimals
		return v.Float64()
	}
	return math.NaN()
}
