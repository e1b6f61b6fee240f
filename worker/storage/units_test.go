package storage

import (
	"bytes"
	"encoding/binary"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// alike makes tokens of which a third share their first 64 bits with others: what by chance never is, and would be miscounted by those alone.
func alike(draw *rand.Rand) (token [tokenBytes]byte) {
	n := draw.Uint64N(3000)
	binary.BigEndian.PutUint64(token[:], n%2000*0x9e3779b97f4a7c15)
	binary.BigEndian.PutUint64(token[8:], n)
	return token
}

func tokenBatch(schema *arrow.Schema, tokens [][tokenBytes]byte) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for _, token := range tokens {
		b.Field(0).(*array.FixedSizeBinaryBuilder).Append(token[:])
	}
	return b.NewRecordBatch()
}

// TestUnitsAreCounted compares what is read off the order of rows with a table, for one run and for runs that share units.
func TestUnitsAreCounted(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: &arrow.FixedSizeBinaryType{ByteWidth: tokenBytes}}}, nil)
	f := room(t)
	for _, run := range []int64{runBytes, 40_000, 1000} {
		w, err := NewWriter(t.Context(), f.store, f.wrapper, f.binding, schema)
		if err != nil {
			t.Fatal(err)
		}
		if w.run = run; !w.CountUnits() {
			t.Fatal("rows of units aren't counted")
		}
		draw, want := rand.New(rand.NewPCG(1, 1)), map[[tokenBytes]byte]uint32{}
		for range 20 {
			var tokens [][tokenBytes]byte
			for range 400 {
				token := alike(draw)
				tokens = append(tokens, token)
				want[token]++
			}
			if err := w.Write(tokenBatch(schema, tokens)); err != nil {
				t.Fatal(err)
			}
		}
		lists, err := w.Units()
		if err != nil {
			t.Fatal(err)
		}
		got := slices.Concat(lists...)
		if !slices.IsSortedFunc(got, func(a, b Unit) int { return bytes.Compare(a.Token[:], b.Token[:]) }) {
			t.Errorf("runs of %d bytes: the units are in no order", run)
		}
		have := map[[tokenBytes]byte]uint32{}
		for _, u := range got {
			have[u.Token] = u.Rows
		}
		if len(got) != len(want) || !maps.Equal(have, want) {
			t.Errorf("runs of %d bytes: %d units, want %d", run, len(got), len(want))
		}
		if sealed, err := w.Seal(); err != nil || sealed.Rows != 8000 {
			t.Errorf("%d rows, %v", sealed.Rows, err)
		}
		if err := w.Reset(); err != nil || w.count {
			t.Errorf("it counts still: %v", err)
		}
	}
}

// TestUnitAcrossFiles has one unit lie in the end of a file and in the beginning of the next ones.
func TestUnitAcrossFiles(t *testing.T) {
	a, b, c := [tokenBytes]byte{1}, [tokenBytes]byte{2}, [tokenBytes]byte{3}
	got := slices.Concat(merged([][][]Unit{{{{a, 1}, {b, 2}}, {{b, 3}}, {{b, 4}, {c, 5}}}, {{{b, 6}}}, {{{a, 7}}, {{c, 8}}}})...)
	if want := []Unit{{a, 8}, {b, 15}, {c, 13}}; !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	got = slices.Concat(merged([][][]Unit{{{{a, 1}, {b, 2}}, {{b, 3}}, {{b, 4}}, {{c, 5}}}})...)
	if want := []Unit{{a, 1}, {b, 9}, {c, 5}}; !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	if got := merged(nil); len(got) != 0 {
		t.Errorf("%v of nothing", got)
	}
}

func TestUnitsAreCountedFromTheFirstRowOrNotAtAll(t *testing.T) {
	f := room(t)
	w, err := NewWriter(t.Context(), f.store, f.wrapper, f.binding, mixed)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(mixedBatch([]int{1, 2}, 2)); err != nil {
		t.Fatal(err)
	}
	if w.CountUnits() {
		t.Error("rows that came before are not counted")
	}
	if err := w.Abort(); err != nil {
		t.Fatal(err)
	}
	if w, err = NewWriter(t.Context(), f.store, f.wrapper, f.binding, arrow.NewSchema(mixed.Fields()[3:], nil)); err != nil || w.CountUnits() {
		t.Errorf("there are no units: %v", err)
	}
}
