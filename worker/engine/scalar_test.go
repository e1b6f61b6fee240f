package engine_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"concordat.dev/protocol/document"
	"concordat.dev/sql/plan"
	"concordat.dev/worker/engine/reference"
)

// everything is a table of values at the edges of every type, one row a unit.
func everything() (reference.Table, []plan.Column) {
	policy := &document.Policy{Dataset: "x.edges", Unit: document.Unit{Column: "unit", Namespace: "n", Unique: true}, Columns: map[string]document.Column{
		"unit": {Type: "varchar", Role: "identifier"}, "b": {Type: "boolean", Role: "dimension"}, "d": {Type: "double", Role: "dimension"},
		"day": {Type: "date", Role: "dimension"}, "i": {Type: "integer", Role: "dimension"}, "l": {Type: "bigint", Role: "dimension"},
		"m": {Type: "double", Role: "dimension"}, "other": {Type: "timestamp", Role: "dimension"}, "s": {Type: "varchar", Role: "dimension"},
		"time": {Type: "timestamp", Role: "dimension"}, "z": {Type: "varchar", Role: "dimension"},
	}}
	columns := []plan.Column{{Name: "b", Type: plan.Boolean}, {Name: "d", Type: plan.Double}, {Name: "day", Type: plan.Date}, {Name: "i", Type: plan.Integer},
		{Name: "l", Type: plan.Bigint}, {Name: "m", Type: plan.Double}, {Name: "other", Type: plan.Timestamp}, {Name: "s", Type: plan.Varchar},
		{Name: "time", Type: plan.Timestamp}, {Name: "unit", Type: plan.Bigint}, {Name: "z", Type: plan.Varchar}}
	r := rand.New(rand.NewPCG(1, 2))
	doubles := []any{nil, 0.0, math.Copysign(0, -1), 0.5, -0.5, 1.5, 2.5, -2.5, 0.1, 1e15, 123456.789, 1e22, -1e300, 1e300, 4.35, 1e-7, 2147483647.5, 9.3e18, 100.0}
	texts := []any{nil, "", "a", " a ", "Ab", "äÖ", "7", " 12 ", "-3", "1.5", "1e3", "true", "no", "2024-02-29", "2024-02-29 13:45:10", "x'y", "aX", "99999999999", "\\N", "ß"}
	ints := []any{nil, int64(0), int64(1), int64(-1), int64(7), int64(math.MaxInt32), int64(math.MinInt32), int64(42)}
	longs := []any{nil, int64(0), int64(3), int64(-10), int64(math.MaxInt64), int64(math.MinInt64), int64(1) << 53, int64(1)<<62 + 1}
	times := []any{nil, at("2024-02-29 13:45:10"), at("2023-12-31 23:59:59"), at("2024-01-01 00:00:00"), at("1969-12-31 23:00:01"), at("2020-08-30 05:06:07"), at("1900-03-01 00:00:00"), at("2024-03-31 00:00:00")}
	days := []any{nil, at("2024-02-29 00:00:00"), at("2023-12-31 00:00:00"), at("1960-01-03 00:00:00"), at("2024-01-31 00:00:00")}
	pick := func(list []any) any { return list[r.IntN(len(list))] }
	table := reference.Table{Policy: policy}
	for u := range 120 {
		table.Rows = append(table.Rows, []any{pick([]any{nil, true, false}), pick(doubles), pick(days), pick(ints), pick(longs), pick(doubles), pick(times), pick(texts), pick(times), int64(u), pick(texts)})
	}
	return table, columns
}

func at(s string) time.Time {
	t, err := time.Parse("2006-01-02 15:04:05", s)
	if err != nil {
		panic(err)
	}
	return t.UTC()
}

// TestScalars compares random expressions over values at the edges with their evaluation in Go: both must say the same of every row.
func TestScalars(t *testing.T) {
	table, columns := everything()
	tables := reference.Tables{"x.edges": table}
	e := open(t)
	at := load(t, e, tables)
	r := rand.New(rand.NewPCG(3, 4))
	for i := range 3000 {
		types := []plan.Type{plan.Boolean, plan.Bigint, plan.Double, plan.Varchar, plan.Timestamp}
		key := randomExpr(r, columns, types[r.IntN(len(types))], 3)
		b := &plan.Bounded{Input: &plan.Scan{Dataset: "x.edges", Columns: columns}, Unit: 9, Keys: []plan.Expr{key, &plan.Col{Index: 9, T: plan.Bigint}}, KeepNull: []bool{true, true},
			Sums: []plan.Sum{{Kind: plan.SumUnits, Scale: 1}}, RowsPerGroup: 1, GroupsPerUnit: 1, OneRow: true, OneGroup: true}
		if d := compare(e, b, tables, at); d != "" {
			t.Fatalf("expression %d: %s\n%s", i, plan.Fingerprint(key), d)
		}
	}
}

func randomExpr(r *rand.Rand, columns []plan.Column, t plan.Type, depth int) plan.Expr {
	sub := func(t plan.Type) plan.Expr { return randomExpr(r, columns, t, depth-1) }
	call := func(op string, args ...plan.Expr) plan.Expr { return &plan.Call{Op: op, Args: args, T: t} }
	one := func(list ...string) string { return list[r.IntN(len(list))] }
	text := func(s string) plan.Expr { return &plan.Const{Value: s, T: plan.Varchar} }
	if depth == 0 || r.IntN(5) == 0 {
		return leafOf(r, columns, t)
	}
	if r.IntN(6) == 0 {
		return &plan.Case{Whens: []plan.When{{Cond: sub(plan.Boolean), Then: sub(t)}}, Else: sub(t), T: t}
	}
	if r.IntN(8) == 0 {
		return call("coalesce", sub(t), sub(t))
	}
	switch t {
	case plan.Boolean:
		of := []plan.Type{plan.Bigint, plan.Double, plan.Varchar, plan.Timestamp}[r.IntN(4)]
		switch r.IntN(6) {
		case 0:
			return call(one("and", "or"), sub(t), sub(t))
		case 1:
			return call("not", sub(t))
		case 2:
			return call("is_null", sub(of))
		case 3:
			return call("like", sub(plan.Varchar), text(one("a", "", "1", "A")))
		case 4:
			return call("in", sub(of), leafConst(r, of), leafConst(r, of))
		}
		return call(one("=", "<>", "<", "<=", ">", ">="), sub(of), sub(of))
	case plan.Bigint:
		switch r.IntN(6) {
		case 0:
			return call("date_part", text(one("year", "quarter", "month", "week", "day", "dow", "isodow", "hour", "minute", "second")), sub(plan.Timestamp))
		case 1:
			return call("date_diff", text(one("year", "quarter", "month", "week", "day", "hour", "minute", "second")), sub(plan.Timestamp), sub(plan.Timestamp))
		case 2:
			return call(one("least", "greatest"), sub(t), sub(t))
		case 3:
			return call(one("neg", "abs"), sub(t))
		case 4:
			return &plan.Cast{Arg: sub([]plan.Type{plan.Double, plan.Varchar, plan.Boolean}[r.IntN(3)]), T: t}
		}
		return call(one("+", "-", "*"), sub(t), sub(t))
	case plan.Double:
		switch r.IntN(6) {
		case 0:
			return call(one("neg", "abs", "floor", "ceil", "round"), sub(t))
		case 1:
			return call("round", sub(t), &plan.Const{Value: int64(r.IntN(5)), T: plan.Integer})
		case 2:
			return &plan.Cast{Arg: sub([]plan.Type{plan.Bigint, plan.Varchar}[r.IntN(2)]), T: t}
		case 3:
			return call(one("least", "greatest"), sub(t), sub(t))
		case 4:
			return call("clamp", sub(t), &plan.Const{Value: -2.5, T: t}, &plan.Const{Value: 1e3, T: t})
		}
		return call(one("+", "-", "*", "/"), sub([]plan.Type{t, plan.Bigint}[r.IntN(2)]), sub(t))
	case plan.Varchar:
		switch r.IntN(3) {
		case 0:
			return call("left", sub(t), &plan.Const{Value: int64(r.IntN(3)), T: plan.Integer})
		case 1:
			return &plan.Cast{Arg: sub([]plan.Type{plan.Bigint, plan.Boolean, plan.Double}[r.IntN(3)]), T: t}
		}
		return call(one("lower", "upper", "trim"), sub(t))
	}
	switch r.IntN(3) {
	case 0:
		return call("date_trunc", text(one("year", "quarter", "month", "week", "day", "hour", "minute", "second")), sub(t))
	case 1:
		return call("+", sub(t), &plan.Step{Count: int64(r.IntN(800) - 400), Unit: one("year", "month", "week", "day", "hour", "minute", "second")})
	}
	return &plan.Cast{Arg: sub(plan.Varchar), T: t}
}

func leafOf(r *rand.Rand, columns []plan.Column, t plan.Type) plan.Expr {
	if r.IntN(4) == 0 {
		return leafConst(r, t)
	}
	var fit []plan.Expr
	for i, c := range columns {
		if c.Type == t || t == plan.Bigint && c.Type == plan.Integer {
			fit = append(fit, &plan.Col{Index: i, Name: c.Name, T: c.Type})
		}
		if t == plan.Timestamp && c.Type == plan.Date {
			fit = append(fit, &plan.Cast{Arg: &plan.Col{Index: i, Name: c.Name, T: c.Type}, T: t})
		}
	}
	return fit[r.IntN(len(fit))]
}

func leafConst(r *rand.Rand, t plan.Type) plan.Expr {
	values := map[plan.Type][]any{
		plan.Boolean: {nil, true, false}, plan.Bigint: {nil, int64(0), int64(2), int64(-5), int64(math.MaxInt64)}, plan.Double: {nil, 0.5, -1.25, 1e6, 0.0},
		plan.Varchar: {nil, "", "a", "x'y", "12"}, plan.Timestamp: {nil, at("2024-01-01 00:00:00"), at("1999-07-08 09:10:11")},
	}[t]
	return &plan.Const{Value: values[r.IntN(len(values))], T: t}
}
