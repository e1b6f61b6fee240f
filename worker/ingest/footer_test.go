package ingest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"concordat.dev/protocol/document"
)

// bent is a file of two columns and two row groups whose footer was changed.
func bent(t *testing.T, change func(f *file.Reader)) []byte {
	t.Helper()
	schema := arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64}, {Name: "text", Type: arrow.BinaryTypes.String, Nullable: true}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	b.Field(0).(*array.Int64Builder).AppendValues([]int64{1, 2, 3}, nil)
	b.Field(1).(*array.StringBuilder).AppendValues([]string{"a", "", "c"}, []bool{true, false, true})
	table := array.NewTableFromRecords(schema, []arrow.RecordBatch{b.NewRecordBatch()})
	defer table.Release()
	var out bytes.Buffer
	if err := pqarrow.WriteTable(table, &out, 2, parquet.NewWriterProperties(), pqarrow.DefaultWriterProps()); err != nil {
		t.Fatal(err)
	}
	f, err := file.NewParquetReader(bytes.NewReader(out.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	change(f)
	var footer bytes.Buffer
	if _, err := f.MetaData().WriteTo(&footer, nil); err != nil {
		t.Fatal(err)
	}
	return ended(footer.Bytes())
}

func ended(footer []byte) []byte {
	return append(binary.LittleEndian.AppendUint32(append([]byte(parquetMagic), footer...), uint32(len(footer))), parquetMagic...)
}

// TestSchemasThatLie has schemas for which arrow-go would ask for 32 GiB, which ends a process that does not have them.
func TestSchemasThatLie(t *testing.T) {
	for name, c := range map[string]struct {
		file []byte
		want error
	}{
		"honest":               {bent(t, func(*file.Reader) {}), nil},
		"children":             {bent(t, func(f *file.Reader) { *f.MetaData().FileMetaData.Schema[0].NumChildren = math.MaxInt32 }), errSchema},
		"one more":             {bent(t, func(f *file.Reader) { *f.MetaData().FileMetaData.Schema[0].NumChildren++ }), errSchema},
		"children of a column": {bent(t, func(f *file.Reader) { n := int32(1); f.MetaData().FileMetaData.Schema[2].NumChildren = &n }), errSchema},
		"none":                 {bent(t, func(f *file.Reader) { f.MetaData().FileMetaData.Schema = nil }), nil}, // its reader says so
		"cut off":              {ended([]byte{0x29, 0x1c, 0x55}), errFooter},
		"more than there are":  {ended([]byte{0x29, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x0f}), errFooter},
		"a list of bytes where row groups are expected": {ended([]byte{0x49, 0x13, 0x00, 0x00}), errFooter},
		"the schema's number written at length":         {ended([]byte{0x09, 0x04, 0x1c, 0x55, 0xfe, 0xff, 0xff, 0xff, 0x0f, 0x00, 0x00}), errSchema},
		"a number that is cut to the schema's":          {ended([]byte{0x09, 0x84, 0x80, 0x08, 0x1c, 0x55, 0xfe, 0xff, 0xff, 0xff, 0x0f, 0x00, 0x00}), errSchema},
		"a schema in field 0 of another":                {ended([]byte{0x29, 0x1c, 0x55, 0x04, 0x00, 0x0c, 0x00, 0x29, 0x3c, 0x00, 0x00, 0x00, 0x00, 0x00}), errSchema},
		"structures in structures":                      {ended(bytes.Repeat([]byte{0x1c}, 1<<20)), errFooter},
		"no Parquet":                                    {[]byte("id,n\n"), nil},
		"a length beyond its start":                     {[]byte("PAR1\xff\xff\xff\x00PAR1"), nil},
	} {
		if err := checkFooter(bytes.NewReader(c.file), int64(len(c.file))); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDictionariesThatLie has dictionaries that claim to hold more values than they do. Of 2 billion, a value behind the last would take 48 GiB.
func TestDictionariesThatLie(t *testing.T) {
	const values, rows = 300, 6000
	schema := arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64}, {Name: "text", Type: arrow.BinaryTypes.String}, {Name: "u", Type: &arrow.FixedSizeBinaryType{ByteWidth: 16}}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for i := range rows {
		i %= values
		b.Field(0).(*array.Int64Builder).Append(int64(i))
		b.Field(1).(*array.StringBuilder).Append(fmt.Sprint(i))
		b.Field(2).(*array.FixedSizeBinaryBuilder).Append(fmt.Appendf(nil, "%016d", i))
	}
	var out bytes.Buffer
	w, err := pqarrow.NewFileWriter(schema, &out, parquet.NewWriterProperties(), pqarrow.DefaultWriterProps())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Write(b.NewRecordBatch()), w.Close()); err != nil {
		t.Fatal(err)
	}
	f, err := file.NewParquetReader(bytes.NewReader(out.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	policy := document.Policy{Dataset: "o.d", Owner: "o", Unit: document.Unit{None: true}, Columns: map[string]document.Column{
		"n": {Type: "bigint", Role: "measure"}, "text": {Type: "varchar", Role: "dimension"}, "u": {Type: "uuid", Role: "dimension"},
	}}
	for leaf := -1; leaf < schema.NumFields(); leaf++ {
		raw := bytes.Clone(out.Bytes())
		if leaf >= 0 {
			chunk, err := f.MetaData().RowGroup(0).ColumnChunk(leaf)
			if err != nil {
				t.Fatal(err)
			}
			header := raw[chunk.DictionaryPageOffset():]
			at := bytes.Index(header, []byte{0x4c, 0x15, 2*values&0x7f | 0x80, 2 * values >> 7})
			copy(header[at+2:], []byte{0xfe, 0x7f}) // 8191
		}
		path := filepath.Join(t.TempDir(), "a.parquet")
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		_, report, err := All(t.Context(), Options{Policy: policy}, Path(path))
		switch {
		case leaf < 0 && (err != nil || report.Rows != rows):
			t.Errorf("honest: %d rows, %v", report.Rows, err)
		case leaf >= 0 && (!errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), errDictionary.Error())):
			t.Errorf("%s: %v", schema.Field(leaf).Name, err)
		}
	}
}

// page is the header of a page and what it claims to hold: a dictionary of so many values, or a data page for none.
func page(values, size uint64, long int) []byte {
	i32 := func(b []byte, head byte, v uint64) []byte { return binary.AppendUvarint(append(b, head), 2*v) }
	kind := uint64(0)
	if values > 0 {
		kind = 2
	}
	b := i32(i32(i32(nil, 0x15, kind), 0x15, size), 0x15, size)
	if long > 0 { // a field that nobody knows, of bytes
		b = binary.AppendUvarint(append(b, 0x18), uint64(long))
		b = append(append(b, make([]byte, long)...), 0x3c) // and then that of a dictionary, number 7
	} else {
		b = append(b, 0x4c)
	}
	if values > 0 {
		b = i32(i32(b, 0x15, values), 0x15, 0)
	}
	b = append(b, 0, 0)
	return append(b, make([]byte, size)...)
}

// Dictionaries that come later, or whose header is long, are looked at as the first one is.
func TestDictionariesThatComeLater(t *testing.T) {
	for name, c := range map[string]struct {
		pages [][]byte
		want  error
	}{
		"honest":            {[][]byte{page(10, 40, 0), page(0, 100, 0), page(0, 0, 0)}, nil},
		"first":             {[][]byte{page(11, 40, 0), page(0, 100, 0)}, errDictionary},
		"behind data":       {[][]byte{page(0, 100, 0), page(0, 3000, 0), page(1<<30, 40, 0)}, errDictionary},
		"long header":       {[][]byte{page(0, 5, 0), page(1<<30, 40, 5000)}, errDictionary},
		"honest and long":   {[][]byte{page(10, 40, 5000), page(0, 5, 0)}, nil},
		"no header":         {[][]byte{page(0, 5, 0), {0xff, 0xff}}, errPage},
		"a page that leads": {[][]byte{page(0, 1<<10, 0)[:20]}, nil}, // to behind the end: the reader says so
	} {
		raw := bytes.Join(c.pages, nil)
		if err := checkPages(bytes.NewReader(raw), 0, int64(len(raw)), 4); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	whole := page(0, 50, 0)
	raw := append(bytes.Clone(whole), page(1<<30, 10, 0)...)
	if err := checkPages(bytes.NewReader(raw), 0, int64(len(whole)), 4); !errors.Is(err, errDictionary) {
		t.Errorf("behind the end: %v", err)
	}
}

// TestRowsThatFewBytesClaim: runs make many rows of few bytes, honestly up to some hundred million.
func TestRowsThatFewBytesClaim(t *testing.T) {
	for _, c := range []struct {
		rows, size int64
		want       error
	}{{60_000_000, 200, nil}, {100_000_000, 181_000, nil}, {4_000_000_000, 5000, ErrFormat}, {math.MaxInt64, 1 << 40, ErrFormat}} {
		if err := believable(c.rows, c.size); !errors.Is(err, c.want) {
			t.Errorf("%d rows in %d bytes: %v", c.rows, c.size, err)
		}
	}
}
