package ingest_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"

	"concordat.dev/protocol/upload"
	"concordat.dev/worker/ingest"
)

// A Parquet file in many parts is read at any place of them, while the next part is on its way: rows come in order, and a part that is missing, swapped
// or bent is an error that says so.
func TestParquetInParts(t *testing.T) {
	file := numbered(t, 3000, 2000, 1, 4000)
	d := newDesk(t, string(file), 4096)
	if len(d.parts.Keys) < 20 {
		t.Fatalf("only %d parts", len(d.parts.Keys))
	}
	o := options(t, numbers())
	o.Parallel, o.Format = 3, upload.Parquet
	read := func(parts ingest.Parts) ([]int32, error) {
		parts.Statement.Format = upload.Parquet
		c, _, err := ingest.All(t.Context(), o, parts.Sources()...)
		if err != nil {
			return nil, err
		}
		r, err := c.Reader()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Release()
		var got []int32
		for r.Next() {
			got = append(got, r.RecordBatch().Column(1).(*array.Int32).Int32Values()...)
		}
		return got, nil
	}
	got, err := read(d.parts)
	if err != nil || len(got) != 9001 || !slices.IsSorted(got) {
		t.Fatalf("%d rows, in order %t: %v", len(got), slices.IsSorted(got), err)
	}
	swapped := d.parts
	swapped.Keys = slices.Clone(d.parts.Keys)
	swapped.Keys[3], swapped.Keys[4] = swapped.Keys[4], swapped.Keys[3]
	if _, err := read(swapped); !errors.Is(err, ingest.ErrPart) {
		t.Errorf("parts swapped: %v", err)
	}
	body, err := d.parts.Store.Get(t.Context(), d.parts.Keys[7], upload.MaxCiphertext)
	if err != nil {
		t.Fatal(err)
	}
	body[len(body)-5] ^= 1
	if err := d.parts.Store.Put(t.Context(), d.parts.Keys[7], body); err != nil {
		t.Fatal(err)
	}
	if _, err := read(d.parts); !errors.Is(err, ingest.ErrPart) {
		t.Errorf("a part bent: %v", err)
	}
	if err := d.parts.Store.Delete(t.Context(), d.parts.Keys[7]); err != nil {
		t.Fatal(err)
	}
	if _, err := read(d.parts); !errors.Is(err, ingest.ErrPart) {
		t.Errorf("a part missing: %v", err)
	}
}
