package ingest_test

import (
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"concordat.dev/protocol/document"
	"concordat.dev/worker/ingest"
)

func TestNumbered(t *testing.T) {
	o := options(t, policy(false, map[string]document.Column{"n": {Type: "integer", Role: "measure"}}))
	c, _, err := ingest.All(t.Context(), o, text("id,n\na,1\nb,2\nc,3\na,4\n"))
	if err != nil {
		t.Fatal(err)
	}
	whole, err := c.Reader()
	if err != nil {
		t.Fatal(err)
	}
	if !whole.Next() {
		t.Fatal("no rows")
	}
	// Also for a slice, whose tokens begin inside their buffer.
	part := whole.RecordBatch().NewSlice(1, 4)
	tokens, err := array.NewRecordReader(whole.Schema(), []arrow.RecordBatch{whole.RecordBatch(), part})
	if err != nil {
		t.Fatal(err)
	}
	r, err := ingest.Numbered(tokens, "id")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Release()
	var got []int64
	for r.Next() {
		got = append(got, r.RecordBatch().Column(0).(*array.Int64).Int64Values()...)
		if r.RecordBatch().Column(1).(*array.Int32).Value(0) == 0 || r.Schema().Field(0).Name != "id" {
			t.Error("other columns changed")
		}
	}
	for i, id := range []string{"a", "b", "c", "a", "b", "c", "a"} {
		if tok, _ := o.Tokenizer.Token([]byte(id)); i >= len(got) || got[i] != tok.ID() {
			t.Fatalf("row %d: %v", i, got)
		}
	}
	if _, err := ingest.Numbered(tokens, "n"); err == nil {
		t.Error("a column of integers was taken for tokens")
	}
}
