package table_test

import (
	"encoding/json"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"concordat.dev/protocol/answer"
	"concordat.dev/protocol/table"
)

func example() answer.Answer {
	return answer.Answer{
		Verdict: answer.Released,
		Columns: []answer.Column{
			{Name: "sex", Type: "varchar", Kind: answer.Key}, {Name: "n", Type: "bigint", Kind: answer.Aggregate},
			{Name: "n_low", Type: "decimal(10,2)", Kind: answer.Derived}, {Name: "day", Type: "date", Kind: answer.Key},
		},
		Rows: [][]any{
			{"f", json.Number("12"), "1.50", "2024-02-29"},
			{nil, json.Number("9007199254740993"), nil, nil},
		},
		Intervals: [][]*answer.Interval{{nil, {10, 14}, {1, 2}, nil}},
	}
}

func TestBatch(t *testing.T) {
	a := example()
	for _, intervals := range []bool{true, false} {
		b, err := table.Batch(a, intervals, table.Metadata(a))
		if err != nil {
			t.Fatal(err)
		}
		want := 4
		if intervals {
			want = 8
		}
		if int(b.NumCols()) != want || b.NumRows() != 2 {
			t.Errorf("%d columns, %d rows", b.NumCols(), b.NumRows())
		}
		names := map[string]bool{}
		for _, f := range b.Schema().Fields() {
			if names[f.Name] {
				t.Errorf("column %s is there twice", f.Name)
			}
			names[f.Name] = true
		}
		if got := b.Column(1).ValueStr(1); got != "9007199254740993" {
			t.Errorf("an integer beyond 2^53 became %s", got)
		}
		if got, _ := b.Schema().Metadata().GetValue("concordat.verdict"); got != "released" {
			t.Errorf("verdict %q in the metadata", got)
		}
		b.Release()
	}
}

func TestValuesThatDoNotFit(t *testing.T) {
	for _, bad := range []struct {
		sqlType string
		value   any
	}{{"bigint", "many"}, {"date", "29.2.2024"}, {"decimal(3,1)", "12345.6"}, {"timestamp", "now"}, {"boolean", "2"}} {
		a := answer.Answer{Columns: []answer.Column{{Name: "c", Type: bad.sqlType, Kind: answer.Key}}, Rows: [][]any{{bad.value}}}
		if b, err := table.Batch(a, true, nil); err == nil {
			t.Errorf("%v as %s became %s", bad.value, bad.sqlType, b.Column(0).ValueStr(0))
		}
	}
	if table.Type("list") != arrow.BinaryTypes.String {
		t.Error("a type without an Arrow type is text")
	}
}
