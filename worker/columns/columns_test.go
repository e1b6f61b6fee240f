package columns_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"concordat.dev/worker/columns"
)

var schema = arrow.NewSchema([]arrow.Field{
	{Name: "n", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
	{Name: "text", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "token", Type: &arrow.FixedSizeBinaryType{ByteWidth: 16}},
	{Name: "some", Type: &arrow.FixedSizeBinaryType{ByteWidth: 3}, Nullable: true},
	{Name: "bytes", Type: arrow.BinaryTypes.Binary},
	{Name: "flag", Type: arrow.FixedWidthTypes.Boolean, Nullable: true},
	{Name: "list", Type: arrow.ListOf(arrow.BinaryTypes.String), Nullable: true},
}, nil)

// flat are the leaves that aren't part of a list.
var flat = []int{0, 1, 2, 3, 4, 5}

func draw(r *rand.Rand, rows int, null float64) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for range rows {
		for i, f := range schema.Fields() {
			if f.Nullable && r.Float64() < null {
				b.Field(i).AppendNull()
				continue
			}
			switch b := b.Field(i).(type) {
			case *array.Int64Builder:
				b.Append(r.Int64())
			case *array.StringBuilder:
				b.Append(strings.Repeat("é", r.IntN(40)))
			case *array.FixedSizeBinaryBuilder:
				v := make([]byte, f.Type.(*arrow.FixedSizeBinaryType).ByteWidth)
				v[0], v[2] = byte(r.Int()), byte(r.Int())
				b.Append(v)
			case *array.BinaryBuilder:
				b.Append([]byte{byte(r.IntN(3))})
			case *array.BooleanBuilder:
				b.Append(r.IntN(2) == 0)
			case *array.ListBuilder:
				b.Append(true)
				b.ValueBuilder().(*array.StringBuilder).Append("x")
			}
		}
	}
	return b.NewRecordBatch()
}

func written(t *testing.T, batch arrow.RecordBatch, group int64, options ...parquet.WriterProperty) *file.Reader {
	t.Helper()
	var out bytes.Buffer
	table := array.NewTableFromRecords(schema, []arrow.RecordBatch{batch})
	defer table.Release()
	if err := pqarrow.WriteTable(table, &out, group, parquet.NewWriterProperties(options...), pqarrow.DefaultWriterProps()); err != nil {
		t.Fatal(err)
	}
	f, err := file.NewParquetReader(bytes.NewReader(out.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// rows reads all row groups, a batch of at most so many rows at a time.
func rows(t *testing.T, f *file.Reader, leaves []int, size int64, from memory.Allocator) (out []arrow.RecordBatch) {
	t.Helper()
	for group := range f.NumRowGroups() {
		r, err := columns.Open(t.Context(), f, group, leaves, size, from)
		if err != nil {
			t.Fatal(err)
		}
		for {
			batch, err := r.Next()
			if err != nil {
				t.Fatal(err)
			}
			if batch == nil {
				break
			}
			out = append(out, batch)
		}
		r.Release()
	}
	return out
}

// TestWhatWasWritten reads files of all encodings that arrow-go writes, with and without NULL, in batches that end within pages and beyond them.
func TestWhatWasWritten(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for name, options := range map[string][]parquet.WriterProperty{
		"plain":             {parquet.WithDictionaryDefault(false), parquet.WithDataPageVersion(parquet.DataPageV1)},
		"dictionaries":      {parquet.WithCompression(compress.Codecs.Snappy)},
		"full dictionaries": {parquet.WithDictionaryPageSizeLimit(500), parquet.WithBatchSize(50)},
		"pages":             {parquet.WithDataPageSize(700), parquet.WithBatchSize(20), parquet.WithDataPageVersion(parquet.DataPageV2), parquet.WithCompression(compress.Codecs.Zstd)},
		"delta":             {parquet.WithDictionaryDefault(false), parquet.WithEncodingFor("text", parquet.Encodings.DeltaByteArray), parquet.WithEncodingFor("bytes", parquet.Encodings.DeltaLengthByteArray)},
	} {
		for _, null := range []float64{0, 0.01, 0.5, 1} {
			batch := draw(r, 3000, null)
			f := written(t, batch, 1700, options...)
			for _, size := range []int64{7, 1024, 1 << 16} {
				checked := memory.NewCheckedAllocator(memory.DefaultAllocator)
				at := int64(0)
				for _, got := range rows(t, f, flat, size, checked) {
					for i := range flat {
						want := array.NewSlice(batch.Column(i), at, at+got.NumRows())
						if !array.Equal(got.Column(i), want) {
							t.Fatalf("%s, %v NULL, %d rows at once: %s from row %d:\n%v\n%v", name, null, size, schema.Field(i).Name, at, got.Column(i), want)
						}
					}
					at += got.NumRows()
					got.Release()
				}
				if at != 3000 {
					t.Errorf("%s: %d rows", name, at)
				}
				checked.AssertSize(t, 0)
			}
		}
	}
}

// Texts that fit into what an allocator gives at once are read, however their room grew.
func TestLongTexts(t *testing.T) {
	const long, many = 17_000, 18_000 // 306 MB, which doubling reaches as 278 and 557 MB
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema([]arrow.Field{{Name: "text", Type: arrow.BinaryTypes.String}}, nil))
	defer b.Release()
	text := strings.Repeat("x", long)
	for range 8 {
		b.Field(0).(*array.StringBuilder).Append(text)
	}
	batch := b.NewRecordBatch()
	var out bytes.Buffer
	w, err := pqarrow.NewFileWriter(batch.Schema(), &out, parquet.NewWriterProperties(), pqarrow.DefaultWriterProps())
	if err != nil {
		t.Fatal(err)
	}
	for range many / 8 {
		if err := w.WriteBuffered(batch); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := file.NewParquetReader(bytes.NewReader(out.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	r, err := columns.Open(t.Context(), f, 0, nil, many, limited{memory.DefaultAllocator, 512 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Release()
	got, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	defer got.Release()
	if texts := got.Column(0).(*array.String); texts.Len() != many || texts.ValueLen(many-1) != long {
		t.Errorf("%d texts", texts.Len())
	}
}

func TestNestedColumns(t *testing.T) {
	f := written(t, draw(rand.New(rand.NewPCG(5, 6)), 100, 0.2), 1<<20)
	if _, err := columns.Open(t.Context(), f, 0, nil, 100, memory.DefaultAllocator); err == nil || !strings.Contains(err.Error(), `"list"`) {
		t.Errorf("%v", err)
	}
}

func TestRowGroupsThatLie(t *testing.T) {
	for _, leaves := range [][]int{{1}, {0}, {0, 1, 2}} {
		for _, lie := range []int64{-1, 1, 5000} {
			f := written(t, draw(rand.New(rand.NewPCG(7, 8)), 1000, 0.1), 1<<20)
			f.MetaData().RowGroups[0].NumRows += lie
			r, err := columns.Open(t.Context(), f, 0, leaves, 300, memory.DefaultAllocator)
			if err != nil {
				t.Fatal(err)
			}
			n := int64(0)
			for batch := arrow.RecordBatch(nil); err == nil; {
				if batch, err = r.Next(); batch == nil {
					break
				}
				n += batch.NumRows()
				batch.Release()
			}
			if !errors.Is(err, columns.ErrLength) || n > 1000 {
				t.Errorf("columns %v, %+d rows: %d, %v", leaves, lie, n, err)
			}
			r.Release()
		}
	}
}

// FuzzRows bends bytes of files; what comes is an error, a panic of arrow-go's, which callers make one of, or as many values as there are rows.
func FuzzRows(f *testing.F) {
	var out bytes.Buffer
	batch := draw(rand.New(rand.NewPCG(9, 10)), 40, 0.2)
	table := array.NewTableFromRecords(schema, []arrow.RecordBatch{batch})
	if err := pqarrow.WriteTable(table, &out, 25, parquet.NewWriterProperties(), pqarrow.DefaultWriterProps()); err != nil {
		f.Fatal(err)
	}
	f.Add(out.Bytes(), uint16(3))
	f.Fuzz(func(t *testing.T, raw []byte, size uint16) {
		if len(raw) > 1<<16 {
			return
		}
		var got []arrow.RecordBatch
		func() {
			defer func() { _ = recover() }()
			r, err := file.NewParquetReader(bytes.NewReader(raw))
			if err != nil || r.NumRowGroups() > 3 {
				return
			}
			for group := range r.NumRowGroups() {
				o, err := columns.Open(t.Context(), r, group, flat, int64(size%512)+1, limited{memory.DefaultAllocator, 16 << 20})
				if err != nil {
					return
				}
				for batch, err := o.Next(); batch != nil && err == nil && len(got) < 20; batch, err = o.Next() {
					got = append(got, batch)
				}
				o.Release()
			}
		}()
		for _, b := range got {
			for i, c := range b.Columns() {
				if int64(c.Len()) != b.NumRows() {
					t.Errorf("column %d has %d values of %d", i, c.Len(), b.NumRows())
				}
				for row := range c.Len() {
					_ = c.ValueStr(row) // lies where it is said to
				}
			}
		}
	})
}

// limited gives no more than most bytes at once.
type limited struct {
	memory.Allocator
	most int
}

func (l limited) Allocate(size int) []byte {
	if size > l.most {
		panic("too much")
	}
	return l.Allocator.Allocate(size)
}

func (l limited) Reallocate(size int, old []byte) []byte {
	if size > l.most {
		panic("too much")
	}
	return l.Allocator.Reallocate(size, old)
}
