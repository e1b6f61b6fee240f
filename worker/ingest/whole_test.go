package ingest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"concordat.dev/protocol/document"
	"concordat.dev/protocol/upload"
	"concordat.dev/worker/token"
)

// drawn are columns of a file and what a policy says of them: values that are plain, and with a low chance NULL, empty, outside, not finite, not a date or no text.
var drawn = []struct {
	name   string
	column document.Column
	typ    arrow.DataType
	draw   func(b array.Builder, r *rand.Rand, odd bool)
}{
	{"a", document.Column{Type: "integer", Role: "measure", Bounds: &[2]float64{-5, 5}}, arrow.PrimitiveTypes.Int32, func(b array.Builder, r *rand.Rand, _ bool) {
		b.(*array.Int32Builder).Append(int32(r.IntN(14) - 7))
	}},
	{"b", document.Column{Type: "bigint", Role: "measure"}, arrow.PrimitiveTypes.Int64, func(b array.Builder, r *rand.Rand, _ bool) { b.(*array.Int64Builder).Append(r.Int64()) }},
	{"c", document.Column{Type: "double", Role: "measure", Bounds: &[2]float64{0, 1}}, arrow.PrimitiveTypes.Float64, func(b array.Builder, r *rand.Rand, odd bool) {
		v := r.Float64() * 1.1
		if odd {
			v = []float64{math.NaN(), math.Inf(1), math.Inf(-1)}[r.IntN(3)]
		}
		b.(*array.Float64Builder).Append(v)
	}},
	{"d", document.Column{Type: "date", Role: "time"}, arrow.FixedWidthTypes.Date32, func(b array.Builder, r *rand.Rand, odd bool) {
		v := r.Int32N(20_000)
		if odd {
			v = math.MaxInt32
		}
		b.(*array.Date32Builder).Append(arrow.Date32(v))
	}},
	{"e", document.Column{Type: "timestamp", Role: "time"}, &arrow.TimestampType{Unit: arrow.Microsecond}, func(b array.Builder, r *rand.Rand, odd bool) {
		v := r.Int64N(1e15)
		if odd {
			v = math.MinInt64
		}
		b.(*array.TimestampBuilder).Append(arrow.Timestamp(v))
	}},
	{"f", document.Column{Type: "varchar", Role: "dimension"}, arrow.BinaryTypes.String, func(b array.Builder, r *rand.Rand, odd bool) {
		v := []string{"x", "äöü", "a longer text than the others", "日本"}[r.IntN(4)]
		if odd {
			v = []string{"", "\xff", "\xc3", "\xa4"}[r.IntN(4)] // the last two are one character when they follow one another
		}
		b.(*array.StringBuilder).Append(v)
	}},
	{"g", document.Column{Type: "varchar", Role: "dimension", Domain: &document.Domain{Values: []any{"x", "y"}}}, arrow.BinaryTypes.String, func(b array.Builder, r *rand.Rand, _ bool) {
		b.(*array.StringBuilder).Append([]string{"x", "y", "z"}[r.IntN(3)])
	}},
	{"h", document.Column{Type: "decimal", Role: "measure"}, arrow.PrimitiveTypes.Float64, func(b array.Builder, r *rand.Rand, _ bool) { b.(*array.Float64Builder).Append(r.NormFloat64()) }},
}

// TestWholeColumnsAreTheRows compares reading a batch column by column with reading it row by row.
func TestWholeColumnsAreTheRows(t *testing.T) {
	columns := map[string]document.Column{"id": {Type: "varchar", Role: "identifier"}}
	fields := []arrow.Field{{Name: "id", Type: arrow.BinaryTypes.String, Nullable: true}}
	for _, d := range drawn {
		columns[d.name] = d.column
		fields = append(fields, arrow.Field{Name: d.name, Type: d.typ, Nullable: true})
	}
	s, err := newShape(document.Policy{Dataset: "o.d", Owner: "o", Unit: document.Unit{Column: "id", Namespace: "n"}, Columns: columns})
	if err != nil {
		t.Fatal(err)
	}
	tokenizer, err := token.New(make([]byte, 32), "c", "n", document.Namespace{})
	if err != nil {
		t.Fatal(err)
	}
	targets := []int{s.unit}
	for _, d := range drawn {
		for i, name := range s.names {
			if name == d.name {
				targets = append(targets, i)
			}
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	byColumn := 0
	for trial := range 400 {
		odd, null := []float64{0, 0, 0.01}[trial%3], []float64{0, 0.1}[trial%2]
		batch := draw(arrow.NewSchema(fields, nil), r, r.IntN(60), odd, null)
		if from := int64(r.IntN(3)); from <= batch.NumRows() { // arrays that begin within their buffers
			batch = batch.NewSlice(from, batch.NumRows())
		}
		p := &parser{shape: s, reading: readingOf(upload.Dialect{}), tokenizer: tokenizer, show: true}
		got := p.batch(batch, targets)
		want := rowByRow(t, &parser{shape: s, reading: p.reading, tokenizer: tokenizer, show: true}, batch, targets)
		if len(got.errors) == 0 && batch.NumRows() > 0 {
			byColumn++
		}
		if got.err != nil || got.read != want.read || got.dropped != want.dropped || !reflect.DeepEqual(got.errors, want.errors) || !reflect.DeepEqual(got.kinds, want.kinds) ||
			!reflect.DeepEqual(got.counts, want.counts) || fmt.Sprint(got.sources) != fmt.Sprint(want.sources) {
			t.Fatalf("trial %d: %v\n%+v\n%+v", trial, got.err, got, want)
		}
		if a, b := got.batch(s), want.batch(s); !array.RecordEqual(a, b) {
			t.Fatalf("trial %d:\n%v\n%v", trial, a, b)
		}
	}
	if byColumn < 100 {
		t.Errorf("only %d batches had no bad row", byColumn)
	}
}

// Each text has to be text by itself, not only with its neighbours.
func TestHalfCharactersSideBySide(t *testing.T) {
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	b.AppendValues([]string{"a\xc3", "\xa4b"}, nil)
	texts := newColumn("varchar", &check{}, 0, reading{})
	if all := whole("varchar", b.NewArray()); all(texts, &ColumnReport{}) {
		t.Error("two halves of a character were taken for texts")
	}
}

func draw(schema *arrow.Schema, r *rand.Rand, rows int, odd, null float64) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for range rows {
		if r.Float64() < odd {
			b.Field(0).AppendNull()
		} else {
			b.Field(0).(*array.StringBuilder).Append(fmt.Sprint(r.IntN(20)))
		}
		for i, d := range drawn {
			if r.Float64() < null {
				b.Field(i + 1).AppendNull()
			} else {
				d.draw(b.Field(i+1), r, r.Float64() < odd)
			}
		}
	}
	return b.NewRecordBatch()
}

func rowByRow(t *testing.T, p *parser, batch arrow.RecordBatch, targets []int) *block {
	t.Helper()
	b := p.block()
	feeders := make([]feeder, len(p.shape.names))
	for i, target := range targets {
		f, err := newFeeder(p.shape.types[target], batch.Column(i))
		if err != nil {
			t.Fatal(err)
		}
		feeders[target] = f
	}
	for row := range int(batch.NumRows()) {
		b.read++
		p.record(b, feeders, row)
	}
	return b
}
