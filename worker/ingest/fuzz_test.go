package ingest_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow/array"

	"concordat.dev/protocol/document"
	"concordat.dev/worker/ingest"
)

// FuzzFile looks for panics, for batches that break Arrow's rules and for reports that don't add up.
func FuzzFile(f *testing.F) {
	f.Add([]byte("id,a,b,c,d,e\n1,2,3.5,x,2024-01-01,t\n"), int64(0), false)
	f.Add([]byte("id;a;b;c;d;e\n1;;;;;\n;;;;;\n\"2\";\"3\";\"\"\"\";\"\n\";;f\r\n2;x;y"), int64(3), true)
	f.Add([]byte("\x1f\x8b\x08\x00\x00\x00\x00\x00"), int64(0), true)
	f.Add([]byte(`{"id":"1","a":2,"b":3.5,"c":"x","d":"2024-01-01","e":true}`+"\n"+`{"id":"1","a":null}`), int64(1), false)
	f.Add([]byte("\xff\xfei\x00d\x00,\x00a\x00,\x00b\x00,\x00c\x00,\x00d\x00,\x00e\x00\n\x001\x00,\x00,\x00,\x00,\x00,\x00\n\x00"), int64(0), false)
	f.Fuzz(func(t *testing.T, file []byte, tolerance int64, unique bool) {
		o := options(t, policy(unique, map[string]document.Column{
			"a": {Type: "integer", Role: "measure", Bounds: &[2]float64{0, 9}}, "b": {Type: "double", Role: "measure"},
			"c": {Type: "varchar", Role: "dimension", Domain: &document.Domain{Values: []any{"x"}}}, "d": {Type: "date", Role: "time"}, "e": {Type: "boolean", Role: "dimension"},
		}))
		o.Tolerance, o.Policy.MaxRows, o.Parallel = tolerance, 2, 1
		c, report, err := ingest.All(t.Context(), o, raw(file))
		if err != nil {
			return
		}
		var rows int64
		r, err := c.Reader()
		if err != nil {
			t.Fatal(err)
		}
		for r.Next() {
			rows += r.RecordBatch().NumRows()
			for _, column := range r.RecordBatch().Columns() {
				if v, ok := column.(interface{ ValidateFull() error }); ok && v.ValidateFull() != nil {
					t.Error(v.ValidateFull())
				}
			}
		}
		d := report.Dropped
		if rows != report.Rows || report.Read != rows+d.Bad+d.NoUnit+d.MalformedUnit+d.Excess || d.Bad > max(tolerance, 0) {
			t.Errorf("%d rows, but %+v", rows, report)
		}
	})
}

// FuzzAgainstEncodingCSV compares with the standard library on every text that both accept.
func FuzzAgainstEncodingCSV(f *testing.F) {
	f.Add("1,a\n2,\"b \"\" c\"\n")
	f.Add("1,\"x\r\ny\"\r\n\r\n\n3,")
	f.Fuzz(func(t *testing.T, body string) {
		if strings.Contains(body, "\r") { // the standard library turns \r\n into \n inside quotes too
			return
		}
		o := options(t, policy(false, map[string]document.Column{"v": {Type: "varchar", Role: "dimension"}}))
		c, report, err := ingest.All(t.Context(), o, text("id,v\n"+body))
		if err != nil {
			return
		}
		want := csv.NewReader(strings.NewReader(body))
		var values []string
		for {
			record, err := want.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("we accept what the standard library calls %v", err)
			}
			if id := strings.TrimSpace(record[0]); id != "" && utf8.ValidString(id) && id != "\ufeff" {
				values = append(values, record[1])
			}
		}
		r, err := c.Reader()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for r.Next() {
			column := r.RecordBatch().Column(1).(*array.String)
			for i := range column.Len() {
				got = append(got, column.Value(i))
			}
		}
		if strings.Join(got, "\x00") != strings.Join(values, "\x00") || report.Rows != int64(len(values)) {
			t.Errorf("got %q, want %q", got, values)
		}
	})
}

// FuzzAgainstEncodingJSON compares with the standard library on every object that we accept.
func FuzzAgainstEncodingJSON(f *testing.F) {
	for _, body := range []string{`"x"`, `-1.5e+3`, `null`, `true`, `"\ud83d\ude00\u0041\n"`, `"y","w":[{"v":1},[]]`, `"z","\u0076":1`} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		if strings.ContainsAny(body, "\n\r") {
			return
		}
		o := options(t, policy(false, map[string]document.Column{"v": {Type: "varchar", Role: "dimension"}}))
		line := `{"id":"1","v":` + body + "}"
		c, report, err := ingest.All(t.Context(), o, text(line))
		if err != nil || report.Rows != 1 {
			return
		}
		d := json.NewDecoder(strings.NewReader(line))
		d.UseNumber()
		var object map[string]any
		if err := d.Decode(&object); err != nil || d.More() {
			t.Fatalf("we accept %q, which the standard library calls %v", line, err)
		}
		want := ""
		if v := object["v"]; v != nil {
			want = fmt.Sprint(v)
		}
		r, err := c.Reader()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Release()
		for r.Next() {
			if got := r.RecordBatch().Column(1).(*array.String).Value(0); got != want && object["id"] == "1" {
				t.Errorf("%q: got %q, want %q", line, got, want)
			}
		}
	})
}

// A line of a gigabyte, in quotes or not, and a bomb of zeros end at the limit of a record.
func TestHugeLine(t *testing.T) {
	o := options(t, policy(false, map[string]document.Column{"v": {Type: "varchar", Role: "dimension"}}))
	for _, start := range []string{"id,v\n1,2\n3,", "id,v\n1,2\n3,\"\n"} {
		file := func() io.Reader { return io.MultiReader(strings.NewReader(start), io.LimitReader(zeros{}, 1<<30)) }
		read := &counting{r: file()}
		_, _, err := ingest.All(t.Context(), o, stream(read))
		if !errors.Is(err, ingest.ErrFormat) || !strings.Contains(err.Error(), "row ") || read.n > 4<<20 {
			t.Errorf("%v after %d bytes", err, read.n)
		}
	}
	if _, _, err := ingest.All(t.Context(), o, stream(bytes.NewReader(nil))); !errors.Is(err, ingest.ErrFormat) {
		t.Error(err)
	}
}
