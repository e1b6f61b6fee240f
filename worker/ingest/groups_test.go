package ingest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"concordat.dev/protocol/document"
	"concordat.dev/worker/ingest"
)

// numbered writes row groups of different sizes, whose rows count on from one to the next.
func numbered(t *testing.T, sizes ...int) []byte {
	t.Helper()
	schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.BinaryTypes.String}, {Name: "n", Type: arrow.PrimitiveTypes.Int32}}, nil)
	var out bytes.Buffer
	w, err := pqarrow.NewFileWriter(schema, &out, parquet.NewWriterProperties(parquet.WithDictionaryDefault(false)), pqarrow.DefaultWriterProps())
	if err != nil {
		t.Fatal(err)
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	n := 0
	for _, size := range sizes {
		for range size {
			b.Field(0).(*array.StringBuilder).Append(fmt.Sprintf("u%d", n))
			b.Field(1).(*array.Int32Builder).Append(int32(n))
			n++
		}
		batch := b.NewRecordBatch()
		if err := w.Write(batch); err != nil {
			t.Fatal(err)
		}
		batch.Release()
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func numbers() document.Policy {
	return policy(true, map[string]document.Column{"n": {Type: "integer", Role: "measure"}})
}

// Row groups that are decoded at once come in the file's order all the same.
func TestRowGroupsInOrder(t *testing.T) {
	file := numbered(t, 5, 70_000, 1, 3, 40_000, 2, 7)
	for _, parallel := range []int{1, 2, 8} {
		o := options(t, numbers())
		o.Parallel = parallel
		c, report, err := ingest.All(t.Context(), o, anywhere(file))
		if err != nil || report.Rows != 110_018 {
			t.Fatalf("%d at once: %+v %v", parallel, report, err)
		}
		r, err := c.Reader()
		if err != nil {
			t.Fatal(err)
		}
		next := int32(0)
		for r.Next() {
			for _, v := range r.RecordBatch().Column(1).(*array.Int32).Int32Values() {
				if v != next {
					t.Fatalf("%d at once: %d stands in the place of %d", parallel, v, next)
				}
				next++
			}
		}
		r.Release()
	}
}

// Damage in a later group is an error, after which nothing runs on; so is an end from outside.
func TestRowGroupsThatFail(t *testing.T) {
	file := numbered(t, 1000, 1000, 1000, 1000)
	at := bytes.Index(file, []byte("u2500"))
	if at < 0 {
		t.Fatal("the file holds no plain text")
	}
	bent := bytes.Clone(file)
	for i := range 2000 { // lengths of texts among it
		bent[at+i] = 0xff
	}
	o := options(t, numbers())
	o.Parallel = 4
	if _, _, err := ingest.All(t.Context(), o, anywhere(bent)); !errors.Is(err, ingest.ErrFormat) {
		t.Errorf("a damaged group: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	c, err := ingest.NewCollect(o.Policy)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ingest.File(ctx, o, anywhere(numbered(t, 40_000, 40_000, 40_000, 40_000, 40_000)), &ending{c, cancel}); !errors.Is(err, context.Canceled) {
		t.Errorf("ended from outside: %v", err)
	}
	_ = c.Reset() // never fails
}

// ending ends the reading with the first batch.
type ending struct {
	ingest.Sink
	end func()
}

func (e *ending) Write(b arrow.RecordBatch) error {
	e.end()
	return e.Sink.Write(b)
}
