package engine_test

import (
	"bytes"
	"context"
	"testing"

	"concordat.dev/protocol/document"
	"concordat.dev/sql/plan"
	"concordat.dev/sql/render"
	"concordat.dev/worker/engine/reference"
)

// TestSetsDiffer: groups of the same two units in which both have one row, or both two, have one set of units and different sets of rows.
// Were those equal, both would have the same noise, and the difference of two releases would be exact.
func TestSetsDiffer(t *testing.T) {
	e := open(t)
	p := (&document.Policy{Dataset: "x.rows", Unit: document.Unit{Column: "unit", Namespace: "n"}, Columns: map[string]document.Column{
		"key": {Type: "varchar", Role: "dimension"}, "unit": {Type: "varchar", Role: "identifier"}}}).WithDefaults()
	table := reference.Table{Policy: p}
	for _, u := range []int64{17, 4711} {
		table.Rows = append(table.Rows, []any{"one", u}, []any{"two", u}, []any{"two", u})
	}
	at := load(t, e, reference.Tables{"x.rows": table})
	scan := &plan.Scan{Dataset: "x.rows", Columns: []plan.Column{{Name: "key", Type: plan.Varchar}, {Name: "unit", Type: plan.Bigint}}}
	b := &plan.Bounded{Input: scan, Unit: 1, Keys: []plan.Expr{&plan.Col{Index: 0, T: plan.Varchar}}, KeepNull: []bool{false},
		Sums: []plan.Sum{{Kind: plan.SumUnits, Scale: 1}, {Kind: plan.SumCount, Scale: 1}}, RowsPerGroup: 5, GroupsPerUnit: 2, Threshold: true}
	groups, err := e.Groups(context.Background(), b, nil, render.Params{Tables: at, Salt: salt}, 0)
	if err != nil || len(groups) != 2 {
		t.Fatal(cause(err), len(groups))
	}
	one, two := groups[0], groups[1]
	if one.UnitSets[0] != two.UnitSets[0] {
		t.Error("the same units have different sets")
	}
	if one.RowSets[1] == two.RowSets[1] {
		t.Error("different rows of the same units have one set")
	}
	if set := one.UnitSets[0]; bytes.Equal(set[:8], set[8:]) {
		t.Error("the halves of a set are one")
	}
}
