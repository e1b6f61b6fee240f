package ingest_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"concordat.dev/protocol/document"
	"concordat.dev/worker/ingest"
)

// TestOtherWriters reads files that pyarrow, DuckDB and polars wrote (testdata/parquet/parquets.py): encodings, page versions and types that arrow-go does not write itself.
func TestOtherWriters(t *testing.T) {
	files, err := filepath.Glob("testdata/parquet/*.parquet")
	if err != nil || len(files) != 6 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	options := ingest.Options{Policy: document.Policy{Dataset: "o.d", Owner: "o", Unit: document.Unit{None: true}, Columns: map[string]document.Column{
		"n": {Type: "bigint", Role: "measure"}, "text": {Type: "varchar", Role: "dimension"}, "alone": {Type: "varchar", Role: "dimension"},
		"u": {Type: "uuid", Role: "dimension"}, "at": {Type: "timestamp", Role: "time"}, "ok": {Type: "boolean", Role: "dimension"},
	}}}
	missing := func(i, each int, v any) string {
		if each > 0 && i%each == 0 {
			return array.NullValueStr
		}
		return fmt.Sprint(v)
	}
	for _, path := range files {
		c, report, err := ingest.All(t.Context(), options, ingest.Path(path))
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		r, err := c.Reader()
		if err != nil {
			t.Fatal(err)
		}
		i, nulls := 0, map[string]int64{}
		for r.Next() {
			batch := r.RecordBatch()
			for row := range int(batch.NumRows()) {
				want := []string{
					missing(i, 0, fmt.Sprint("text ", i)), missing(i, 13, 978_307_200_000_000+i*1_000_000), missing(i, 7, i*3),
					missing(i, 3, i%2 == 0), missing(i, 5, fmt.Sprint("wört ", i%17)), missing(i, 11, fmt.Sprintf("00000000-0000-0000-0000-%012x", i)),
				}
				var got []string
				for j, column := range batch.Columns() {
					v := column.ValueStr(row)
					if at, ok := column.(*array.Timestamp); ok && at.IsValid(row) {
						v = fmt.Sprint(int64(arrow.Timestamp(at.Value(row))))
					}
					if got = append(got, v); column.IsNull(row) {
						nulls[batch.ColumnName(j)]++
					}
				}
				if !slices.Equal(got, want) {
					t.Fatalf("%s, row %d:\n%q\n%q", path, i, got, want)
				}
				i++
			}
		}
		r.Release()
		if i != 120 || report.Rows != 120 {
			t.Errorf("%s: %d rows, %d in the report", path, i, report.Rows)
		}
		for _, column := range report.Columns {
			if column.Nulls != nulls[column.Name] {
				t.Errorf("%s: %d NULL of %s in the report, %d in the rows", path, column.Nulls, column.Name, nulls[column.Name])
			}
		}
	}
}

// TestEmptyRowGroups: the columns of a row group without rows lie nowhere, and nothing of them is looked at.
func TestEmptyRowGroups(t *testing.T) {
	options := ingest.Options{Policy: document.Policy{Dataset: "o.d", Owner: "o", Unit: document.Unit{None: true}, Columns: map[string]document.Column{
		"n": {Type: "bigint", Role: "measure"}, "text": {Type: "varchar", Role: "dimension"},
	}}}
	if _, report, err := ingest.All(t.Context(), options, ingest.Path("testdata/empty-groups.parquet")); err != nil || report.Rows != 5 {
		t.Errorf("%d rows, %v", report.Rows, err)
	}
}
