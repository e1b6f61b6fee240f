package engine_test

import (
	"context"
	"math"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"concordat.dev/protocol/document"
	"concordat.dev/sql/plan"
	"concordat.dev/sql/render"
)

// ends are times and texts at the ends of what the engine's types hold, two rows a unit.
func ends(t *testing.T) (*document.Policy, array.RecordReader) {
	t.Helper()
	p := &document.Policy{Dataset: "x.ends", Unit: document.Unit{Column: "unit", Namespace: "n"}, Columns: map[string]document.Column{
		"day": {Type: "date", Role: "time", Grain: "month"}, "fine": {Type: "date", Role: "time", Grain: "day"}, "text": {Type: "varchar", Role: "dimension"},
		"time": {Type: "timestamp", Role: "time", Grain: "week"}, "unit": {Type: "varchar", Role: "identifier"}}}
	schema := arrow.NewSchema([]arrow.Field{{Name: "day", Type: arrow.FixedWidthTypes.Date32}, {Name: "fine", Type: arrow.FixedWidthTypes.Date32}, {Name: "text", Type: arrow.BinaryTypes.String},
		{Name: "time", Type: &arrow.TimestampType{Unit: arrow.Microsecond}}, {Name: "unit", Type: arrow.PrimitiveTypes.Int64}}, nil)
	days := []int32{math.MaxInt32, math.MaxInt32 - 1, math.MinInt32, math.MinInt32 + 1, 2_000_000_000, -2_000_000_000, 106_751_991, 106_751_992, -106_751_991, 2_932_896, 2_932_897, -719_162, 0}
	times := []int64{math.MaxInt64, math.MaxInt64 - 1, math.MinInt64, math.MinInt64 + 1, math.MinInt64 + 2, 9_223_372_022_400_000_000, -9_223_372_022_400_000_000, 0}
	texts := []string{"infinity", "-infinity", "290000-12-31", "294247-01-10 04:00:54", "5881580-07-10", "290308-12-22 (BC)", "5877642-06-25 (BC)", "0001-01-01", "9999-12-31 23:59:59", "2024-01-01"}
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for i := range 40 {
		b.Field(0).(*array.Date32Builder).Append(arrow.Date32(days[i%len(days)]))
		b.Field(1).(*array.Date32Builder).Append(arrow.Date32(days[i%len(days)]))
		b.Field(2).(*array.StringBuilder).Append(texts[i%len(texts)])
		b.Field(3).(*array.TimestampBuilder).Append(arrow.Timestamp(times[i%len(times)]))
		b.Field(4).(*array.Int64Builder).Append(int64(i / 2))
	}
	batch := b.NewRecordBatch()
	defer batch.Release()
	reader, err := array.NewRecordReader(schema, []arrow.RecordBatch{batch})
	if err != nil {
		t.Fatal(err)
	}
	return p, reader
}

// TestNoTimeFailsAQuery: a failure that one row can cause would tell whether the row is there. Neither what an owner uploads nor an
// interval of the query leads to one.
func TestNoTimeFailsAQuery(t *testing.T) {
	e := open(t)
	policy, reader := ends(t)
	defer reader.Release()
	if err := e.Load(context.Background(), "x.ends", policy, reader); err != nil {
		t.Fatal(cause(err))
	}
	at, err := e.Tables(map[string]string{"x.ends": "x.ends"})
	if err != nil {
		t.Fatal(err)
	}
	scan := &plan.Scan{Dataset: "x.ends", Columns: []plan.Column{{Name: "day", Type: plan.Date}, {Name: "fine", Type: plan.Date}, {Name: "text", Type: plan.Varchar}, {Name: "time", Type: plan.Timestamp}, {Name: "unit", Type: plan.Bigint}}}
	run := func(keys []plan.Expr) error {
		b := &plan.Bounded{Input: scan, Unit: 4, Keys: keys, KeepNull: make([]bool, len(keys)), Sums: []plan.Sum{{Kind: plan.SumUnits, Scale: 1}}, RowsPerGroup: 1, GroupsPerUnit: 1}
		for i := range b.KeepNull {
			b.KeepNull[i] = true
		}
		_, err := e.Groups(context.Background(), b, nil, render.Params{Tables: at, Salt: salt}, 0)
		return cause(err)
	}
	for keys := range slices.Chunk(calendar(), 40) {
		if run(keys) == nil {
			continue
		}
		for _, k := range keys {
			if err := run([]plan.Expr{k}); err != nil {
				t.Errorf("%s: %v", plan.Fingerprint(k), err)
			}
		}
	}
}

// calendar are expressions over the columns of ends: all that the language computes with times, of all the ways to get one.
func calendar() []plan.Expr {
	call := func(op string, t plan.Type, args ...plan.Expr) plan.Expr { return &plan.Call{Op: op, Args: args, T: t} }
	col := func(i int, t plan.Type) plan.Expr { return &plan.Col{Index: i, T: t} }
	shift := func(e plan.Expr, n int64, unit string) plan.Expr {
		return call("+", plan.Timestamp, e, &plan.Step{Count: n, Unit: unit})
	}
	sources := []plan.Expr{col(0, plan.Date), col(1, plan.Date), col(3, plan.Timestamp), &plan.Cast{Arg: col(2, plan.Varchar), T: plan.Date}, &plan.Cast{Arg: col(2, plan.Varchar), T: plan.Timestamp}}
	for _, s := range sources[:5] {
		sources = append(sources, shift(s, 2_147_483_647, "day"), shift(shift(s, 292_000, "year"), 2246, "year"), shift(shift(s, -292_277, "year"), -15, "year"),
			&plan.Cast{Arg: s, T: plan.Timestamp}, &plan.Cast{Arg: shift(s, 200_000, "year"), T: plan.Date})
	}
	var out []plan.Expr
	for _, x := range sources {
		constant := &plan.Const{Value: at("2024-01-01 00:00:00"), T: x.Type()}
		out = append(out, x, call("<", plan.Boolean, x, constant), call("greatest", plan.Timestamp, x, col(3, plan.Timestamp)), &plan.Cast{Arg: x, T: plan.Varchar},
			&plan.Case{Whens: []plan.When{{Cond: call("is_null", plan.Boolean, x), Then: col(3, plan.Timestamp)}}, Else: x, T: plan.Timestamp})
		for _, unit := range []string{"year", "quarter", "month", "week", "day", "hour", "minute", "second", "dow", "isodow"} {
			u := &plan.Const{Value: unit, T: plan.Varchar}
			out = append(out, call("date_part", plan.Bigint, u, x))
			if unit != "dow" && unit != "isodow" {
				out = append(out, call("date_trunc", x.Type(), u, x), call("date_diff", plan.Bigint, u, constant, x),
					call("date_trunc", plan.Timestamp, u, shift(call("date_trunc", x.Type(), u, x), -5, unit)))
			}
		}
	}
	return out
}
