package engine_test

import (
	"context"
	"testing"

	"concordat.dev/policies/decide"
	"concordat.dev/protocol/document"
	"concordat.dev/sql/bind"
	"concordat.dev/sql/plan"
	"concordat.dev/sql/refusal"
	"concordat.dev/sql/render"
	"concordat.dev/worker/engine/reference"
)

// ward is a dataset of 40 units of which two are not urgent and two have the diagnosis rare.
func ward() reference.Tables {
	p := (&document.Policy{APIVersion: document.APIVersion, Kind: "Policy", Dataset: "ward.stays", Owner: "ward", Unit: document.Unit{Column: "id", Namespace: "patient", Unique: true},
		Aggregates: []string{"count", "count_distinct"}, Columns: map[string]document.Column{
			"id": {Type: "varchar", Role: "identifier"}, "diagnosis": {Type: "varchar", Role: "dimension"}, "urgent": {Type: "boolean", Role: "dimension"},
		},
		Release: &document.Release{Mechanism: document.Threshold, MinUnits: 5, GroupsPerUnit: 1, RowsPerGroup: 1}}).WithDefaults()
	t := reference.Table{Policy: p}
	for u := range int64(40) {
		diagnosis := []any{"flu", "cold"}[u%2]
		if u < 2 {
			diagnosis = "rare"
		}
		t.Rows = append(t.Rows, []any{diagnosis, u, u < 38})
	}
	return reference.Tables{p.Dataset: t}
}

// TestIsolation: however a query leaves two units out of a group, the group is marked; where it leaves out many, it is not.
func TestIsolation(t *testing.T) {
	e, parser, tables := open(t), parser(t), ward()
	at := load(t, e, tables)
	policies := map[string]*document.Policy{"ward.stays": tables["ward.stays"].Policy}
	catalog := bind.Catalog{Datasets: map[string][]plan.Column{"ward.stays": {{Name: "diagnosis", Type: plan.Varchar}, {Name: "id", Type: plan.Varchar}, {Name: "urgent", Type: plan.Boolean}}}}
	for text, isolates := range map[string]bool{
		"diagnosis <> 'rare'":                                                                            true,
		"diagnosis <> 'rare' AND diagnosis <> 'cold'":                                                    true,
		"diagnosis NOT IN ('cold', 'rare')":                                                              true,
		"diagnosis IN ('flu', 'rare')":                                                                   true,
		"diagnosis = 'flu' OR diagnosis = 'rare'":                                                        true,
		"diagnosis IN ('flu', 'cold') AND diagnosis <> 'rare'":                                           true, // one stands for the other
		"left(diagnosis, 1) <> 'r' AND NOT diagnosis LIKE 'rare%'":                                       true,
		"CASE WHEN diagnosis = 'rare' THEN false WHEN left(diagnosis, 1) = 'r' THEN false ELSE true END": true,
		"urgent":                                    true,
		"urgent AND diagnosis = 'flu'":              true,
		"NOT urgent OR diagnosis = 'flu'":           true,
		"coalesce(urgent, false)":                   true,
		"CASE WHEN urgent THEN true ELSE false END": true,
		"CAST(CAST(urgent AS INTEGER) AS BOOLEAN)":  true,
		"urgent = true":                             true,
		"diagnosis = 'flu'":                         false,
		"diagnosis IN ('flu', 'none')":              false,
		"diagnosis <> 'none'":                       false,
	} {
		tree, refused, err := parser.Parse(context.Background(), "SELECT count(*) FROM ward.stays WHERE "+text)
		if err != nil {
			t.Fatal(err)
		}
		d := decide.Decide(decide.Request{Plan: bind.Bind(tree, catalog, refused), Policies: policies}, refused)
		if d.Release == nil {
			t.Fatalf("%s: %v", text, codesOf(d.Refusals))
		}
		r := d.Release
		groups, err := e.Groups(context.Background(), &r.Bounded, r.Exempt, render.Params{Tables: at, Salt: salt}, r.Spec.MinUnits)
		if err != nil {
			t.Fatal(cause(err))
		}
		if len(groups) != 1 || groups[0].Isolated != isolates {
			t.Errorf("%s: isolated %v, want %v", text, groups[0].Isolated, isolates)
		}
	}
}

func codesOf(list []refusal.Refusal) (out []string) {
	for _, r := range list {
		out = append(out, string(r.Code)+": "+r.Message)
	}
	return out
}
