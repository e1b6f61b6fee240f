package churn_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"concordat.dev/worker/churn"
)

var schema = arrow.NewSchema([]arrow.Field{
	{Name: "id", Type: &arrow.FixedSizeBinaryType{ByteWidth: 16}}, {Name: "n", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
	{Name: "city", Type: arrow.BinaryTypes.String, Nullable: true},
}, nil)

// row is a unit with what it has; a negative number is none.
type row struct {
	unit, n int
	city    string
}

func batch(rows ...row) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for _, r := range rows {
		b.Field(0).(*array.FixedSizeBinaryBuilder).Append(fmt.Appendf(nil, "%016d", r.unit))
		if r.n < 0 {
			b.Field(1).AppendNull()
		} else {
			b.Field(1).(*array.Int64Builder).Append(int64(r.n))
		}
		b.Field(2).(*array.StringBuilder).Append(r.city)
	}
	return b.NewRecordBatch()
}

func TestChanged(t *testing.T) {
	base := []row{{1, 1, "a"}, {1, 2, "b"}, {2, 3, "c"}, {3, -1, "d"}}
	for name, c := range map[string]struct {
		now  []row
		want int
	}{
		"the same":                    {base, 0},
		"in another order":            {[]row{{3, -1, "d"}, {1, 2, "b"}, {2, 3, "c"}, {1, 1, "a"}}, 0},
		"one came":                    {append([]row{{4, 1, "a"}}, base...), 1},
		"one went":                    {base[:3], 1},
		"a value":                     {[]row{{1, 1, "a"}, {1, 2, "b"}, {2, 4, "c"}, {3, -1, "d"}}, 1},
		"a value where none was":      {[]row{{1, 1, "a"}, {1, 2, "b"}, {2, 3, "c"}, {3, 0, "d"}}, 1},
		"a row twice":                 {append([]row{{1, 1, "a"}}, base...), 1},
		"rows of two units exchanged": {[]row{{1, 1, "a"}, {2, 2, "b"}, {1, 3, "c"}, {3, -1, "d"}}, 2},
		"cells of two rows exchanged": {[]row{{1, 1, "b"}, {1, 2, "a"}, {2, 3, "c"}, {3, -1, "d"}}, 1},
		"all other":                   {[]row{{7, 1, "a"}}, 4},
		"none left":                   {nil, 3},
	} {
		compare := churn.New("id", 4)
		for i := range base { // in batches of one
			must(t, compare.Before(batch(base[i])))
		}
		must(t, compare.Write(batch(row{9, 9, "of a first try"})))
		must(t, compare.Reset())
		must(t, compare.Write(batch(c.now...)))
		if got := compare.Changed(); got != c.want {
			t.Errorf("%s: %d units changed, want %d", name, got, c.want)
		}
		if err := compare.Judge(); errors.Is(err, churn.ErrFew) != (c.want > 0 && c.want < 4) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNoUnits(t *testing.T) {
	for _, unit := range []string{"n", "other"} {
		if err := churn.New(unit, 2).Before(batch(row{1, 1, "a"})); !errors.Is(err, churn.ErrColumns) {
			t.Errorf("%s: %v", unit, err)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
