package ingest_test

import (
	"math"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"concordat.dev/protocol/document"
	"concordat.dev/worker/ingest"
)

// TestYears: days and moments outside the years 1 to 9999, which texts can't say, are bad in typed files as well. The engine fails on some of them, and
// a failure would tell whom a query met.
func TestYears(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.BinaryTypes.String}, {Name: "day", Type: arrow.FixedWidthTypes.Date32}, {Name: "at", Type: &arrow.TimestampType{Unit: arrow.Microsecond}}}, nil)
	const day = 86_400_000_000
	days := []arrow.Date32{-719_162, 2_932_896, -719_163, 2_932_897, math.MaxInt32, 0, 0, 0, 0}
	times := []arrow.Timestamp{-719_162 * day, 2_932_897*day - 1, 0, 0, 0, -719_162*day - 1, 2_932_897 * day, math.MaxInt64, math.MinInt64}
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for i := range days {
		b.Field(0).(*array.StringBuilder).Append(string(rune('a' + i)))
	}
	b.Field(1).(*array.Date32Builder).AppendValues(days, nil)
	b.Field(2).(*array.TimestampBuilder).AppendValues(times, nil)
	batch := b.NewRecordBatch()
	defer batch.Release()
	o := options(t, policy(false, map[string]document.Column{"day": {Type: "date", Role: "time"}, "at": {Type: "timestamp", Role: "time"}}))
	o.Tolerance = int64(len(days))
	c, _, err := ingest.All(t.Context(), o, anywhere(arrowStream(t, batch)))
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.Reader()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Release()
	rows := int64(0)
	for r.Next() {
		rows += r.RecordBatch().NumRows()
	}
	if rows != 2 {
		t.Errorf("%d rows are kept, want the first two", rows)
	}
}
