package storage

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

var mixed = arrow.NewSchema([]arrow.Field{
	{Name: "alive", Type: arrow.FixedWidthTypes.Boolean, Nullable: true},
	{Name: "free", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "id", Type: &arrow.FixedSizeBinaryType{ByteWidth: tokenBytes}},
	{Name: "kind", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "n", Type: arrow.PrimitiveTypes.Int32, Nullable: true},
	{Name: "row", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
}, nil)

// row is what a row holds: all of it follows from its number.
func row(b *array.RecordBuilder, i, units int) {
	var token [tokenBytes]byte
	draw := rand.New(rand.NewPCG(uint64(i%units), 1))
	binary.BigEndian.PutUint64(token[:], draw.Uint64())
	b.Field(2).(*array.FixedSizeBinaryBuilder).Append(token[:])
	b.Field(5).(*array.Int64Builder).Append(int64(i))
	if i%11 == 0 {
		for _, null := range []int{0, 1, 3, 4} {
			b.Field(null).AppendNull()
		}
		return
	}
	b.Field(0).(*array.BooleanBuilder).Append(i%3 == 0)
	b.Field(1).(*array.StringBuilder).Append(fmt.Sprint("text ", i))
	b.Field(3).(*array.StringBuilder).Append([]string{"", "a", "it's long enough not to be inline"}[i%3])
	b.Field(4).(*array.Int32Builder).Append(int32(-i))
}

func mixedBatch(rows []int, units int) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, mixed)
	defer b.Release()
	for _, i := range rows {
		row(b, i, units)
	}
	return b.NewRecordBatch()
}

// sealMixed writes batches of which one is a slice of a larger one, in runs of so many bytes.
func sealMixed(t *testing.T, f fixture, rows, units int, run int64) Sealed {
	t.Helper()
	w, err := NewWriter(t.Context(), f.store, f.wrapper, f.binding, mixed)
	if err != nil {
		t.Fatal(err)
	}
	w.run = run
	for from := 0; from < rows; from += 700 {
		var list []int
		for i := from - 3; i < min(rows, from+700); i++ {
			list = append(list, max(i, 0))
		}
		whole := mixedBatch(list, units)
		if err := w.Write(whole.NewSlice(3, whole.NumRows())); err != nil {
			t.Fatal(err)
		}
		whole.Release()
	}
	sealed, err := w.Seal()
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

// TestSealedInTheOrderOfUnits writes rows of units in no order and reads them: each once, whole, by unit, and within a unit as they came.
func TestSealedInTheOrderOfUnits(t *testing.T) {
	for _, c := range []struct {
		rows, units int
		run         int64
		runs        int
	}{{1, 1, runBytes, 1}, {5000, 1, runBytes, 1}, {50_000, 20_000, runBytes, 1}, {40_000, 1 << 30, runBytes, 1}, {20_000, 5000, 400_000, 4}} {
		f := room(t)
		r, err := NewReader(t.Context(), f.store, f.wrapper, f.binding, sealMixed(t, f, c.rows, c.units, c.run), mixed, 2)
		if err != nil {
			t.Fatal(err)
		}
		seen, descents := map[int]bool{}, 0
		var last []byte
		lastRow := -1
		for r.Next() {
			batch := r.RecordBatch()
			ids, numbers := batch.Column(2).(*array.FixedSizeBinary), batch.Column(5).(*array.Int64)
			var list []int
			for i := range int(batch.NumRows()) {
				n := int(numbers.Value(i))
				list, seen[n] = append(list, n), true
				switch order := bytes.Compare(last, ids.Value(i)); {
				case order > 0:
					descents++
				case order == 0 && n < lastRow && c.runs == 1:
					t.Errorf("row %d of a unit comes after row %d", n, lastRow)
				}
				last, lastRow = bytes.Clone(ids.Value(i)), n
			}
			want := mixedBatch(list, c.units)
			if !array.RecordEqual(batch, want) {
				t.Errorf("%+v: a row is not what it was", c)
			}
			want.Release()
		}
		if r.Err() != nil || len(seen) != c.rows || descents > 0 && c.runs == 1 || descents > 2*c.runs {
			t.Errorf("%+v: %d rows, %d descents, %v", c, len(seen), descents, r.Err())
		}
		r.Release()
	}
}

// TestUnevenTokens: tokens are uniform, and where they are not sorting takes longer, no more.
func TestUnevenTokens(t *testing.T) {
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema([]arrow.Field{{Name: "id", Type: &arrow.FixedSizeBinaryType{ByteWidth: tokenBytes}}}, nil))
	defer b.Release()
	for i := range 30_000 {
		b.Field(0).(*array.FixedSizeBinaryBuilder).Append(fmt.Appendf(nil, "%016d", (29_999-i)*100_000_000))
	}
	batch := b.NewRecordBatch()
	defer batch.Release()
	for i, p := range ordered([]arrow.RecordBatch{batch}, 0) {
		if int(p.row) != 29_999-i {
			t.Fatalf("place %d has row %d", i, p.row)
		}
	}
}

func TestFilesAreCutBySize(t *testing.T) {
	places := []place{{0, 0, 0}, {1, 0, 1}, {2, 0, 2}, {3, 0, 3}}
	if got := parts(places, [][]int32{{fileBytes / 2, fileBytes / 2, fileBytes, 1}}); len(got) != 3 || len(got[0]) != 2 || len(got[1]) != 1 {
		t.Errorf("%v", got)
	}
	if got := parts(make([]place, 2*fileRows+1), nil); len(got) != 3 || len(got[2]) != 1 {
		t.Errorf("%d files", len(got))
	}
	if got := parts(nil, nil); len(got) != 1 {
		t.Errorf("%d files of no rows", len(got))
	}
}

// TestManyTexts: a column that begins as if its texts repeated, and goes on with more than a dictionary holds.
func TestManyTexts(t *testing.T) {
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema([]arrow.Field{{Name: "s", Type: arrow.BinaryTypes.String}}, nil))
	defer b.Release()
	texts := b.Field(0).(*array.StringBuilder)
	for range sampleRows {
		texts.Append("same")
	}
	same := b.NewRecordBatch()
	defer same.Release()
	if c := code([]arrow.RecordBatch{same}, 0); c == nil || c.texts.Len() != 1 {
		t.Error("texts that repeat have no numbers")
	}
	for i := range maxDictionary {
		texts.Append(fmt.Sprint(i))
	}
	many := b.NewRecordBatch()
	defer many.Release()
	if code([]arrow.RecordBatch{same, many}, 0) != nil {
		t.Error("more numbers than a dictionary holds")
	}
}

// TestShortTexts: texts that differ in length, at an end or in the middle have different numbers, and keep them.
func TestShortTexts(t *testing.T) {
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema([]arrow.Field{{Name: "s", Type: arrow.BinaryTypes.String, Nullable: true}}, nil))
	defer b.Release()
	var want []string
	for n := range 20 {
		for i := range n {
			text := bytes.Repeat([]byte{'a'}, n)
			text[i] = 'b'
			want = append(want, string(text))
		}
		want = append(want, string(bytes.Repeat([]byte{'a'}, n)), string(make([]byte, n)))
	}
	for range 20 {
		b.Field(0).(*array.StringBuilder).AppendValues(want, nil)
		b.Field(0).AppendNull()
	}
	batch := b.NewRecordBatch()
	defer batch.Release()
	c := code([]arrow.RecordBatch{batch}, 0)
	if c == nil {
		t.Fatal("texts that repeat have no numbers")
	}
	texts := c.texts.(*array.String)
	for row, n := range c.numbers[0] {
		if i := row % (len(want) + 1); i < len(want) && texts.Value(int(n)) != want[i] {
			t.Fatalf("row %d: %q has the number of %q", row, want[i], texts.Value(int(n)))
		}
	}
}
