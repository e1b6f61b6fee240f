package engine_test

import (
	"database/sql"
	"encoding/json"
	"regexp"
	"testing"

	_ "github.com/duckdb/duckdb-go/v2"

	"concordat.dev/policies/decide/decidetest"
	"concordat.dev/protocol/document"
	"concordat.dev/sql/plan"
	"concordat.dev/sql/render"
	"concordat.dev/worker/engine/reference"
)

// known are the functions that printed SQL may call; all of them are pure, and none reads anything but its arguments.
var known = func() map[string]bool {
	out := map[string]bool{}
	for _, name := range []string{"+", "-", "*", "/", "//", "abs", "sign", "floor", "ceil", "round", "round_even", "isfinite", "try",
		"lower", "upper", "trim", "left", "starts_with", "concat", "md5", "hash", "date_trunc", "date_diff", "date_part", "to_years", "to_months", "to_weeks",
		"to_days", "to_hours", "to_minutes", "to_seconds", "to_quarters", "epoch_us", "trunc", "least", "greatest", "nullif", "unnest",
		"count", "count_star", "sum", "min", "max", "bool_or", "bit_xor", "list", "row_number", "rank", "dense_rank", "lag", "lead", "first_value"} {
		out[name] = true
	}
	return out
}()

var tableName = regexp.MustCompile(`^(data_[0-9]+|heavy_[0-9]+|rows|groups|many|chosen|bounded)$`)

// reparsed reads a printed query back as DuckDB's parser does and hands every node to visit.
func reparsed(t *testing.T, db *sql.DB, query string, visit func(map[string]any)) {
	t.Helper()
	var text string
	if err := db.QueryRow("SELECT CAST(json_serialize_sql(?::VARCHAR) AS VARCHAR)", query).Scan(&text); err != nil {
		t.Fatal(err)
	}
	var tree struct {
		Error      bool             `json:"error"`
		Message    string           `json:"error_message"`
		Statements []map[string]any `json:"statements"`
	}
	if err := json.Unmarshal([]byte(text), &tree); err != nil {
		t.Fatal(err)
	}
	if tree.Error || len(tree.Statements) != 1 {
		t.Fatalf("%d statements, error %q: %s", len(tree.Statements), tree.Message, query)
	}
	walk(tree.Statements[0], visit)
}

func walk(v any, visit func(map[string]any)) {
	switch v := v.(type) {
	case map[string]any:
		visit(v)
		for _, child := range v {
			walk(child, visit)
		}
	case []any:
		for _, child := range v {
			walk(child, visit)
		}
	}
}

// TestPrintedSQL reads what is printed of random plans back: one SELECT over the engine's tables, with known functions only, and no
// constant that a quote could have let out.
func TestPrintedSQL(t *testing.T) {
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	p := parser(t)
	check := func(query string) {
		reparsed(t, db, query, func(node map[string]any) {
			if name, is := node["function_name"].(string); is && name != "" && !known[name] {
				t.Errorf("function %q in %s", name, query)
			}
			if name, is := node["table_name"].(string); is && node["type"] == "BASE_TABLE" && !tableName.MatchString(name) {
				t.Errorf("table %q in %s", name, query)
			}
			if node["type"] == "TABLE_FUNCTION" {
				t.Errorf("a table function in %s", query)
			}
		})
	}
	for seed := range soak(60) {
		c := decidetest.Seed(200_000 + seed)
		room := decidetest.NewRoom(c)
		params := render.Params{Tables: printedTables(room), Salt: "it's"}
		for range 4 {
			r := decided(t, p, room, room.Query(c))
			if r == nil {
				continue
			}
			b := &r.Bounded
			check(render.Bounded(b, params))
			for i, s := range b.Sums {
				if s.Kind == plan.SumHistogram {
					check(render.Histogram(b, i, params))
				}
			}
			check(render.Details(b, params))
			check(render.Members(b, -1, params))
		}
	}
}

func printedTables(room *decidetest.Room) render.Tables {
	out := render.Tables{}
	i := 0
	for id, p := range room.Policies {
		i++
		t := render.Table{Name: "data_" + string(rune('0'+i)), Columns: map[string]string{}, Codes: map[string]string{}, Heavy: "heavy_" + string(rune('0'+i))}
		for name := range p.Columns {
			t.Columns[name] = render.Identifier(name)
			t.Codes[name] = render.Identifier(name)
		}
		out[id] = t
	}
	return out
}

// TestNUL: a NUL in a constant neither ends the query nor leaves the constant.
func TestNUL(t *testing.T) {
	e := open(t)
	columns := []plan.Column{{Name: "s", Type: plan.Varchar}, {Name: "u", Type: plan.Bigint}}
	policy := &document.Policy{Unit: document.Unit{Column: "u"}, Columns: map[string]document.Column{"s": {Type: "varchar", Role: "dimension"}, "u": {Type: "varchar", Role: "identifier"}}}
	tables := reference.Tables{"d": {Policy: policy, Rows: [][]any{{"a\x00b", int64(1)}, {"a", int64(2)}, {"a\x00b", int64(3)}}}}
	at := load(t, e, tables)
	cond := &plan.Call{Op: "=", T: plan.Boolean, Args: []plan.Expr{&plan.Col{T: plan.Varchar}, &plan.Const{Value: "a\x00b", T: plan.Varchar}}}
	b := &plan.Bounded{Input: &plan.Filter{Input: &plan.Scan{Dataset: "d", Columns: columns}, Conds: []plan.Expr{cond}}, Unit: 1,
		Sums: []plan.Sum{{Kind: plan.SumUnits, Scale: 1}}, RowsPerGroup: 1, GroupsPerUnit: 1, OneGroup: true}
	if d := compare(e, b, tables, at); d != "" {
		t.Error(d)
	}
}

// TestPrintedConstants prints constants that would end a literal if they could.
func TestPrintedConstants(t *testing.T) {
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	columns := []plan.Column{{Name: "s", Type: plan.Varchar}, {Name: "u", Type: plan.Bigint}}
	for _, evil := range []string{`'`, `''`, `\'`, `'; DROP TABLE data_1; --`, "a\nb", `$$`, `"`, "ä\u2019\u00a0", "' || (SELECT 1) || '"} {
		cond := &plan.Call{Op: "=", T: plan.Boolean, Args: []plan.Expr{&plan.Col{T: plan.Varchar}, &plan.Const{Value: evil, T: plan.Varchar}}}
		b := &plan.Bounded{Input: &plan.Filter{Input: &plan.Scan{Dataset: "d", Columns: columns}, Conds: []plan.Expr{cond}}, Unit: 1,
			Sums: []plan.Sum{{Kind: plan.SumUnits, Scale: 1}}, RowsPerGroup: 1, GroupsPerUnit: 1, OneGroup: true}
		seen := false
		query := render.Bounded(b, render.Params{Tables: render.Tables{"d": {Name: "data_1", Columns: map[string]string{"s": "s", "u": "u"}}}})
		reparsed(t, db, query, func(node map[string]any) {
			if value, is := node["value"].(map[string]any); is && value["value"] == evil {
				seen = true
			}
		})
		if !seen {
			t.Errorf("%q is not read back as itself: %s", evil, query)
		}
	}
}
