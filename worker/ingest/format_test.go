package ingest_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"concordat.dev/protocol/document"
	"concordat.dev/protocol/upload"
	"concordat.dev/worker/ingest"
)

// memoryFile can be read at any place, as Parquet wants it.
type memoryFile struct{ *bytes.Reader }

func (memoryFile) Close() error           { return nil }
func (f memoryFile) Size() (int64, error) { return f.Reader.Size(), nil }

func anywhere(b []byte) ingest.Source {
	return func(context.Context) (io.ReadCloser, error) { return memoryFile{bytes.NewReader(b)}, nil }
}

func visits() document.Policy {
	return policy(false, map[string]document.Column{
		"n": {Type: "integer", Role: "measure"}, "x": {Type: "double", Role: "measure", Bounds: &[2]float64{0, 10}}, "price": {Type: "decimal", Role: "measure"},
		"kind": {Type: "varchar", Role: "dimension", Domain: &document.Domain{Values: []any{"a", "b"}}}, "day": {Type: "date", Role: "time"},
		"at": {Type: "timestamp", Role: "time"}, "ok": {Type: "boolean", Role: "dimension"}, "note": {Type: "varchar", Role: "hidden"},
	})
}

const visitsCSV = `id,n,x,price,kind,day,at,ok,note
u1,1,0.5,12.34,a,2026-01-31,2026-01-31 10:20:30.5,true,x
u2,,99,-1.00,c,1969-12-31,1969-12-31 23:59:59,false,"y, z"
,7,1,1.00,b,2026-02-01,2026-02-01 00:00:00,,
u1,-3,,0.10,b,,,true,é
`

// visitsBatch is the same as an Arrow batch, with another order and other types of the same meaning.
func visitsBatch(t testing.TB) arrow.RecordBatch {
	t.Helper()
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "note", Type: arrow.BinaryTypes.String, Nullable: true}, {Name: "n", Type: arrow.PrimitiveTypes.Int64, Nullable: true}, {Name: "x", Type: arrow.PrimitiveTypes.Float32, Nullable: true},
		{Name: "price", Type: &arrow.Decimal128Type{Precision: 9, Scale: 2}, Nullable: true},
		{Name: "kind", Type: &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}, Nullable: true},
		{Name: "day", Type: arrow.FixedWidthTypes.Date32, Nullable: true}, {Name: "at", Type: arrow.FixedWidthTypes.Timestamp_ns, Nullable: true},
		{Name: "ok", Type: arrow.FixedWidthTypes.Boolean, Nullable: true}, {Name: "ID", Type: arrow.BinaryTypes.LargeString, Nullable: true},
	}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	all := []bool{true, true, true, true}
	b.Field(0).(*array.StringBuilder).AppendValues([]string{"x", "y, z", "", "é"}, all)
	b.Field(1).(*array.Int64Builder).AppendValues([]int64{1, 0, 7, -3}, []bool{true, false, true, true})
	b.Field(2).(*array.Float32Builder).AppendValues([]float32{0.5, 99, 1, 0}, []bool{true, true, true, false})
	for _, v := range []int64{1234, -100, 100, 10} {
		b.Field(3).(*array.Decimal128Builder).Append(decimal128.FromI64(v))
	}
	for _, v := range []string{"a", "c", "b", "b"} {
		if err := b.Field(4).(*array.BinaryDictionaryBuilder).AppendString(v); err != nil {
			t.Fatal(err)
		}
	}
	b.Field(5).(*array.Date32Builder).AppendValues([]arrow.Date32{20484, -1, 20485, 0}, []bool{true, true, true, false})
	b.Field(6).(*array.TimestampBuilder).AppendValues([]arrow.Timestamp{1769854830_500000000, -1_000000000, 1769904000_000000000, 0}, []bool{true, true, true, false})
	b.Field(7).(*array.BooleanBuilder).AppendValues([]bool{true, false, false, true}, []bool{true, true, false, true})
	b.Field(8).(*array.LargeStringBuilder).AppendValues([]string{"u1", "u2", "", "u1"}, []bool{true, true, false, true})
	return b.NewRecordBatch()
}

func arrowStream(t testing.TB, batches ...arrow.RecordBatch) []byte {
	t.Helper()
	var out bytes.Buffer
	w := ipc.NewWriter(&out, ipc.WithSchema(batches[0].Schema()), ipc.WithZstd())
	for _, b := range batches {
		if err := w.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func arrowFile(t testing.TB, batch arrow.RecordBatch) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := ipc.NewFileWriter(&out, ipc.WithSchema(batch.Schema()), ipc.WithLZ4())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Write(batch), w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func parquetFile(t testing.TB, batch arrow.RecordBatch, times int) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := pqarrow.NewFileWriter(batch.Schema(), &out, parquet.NewWriterProperties(parquet.WithCompression(compress.Codecs.Zstd)), pqarrow.NewArrowWriterProperties(pqarrow.WithStoreSchema()))
	if err != nil {
		t.Fatal(err)
	}
	for range times {
		if err := w.Write(batch); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func packed(t testing.TB, text, with string) []byte {
	t.Helper()
	var out bytes.Buffer
	var w io.WriteCloser = gzip.NewWriter(&out)
	if with == "zstd" {
		z, err := zstd.NewWriter(&out)
		if err != nil {
			t.Fatal(err)
		}
		w = z
	}
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func encoded(t testing.TB, text, as string) []byte {
	t.Helper()
	e := charmap.Windows1252.NewEncoder()
	if as == upload.UTF16 {
		e = unicode.UTF16(unicode.BigEndian, unicode.UseBOM).NewEncoder()
	}
	b, err := e.Bytes([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFormatsMeanTheSame(t *testing.T) {
	batch := visitsBatch(t)
	defer batch.Release()
	json := `{"id":"u1","n":1,"x":0.5,"price":12.34,"kind":"a","day":"2026-01-31","at":"2026-01-31 10:20:30.5","ok":true,"note":{"deep":[1,{"a":"}"}]}}

 { "id" : "u2", "x":9.9e1, "price":"-1.00","kind":"\u0063","day":"1969-12-31","at":"1969-12-31T23:59:59Z","ok":false,"note":"y" }` + "\r\n" +
		`{"n":7,"kind":"b"}
{"id":"u1","n":-3,"x":null,"price":0.10,"kind":"b","ok":true,"extra":[]}`
	german := strings.NewReplacer("10:20:30.5,", "10:20:30.5;", ",", ";", `"y, z"`, `'y; z'`, "0.5,", "0,5;", "12.34", "12,34", "-1.00", "-1,00", "1.00", "1,00", "0.10", "0,10",
		"2026-01-31", "31.01.2026", "1969-12-31", "31.12.1969", "2026-02-01", "01.02.2026").Replace(visitsCSV)
	dialect := upload.Dialect{Delimiter: ";", Quote: "'", Date: "DD.MM.YYYY", Decimal: ","}
	windows := upload.Dialect{Encoding: upload.Windows1252}
	unheaded := upload.Dialect{NoHeader: true}
	fields := strings.Split(strings.SplitN(visitsCSV, "\n", 2)[0], ",")
	for name, x := range map[string]struct {
		file    []byte
		format  string
		dialect upload.Dialect
	}{
		"csv":              {file: []byte(visitsCSV)},
		"csv, gzip":        {file: packed(t, visitsCSV, "gzip")},
		"csv, zstd":        {file: packed(t, visitsCSV, "zstd"), format: upload.CSV},
		"csv, utf-16":      {file: encoded(t, visitsCSV, upload.UTF16)},
		"csv, windows":     {file: encoded(t, visitsCSV, ""), dialect: windows},
		"csv, german":      {file: []byte(german), format: upload.CSV, dialect: dialect},
		"csv, unheaded":    {file: []byte(strings.SplitN(visitsCSV, "\n", 2)[1]), format: upload.CSV, dialect: unheaded},
		"json lines":       {file: []byte(json)},
		"json lines, gzip": {file: packed(t, json, "gzip"), format: upload.JSONLines},
		"arrow stream":     {file: arrowStream(t, batch)},
		"arrow file":       {file: arrowFile(t, batch), format: upload.Arrow},
		"parquet":          {file: parquetFile(t, batch, 1), format: upload.Parquet},
		"parquet, found":   {file: parquetFile(t, batch, 1)},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t, visits())
			o.Format, o.Dialect, o.Fields = x.format, x.dialect, fields
			c, report, err := ingest.All(t.Context(), o, anywhere(x.file))
			if err != nil {
				t.Fatal(err, report.Errors)
			}
			equal(t, rows(t, o, c, "u1", "u2"), []string{
				"2026-01-31T10:20:30.5 2026-01-31 u1 a 1 true 12.34 0.5",
				"1969-12-31T23:59:59 1969-12-31 u2 - - false -1 99",
				"- - u1 b -3 true 0.1 -",
			})
			if got := fmt.Sprint(report.Read, report.Rows, report.Units, report.Dropped.NoUnit, report.Columns[3].OutOfDomain, report.Columns[7].OutOfBounds); got != "4 3 2 1 1 1" {
				t.Error(got)
			}
		})
	}
}

func TestFilesOfADataset(t *testing.T) {
	o := options(t, policy(true, map[string]document.Column{"n": {Type: "integer", Role: "measure"}}))
	c, report, err := ingest.All(t.Context(), o, text("id,n\na,1\nb,2\n"), text("n;id\n3;c\n"), raw(packed(t, "id,n\nd,4", "gzip")))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, rows(t, o, c, "a", "b", "c", "d"), []string{"a 1", "b 2", "c 3", "d 4"})
	if report.Units != 4 || strings.Join(report.Header, "|") != "id|n" {
		t.Errorf("%+v", report)
	}
	_, report, err = ingest.All(t.Context(), o, text("id,n\na,1\nb,2\n"), text("id,n\nc,x\nb,3\n"))
	if !errors.Is(err, ingest.ErrRejected) || fmt.Sprint(report.Errors) != `[file 2, row 1, column n: not an integer of 32 bits: "x" file 2, row 2, column id: the same unit as row 2, and the policy says unique: true]` {
		t.Errorf("%v %v", err, report.Errors)
	}
	if _, _, err = ingest.All(t.Context(), o, text("id,n\na,1\n"), text("id,m\nb,1\n")); !errors.Is(err, ingest.ErrFormat) || !strings.Contains(err.Error(), "file 2 of 2") {
		t.Error(err)
	}
}

// What claims to be more than it is, or unpacks to more, is refused in words and in bounded memory.
func TestHostileFiles(t *testing.T) {
	batch := visitsBatch(t)
	defer batch.Release()
	good := parquetFile(t, batch, 1)
	stream := arrowStream(t, batch)
	lying := bytes.Clone(stream)
	binary.LittleEndian.PutUint32(lying[4:], 1<<31-1)
	footer := bytes.Clone(good)
	binary.LittleEndian.PutUint32(footer[len(footer)-8:], 1<<31-1)
	deep := `{"id":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + "}\n"
	for name, x := range map[string]struct {
		file ingest.Source
		want string
	}{
		"a line of 1 GB":          {stream1GB("id,n,x,price,kind,day,at,ok\n"), "longer than 1 MiB"},
		"a JSON line of 1 GB":     {stream1GB(`{"id":"u1","n":1,"x":1,"price":1,"kind":"a","day":"2026-01-01","at":"2026-01-01 00:00:00","ok":true}` + "\n" + `{"id":"`), "longer than 1 MiB"},
		"zip bomb":                {raw(bomb(t)), "times its size"},
		"arrow, lying metadata":   {raw(lying), "Arrow IPC"},
		"arrow, cut off":          {raw(stream[:len(stream)/2]), "Arrow IPC"},
		"parquet, lying footer":   {anywhere(footer), "Parquet"},
		"parquet, cut off":        {anywhere(good[:len(good)-100]), "Parquet"},
		"parquet as csv":          {anywhere(good), "begins like parquet"},
		"nothing of the policy's": {text(`{"a":1}` + "\n"), "lacks"},
		"nested beyond reason":    {text(deep), "lacks"},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t, visits())
			if name == "parquet as csv" {
				o.Format = upload.CSV
			}
			if _, _, err := ingest.All(t.Context(), o, x.file); !errors.Is(err, ingest.ErrFormat) || !strings.Contains(err.Error(), x.want) {
				t.Errorf("%v, want %q", err, x.want)
			}
		})
	}
}

func stream1GB(start string) ingest.Source {
	return stream(io.MultiReader(strings.NewReader(start), io.LimitReader(letters{}, 1<<30)))
}

type letters struct{}

func (letters) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// bomb is 2 GB of empty lines below a header, in a few megabytes.
func bomb(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := zstd.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, strings.SplitAfterN(visitsCSV, "\n", 2)[0]); err != nil {
		t.Fatal(err)
	}
	lines := bytes.Repeat([]byte("\n"), 1<<20)
	for range 2048 {
		if _, err := w.Write(lines); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestTypesThatDoNotFit(t *testing.T) {
	for _, x := range []struct {
		typ  arrow.DataType
		kind string
		want string
	}{
		{arrow.FixedWidthTypes.Boolean, "integer", "is bool in the file and integer in the policy"},
		{arrow.PrimitiveTypes.Float64, "varchar", "is float64 in the file and varchar in the policy"},
		{arrow.ListOf(arrow.PrimitiveTypes.Int32), "integer", "in the policy"},
		{arrow.FixedWidthTypes.Time32ms, "timestamp", "is time32[ms] in the file and timestamp in the policy"},
		{arrow.PrimitiveTypes.Int64, "date", "is int64 in the file and date in the policy"},
	} {
		schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.BinaryTypes.String}, {Name: "v", Type: x.typ, Nullable: true}}, nil)
		b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		b.Field(0).(*array.StringBuilder).Append("u1")
		b.Field(1).AppendNull()
		batch := b.NewRecordBatch()
		o := options(t, policy(false, map[string]document.Column{"v": {Type: x.kind, Role: "dimension"}}))
		if _, _, err := ingest.All(t.Context(), o, raw(arrowStream(t, batch))); !errors.Is(err, ingest.ErrFormat) || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s as %s: %v", x.typ, x.kind, err)
		}
		batch.Release()
		b.Release()
	}
}

// The first stretch is read twice, for the names of its columns and for its rows; what undoing escapes overwrites is not read again.
func TestEscapesOfTheFirstStretch(t *testing.T) {
	o := options(t, policy(false, map[string]document.Column{"v": {Type: "varchar", Role: "dimension"}}))
	c, _, err := ingest.All(t.Context(), o, text(`{"id":"1","v":"K\u00f6ln"}`+"\n"+`{"i\u0064":"2","\u0076":"a\"b\\c"}`+"\n"+`{"id":"3","v":"\ud83d\ude00\tx"}`))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, rows(t, o, c, "1", "2", "3"), []string{"1 Köln", `2 a"b\c`, "3 😀\tx"})
}

func FuzzBinaryFormats(f *testing.F) {
	batch := visitsBatch(f)
	defer batch.Release()
	f.Add(parquetFile(f, batch, 2))
	f.Add(arrowStream(f, batch))
	f.Add(arrowFile(f, batch))
	f.Add([]byte(`{"id":"u1","n":1,"x":"\ud83d\ude00","price":-0.1e+5,"kind":null,"day":"2026-01-31","at":[{}],"ok":true}`))
	f.Fuzz(func(t *testing.T, file []byte) {
		o := options(t, visits())
		o.Tolerance, o.Parallel = 1<<20, 1
		var c *ingest.Collect
		var report ingest.Report
		var err error
		bounded(t, func() { c, report, err = ingest.All(t.Context(), o, anywhere(file)) })
		if err != nil {
			return
		}
		var rows int64
		r, err := c.Reader()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Release()
		for r.Next() {
			rows += r.RecordBatch().NumRows()
		}
		if rows != report.Rows {
			t.Errorf("%d rows, but %+v", rows, report)
		}
	})
}
