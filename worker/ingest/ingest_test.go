package ingest_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"concordat.dev/protocol/document"
	"concordat.dev/worker/ingest"
	"concordat.dev/worker/token"
)

func text(s string) ingest.Source { return raw([]byte(s)) }

func raw(b []byte) ingest.Source {
	return func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
}

func policy(unique bool, columns map[string]document.Column) document.Policy {
	columns["id"] = document.Column{Type: "varchar", Role: "identifier"}
	return document.Policy{Dataset: "clinic.patients", Owner: "clinic", Unit: document.Unit{Column: "id", Namespace: "patient", Unique: unique}, Columns: columns}
}

func options(t testing.TB, p document.Policy) ingest.Options {
	t.Helper()
	tokenizer, err := token.New(bytes.Repeat([]byte{1}, 32), "study", "patient", document.Namespace{Normalize: "trim"})
	if err != nil {
		t.Fatal(err)
	}
	return ingest.Options{Policy: p, Tokenizer: tokenizer, ShowValues: true}
}

// rows prints what a sink received, the unit as the identifier that has its token.
func rows(t *testing.T, o ingest.Options, c *ingest.Collect, ids ...string) []string {
	t.Helper()
	names := map[token.Token]string{}
	for _, id := range ids {
		tok, ok := o.Tokenizer.Token([]byte(id))
		if !ok {
			t.Fatalf("%q has no token", id)
		}
		names[tok] = id
	}
	return rowsNamed(t, c, names)
}

func rowsNamed(t *testing.T, c *ingest.Collect, names map[token.Token]string) []string {
	t.Helper()
	reader, err := c.Reader()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Release()
	var out []string
	for reader.Next() {
		batch := reader.RecordBatch()
		for i := range int(batch.NumRows()) {
			var cells []string
			for k := range int(batch.NumCols()) {
				column := batch.Column(k)
				cell := column.ValueStr(i)
				if unit, ok := column.(*array.FixedSizeBinary); ok {
					cell = names[token.Token(unit.Value(i))]
				} else if column.IsNull(i) {
					cell = "-"
				}
				cells = append(cells, cell)
			}
			out = append(out, strings.Join(cells, " "))
		}
	}
	return out
}

func equal(t *testing.T, got, want []string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestTypes(t *testing.T) {
	p := policy(false, map[string]document.Column{
		"b": {Type: "boolean", Role: "dimension"}, "c": {Type: "integer", Role: "dimension"}, "d": {Type: "bigint", Role: "dimension"},
		"e": {Type: "double", Role: "dimension"}, "f": {Type: "decimal", Role: "dimension"}, "g": {Type: "varchar", Role: "dimension"},
		"h": {Type: "date", Role: "time"}, "i": {Type: "timestamp", Role: "time"}, "j": {Type: "uuid", Role: "dimension"},
		"secret": {Type: "varchar", Role: "hidden"},
	})
	o := options(t, p)
	_, report, err := ingest.All(t.Context(), o, text("\ufeff"+`extra,"id",B,c,d,e,f,g,h,i,j,secret
x,7,true,-5,9223372036854775807,0.1,12.50,"a, ""b""
c",2024-02-29,2024-02-29T23:59:59.5+01:00,123E4567-e89b-12d3-a456-426614174000,hush
x, 7 ,N, 60.0 ,-9223372036854775808,-1e-3,1e400x,é,1970-01-01,1970-01-01 00:00:00,,
x,8,,,,,,,,,,`+"\r\n\r\nx,9,1,2147483647,+1,NaN,.5,z,0001-01-01,2024-01-01 00:00:00.123456789Z,,\n"))
	if !errors.Is(err, ingest.ErrRejected) || len(report.Errors) != 1 || report.Errors[0].String() != `row 2, column f: not a number like 1234.5, without units or grouped thousands: "1e400x"` {
		t.Fatalf("%v %+v", err, report.Errors)
	}
	o.Tolerance = 1
	c, report, err := ingest.All(t.Context(), o, text("\ufeff"+`extra,"id",B,c,d,e,f,g,h,i,j,secret
x,7,true,-5,9223372036854775807,0.1,12.50,"a, ""b""
c",2024-02-29,2024-02-29T23:59:59.5+01:00,123E4567-e89b-12d3-a456-426614174000,hush
x, 7 ,N, 60.0 ,-9223372036854775808,-1e-3,1e400x,é,1970-01-01,1970-01-01 00:00:00,,
x, 7 ,N, 60.0 ,-9223372036854775808,-1e-3,-1e300,é,1970-01-01,1970-01-01 00:00:00,,
x,8,,,,,,,,,,`+"\r\n\r\nx,9,1,2147483647,+1,NaN,.5,z,0001-01-01,2024-01-01 00:00:00.123456789Z,,\n"))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, rows(t, o, c, "7", "8", "9"), []string{
		"true -5 9223372036854775807 0.1 12.5 a, \"b\"\nc 2024-02-29 2024-02-29T22:59:59.5 7 123e4567-e89b-12d3-a456-426614174000",
		"false 60 -9223372036854775808 -0.001 -1e+300 é 1970-01-01 1970-01-01T00:00:00 7 -",
		"- - - - - - - - 8 -",
		"true 2147483647 1 - 0.5 z 0001-01-01 2024-01-01T00:00:00.123456 9 -",
	})
	if got := fmt.Sprint(report.Ignored, report.Read, report.Rows, report.Units, report.Dropped); got != "[extra secret] 5 4 3 {0 0 0 0 0 1}" {
		t.Error(got)
	}
	if e := report.Columns[3]; e.Name != "e" || e.Nulls != 1 || e.NotFinite != 1 {
		t.Errorf("%+v", e)
	}
	if schema, _ := ingest.Schema(p); schema.HasField("secret") {
		t.Error("a hidden column stays")
	}
}

func TestTypeErrors(t *testing.T) {
	for typ, values := range map[string][]string{
		"boolean":   {"maybe", "2", "truee", "tru"},
		"integer":   {"2147483648", "-2147483649", "1.5", "x", "1e3", "-", "0x10", "1_000"},
		"bigint":    {"9223372036854775808", "-9223372036854775809", "99999999999999999999999"},
		"double":    {"1,5x", "0x1p4", "1_0", "--1", "1e", "."},
		"decimal":   {"ten"},
		"varchar":   {"\xff"},
		"date":      {"2023-02-29", "2024-13-01", "2024-00-10", "24-01-01", "2024/01/01", "2024-01-01 00:00:00", "0000-01-01", "2024-04-31"},
		"timestamp": {"2024-01-01", "2024-01-01 24:00:00", "2024-01-01 00:60:00", "2024-01-01 00:00:60", "2024-01-01 00:00:00.", "2024-01-01 00:00:00+1", "2024-01-01 00:0", "2024-01-01 00:00:", "2024-01-01 00:00:0", "2024-01-01 00:00.5", "2024-01-01 24:00", "2024-01-01 00:00:00+25:00"},
		"uuid":      {"123e4567e89b12d3a456426614174000", "123e4567-e89b-12d3-a456-42661417400g"},
	} {
		for _, value := range values {
			o := options(t, policy(false, map[string]document.Column{"v": {Type: typ, Role: "dimension"}}))
			_, report, err := ingest.All(t.Context(), o, text("id,v\n1,\n2,\""+value+"\"\n"))
			if !errors.Is(err, ingest.ErrRejected) || len(report.Errors) != 1 || report.Errors[0].Row != 2 || report.Errors[0].Column != "v" || report.Errors[0].Kind != "type" {
				t.Errorf("%s %q: %v %+v", typ, value, err, report.Errors)
			}
		}
	}
}

func TestDomainAndBounds(t *testing.T) {
	from, to := int64(0), int64(1)
	o := options(t, policy(false, map[string]document.Column{
		"age":  {Type: "integer", Role: "measure", Bounds: &[2]float64{18, 100}},
		"kind": {Type: "varchar", Role: "dimension", Domain: &document.Domain{Values: []any{"a", "b", nil}}},
		"male": {Type: "integer", Role: "dimension", Domain: &document.Domain{From: &from, To: &to}},
		"code": {Type: "bigint", Role: "dimension", Domain: &document.Domain{Values: []any{int64(3), 5}}},
		"on":   {Type: "boolean", Role: "dimension", Domain: &document.Domain{Values: []any{true}}},
		"day":  {Type: "date", Role: "dimension", Domain: &document.Domain{Values: []any{"2024-01-01"}}},
	}))
	c, report, err := ingest.All(t.Context(), o, text("id,age,kind,male,code,on,day\n1,17,a,0,3,t,2024-01-01\n2,101,B,2,4,f,2024-01-02\n3,18,,1,5,,\n"))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, rows(t, o, c, "1", "2", "3"), []string{"17 3 2024-01-01 1 a 0 true", "101 - - 2 - - -", "18 5 - 3 - 1 -"})
	got := ""
	for _, r := range report.Columns {
		got += fmt.Sprintf("%s %d %d %d;", r.Name, r.Nulls, r.OutOfDomain, r.OutOfBounds)
	}
	if got != "age 0 0 2;code 0 1 0;day 1 1 0;id 0 0 0;kind 1 1 0;male 0 1 0;on 1 1 0;" {
		t.Error(got)
	}
}

func TestUnits(t *testing.T) {
	p := policy(false, map[string]document.Column{"n": {Type: "integer", Role: "measure"}})
	p.Columns["id"] = document.Column{Type: "integer", Role: "identifier"}
	o := options(t, p)
	c, report, err := ingest.All(t.Context(), o, text("id;n\n007;1\n;2\nx;3\n7.0;4\n"))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, rows(t, o, c, "7"), []string{"7 1", "7 4"})
	if report.Dropped != (ingest.Dropped{NoUnit: 1, MalformedUnit: 1}) || report.Units != 1 || report.Rows != 2 || report.RowsPerUnit.Max != 2 {
		t.Errorf("%+v", report)
	}
}

func TestPublicReferenceData(t *testing.T) {
	p := document.Policy{Dataset: "ref", Unit: document.Unit{None: true}, Columns: map[string]document.Column{"a": {Type: "varchar", Role: "dimension"}}}
	c, report, err := ingest.All(t.Context(), ingest.Options{Policy: p}, text("a\nx\nx\n"))
	if err != nil || report.Rows != 2 || report.Units != 0 || report.RowsPerUnit != nil {
		t.Fatalf("%v %+v", err, report)
	}
	equal(t, rows(t, ingest.Options{}, c), []string{"x", "x"})
}

func TestDuplicates(t *testing.T) {
	o := options(t, policy(true, map[string]document.Column{"n": {Type: "integer", Role: "measure"}}))
	file := text("id,n\n1,1\n2,x\n 1,3\n2,4\n1,5\n")
	_, report, err := ingest.All(t.Context(), o, file)
	var got []string
	for _, e := range report.Errors {
		got = append(got, e.String())
	}
	equal(t, got, []string{`row 2, column n: not an integer of 32 bits: "x"`, "row 3, column id: the same unit as row 1, and the policy says unique: true", "row 5, column id: the same unit as row 1, and the policy says unique: true"})
	if !errors.Is(err, ingest.ErrRejected) || report.Accepted || report.Duplicates != 2 {
		t.Errorf("%v %+v", err, report)
	}
	o.Tolerance = 3
	c, report, err := ingest.All(t.Context(), o, file)
	if err != nil || !report.Accepted {
		t.Fatal(err)
	}
	equal(t, rows(t, o, c, "1", "2"), []string{"1 1", "2 4"})
}

// Of a unit with too many rows exactly the cap stays, the same rows each time, not simply the first.
func TestCap(t *testing.T) {
	var file strings.Builder
	file.WriteString("id,n\n")
	for i := range 60_000 {
		fmt.Fprintf(&file, "%d,%d\n", i%2*(1+i%7919), i)
	}
	p := policy(false, map[string]document.Column{"n": {Type: "integer", Role: "measure"}})
	p.MaxRows = 40
	o := options(t, p)
	kept := func(o ingest.Options) (heavy []string, report ingest.Report) {
		c, report, err := ingest.All(t.Context(), o, text(file.String()))
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows(t, o, c, "0") {
			if strings.HasPrefix(row, "0 ") {
				heavy = append(heavy, row)
			}
		}
		return heavy, report
	}
	first, report := kept(o)
	if len(first) != 40 || report.Rows != 30_040 || report.Dropped.Excess != 29_960 || report.Dropped.ExcessUnits != 1 || report.RowsPerUnit.Max != 40 || report.Units != 7920-0 {
		t.Errorf("%d rows stay; %+v", len(first), report)
	}
	if first[39] == "0 78" {
		t.Error("the first rows were chosen")
	}
	o.Parallel = 1
	again, _ := kept(o)
	equal(t, again, first)
	o.Tokenizer, _ = token.New(bytes.Repeat([]byte{2}, 32), "study", "patient", document.Namespace{})
	other, _ := kept(o)
	if strings.Join(other, "") == strings.Join(first, "") {
		t.Error("the choice doesn't depend on the key")
	}
}

func TestHeader(t *testing.T) {
	o := options(t, policy(false, map[string]document.Column{"n": {Type: "integer", Role: "measure"}, "N2": {Type: "integer", Role: "measure"}}))
	for file, want := range map[string]string{
		"":                                  "it is empty",
		"id,m\n1,2\n":                       `the header lacks N2, n: name`,
		"id,n,ID,n2\n1,2,3,4\n":             "",
		"id,n,N2,Id,id\n1,2,3,4,5\n":        `twice`,
		"id|n|n2\n1|2|3\n":                  "",
		"id\tn\tn2\r\n1\t2\t3\r\n":          "",
		"\"id\",n,n2\n":                     "",
		"\"id,n,n2\n1,2,3\n":                "a quote isn't closed",
		"\xff\xfei\x00d\x00":                "the header lacks",
		"\x1f\x8b\x00rubbish":               "gzip",
		strings.Repeat("x", 3<<20):          "longer than 1 MiB",
		"\"" + strings.Repeat("x\n", 2<<20): "longer than 1 MiB",
	} {
		_, _, err := ingest.All(t.Context(), o, text(file))
		switch {
		case want == "" && err != nil, want != "" && (!errors.Is(err, ingest.ErrFormat) || !strings.Contains(err.Error(), want)):
			t.Errorf("%.30q: %v, want %q", file, err, want)
		}
	}
}

func TestBrokenRows(t *testing.T) {
	o := options(t, policy(false, map[string]document.Column{"n": {Type: "varchar", Role: "dimension"}}))
	for row, want := range map[string]string{
		"1":      "row 2: it has 1 fields, the header 2; a field that holds the delimiter has to be in quotes",
		"1,2,3":  "row 2: it has 3 fields, the header 2; a field that holds the delimiter has to be in quotes",
		`1,a"b`:  "row 2: a quote inside a field that doesn't begin with one: put the field in quotes, and write each quote in it twice",
		`1,"a"b`: "row 2: text after a closing quote: a quote inside quotes is written twice",
		`1,"a" `: "row 2: text after a closing quote: a quote inside quotes is written twice",
		`1,"abc`: "row 2: a quote isn't closed",
	} {
		_, report, err := ingest.All(t.Context(), o, text("id,n\n1,\"x\n\"\"y\"\n"+row+"\n3,z"))
		if !errors.Is(err, ingest.ErrRejected) || report.Errors[0].String() != want {
			t.Errorf("%s: %v", row, err)
		}
	}
}

// Errors are counted beyond those that are shown, and rows keep their numbers over all stretches of a long file.
func TestManyErrors(t *testing.T) {
	var file strings.Builder
	file.WriteString("id,n\n")
	const n = 400_000
	for i := 1; i <= n; i++ {
		if i%10_000 == 0 {
			fmt.Fprintf(&file, "%d,bad\n", i)
		} else {
			fmt.Fprintf(&file, "%d,%d\n", i, i)
		}
	}
	o := options(t, policy(true, map[string]document.Column{"n": {Type: "integer", Role: "measure"}}))
	_, report, err := ingest.All(t.Context(), o, text(file.String()))
	if !errors.Is(err, ingest.ErrRejected) || report.ErrorCounts["type"] != n/10_000 || len(report.Errors) != 20 || report.Errors[19].Row != 200_000 {
		t.Errorf("%v %+v", err, report)
	}
}

// An error may be logged: of a file without a header only the report tells what its first row holds.
func TestNoHeader(t *testing.T) {
	o := options(t, policy(false, map[string]document.Column{"n": {Type: "integer", Role: "measure"}}))
	_, report, err := ingest.All(t.Context(), o, text("Ann Example;17\nBob Example;18\n"))
	if !errors.Is(err, ingest.ErrFormat) || strings.Contains(err.Error(), "Ann") || len(report.Header) != 1 || report.Header[0] != "Ann Example;17" {
		t.Errorf("%v %q", err, report.Header)
	}
}

// A file of many stretches with quotes everywhere comes out as it went in, gzip or not.
func TestLongFile(t *testing.T) {
	var file strings.Builder
	file.WriteString("id,n\n")
	var want []string
	for i := range 60_000 {
		value := fmt.Sprintf("%d\n,\"%d", i, i*7)
		fmt.Fprintf(&file, "%d,\"%s\"\r\n", i%10, strings.ReplaceAll(value, `"`, `""`))
		want = append(want, fmt.Sprintf("%d %s", i%10, value))
	}
	p := policy(false, map[string]document.Column{"n": {Type: "varchar", Role: "dimension"}})
	p.MaxRows = 1e6
	o := options(t, p)
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := io.WriteString(z, file.String()); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for _, source := range []ingest.Source{text(file.String()), raw(zipped.Bytes())} {
		c, _, err := ingest.All(t.Context(), o, source)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, rows(t, o, c, "0", "1", "2", "3", "4", "5", "6", "7", "8", "9"), want)
	}
	if _, _, err := ingest.All(t.Context(), o, raw(zipped.Bytes()[:zipped.Len()-100])); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("truncated gzip: %v", err)
	}
	o.MaxBytes = 1000
	if _, _, err := ingest.All(t.Context(), o, raw(zipped.Bytes())); !errors.Is(err, ingest.ErrFormat) {
		t.Errorf("limit: %v", err)
	}
}

// The report's quantiles are of rows a unit, and its hint names the rows_per_group that counts 95 of 100 units in full.
func TestRowsPerUnitAndHint(t *testing.T) {
	var file strings.Builder
	file.WriteString("id,n\n")
	for unit := range 100 {
		for range map[bool]int{true: 2, false: 7}[unit < 90] + 10*(unit/98) {
			fmt.Fprintf(&file, "u%d,1\n", unit)
		}
	}
	o := options(t, policy(false, map[string]document.Column{"n": {Type: "integer", Role: "measure"}}))
	_, report, err := ingest.All(t.Context(), o, text(file.String()))
	if err != nil {
		t.Fatal(err)
	}
	r := *report.RowsPerUnit
	if hint := r.Hint; r.P50 != 2 || r.P90 != 2 || r.P95 != 7 || r.P99 != 17 || r.Max != 17 || !strings.HasPrefix(hint, "rows_per_group: 7 would count 95 %") {
		t.Errorf("%+v", r)
	}
	_, report, err = ingest.All(t.Context(), o, text("id,n\nu1,1\nu2,1\n"))
	if err != nil || report.RowsPerUnit.Max != 1 || report.RowsPerUnit.Hint != "" {
		t.Errorf("one row each: %v %+v", err, report.RowsPerUnit)
	}
}

type failing struct{ *ingest.Collect }

var errSink = errors.New("sink is full")

func (failing) Write(b arrow.RecordBatch) error { b.Release(); return errSink }

func TestSinkAndContext(t *testing.T) {
	o := options(t, policy(false, map[string]document.Column{"n": {Type: "varchar", Role: "dimension"}}))
	file := text("id,n\n" + strings.Repeat("1,2\n", 900) + strings.Repeat("\n", 5<<20))
	c, err := ingest.NewCollect(o.Policy)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ingest.File(t.Context(), o, file, failing{c}); !errors.Is(err, errSink) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := ingest.File(ctx, o, file, c); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func stream(r io.Reader) ingest.Source {
	return func(context.Context) (io.ReadCloser, error) { return io.NopCloser(r), nil }
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'z'
	}
	return len(p), nil
}

type counting struct {
	r io.Reader
	n int
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}
