package ingest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"concordat.dev/protocol/document"
	"concordat.dev/protocol/upload"
	"concordat.dev/worker/ingest"
)

// What can't be read at all is told in the report, which alone reaches the owner: what is wrong, and what to do.
func TestRefusedFilesAreReported(t *testing.T) {
	rows := "id,n\n" + strings.Repeat("1,2\n", 300_000)
	long := packed(t, rows, "gzip")
	damaged := bytes.Clone(long)
	damaged[len(damaged)/2] ^= 0xff
	batch := visitsBatch(t)
	defer batch.Release()
	parquet, arrow := parquetFile(t, batch, 2), arrowStream(t, batch)
	for name, x := range map[string]struct {
		file []byte
		want string
	}{
		"cut gzip":        {long[:len(long)/2], "gzip: unexpected EOF; it was cut off or damaged"},
		"cut early":       {packed(t, "id,n\n1,2\n", "gzip")[:20], "gzip: unexpected EOF; it was cut off or damaged"},
		"damaged gzip":    {damaged, "pack it again"},
		"behind gzip":     {append(packed(t, "id,n\n1,2\n", "gzip"), "rubbish, and rubbish"...), "has something behind its end"},
		"not zstd":        {[]byte("\x28\xb5\x2f\xfdrubbish"), "zstd: "},
		"CR alone":        {[]byte("id,n\r1,2\r3,4\r"), "a carriage return stands inside its first line; lines have to end with LF or CRLF"},
		"workbook":        {[]byte("PK\x03\x04\x14\x00\x06\x00rest"), "save the sheet as CSV"},
		"packed workbook": {packed(t, "PK\x03\x04\x14\x00\x06\x00rest", "gzip"), "save the sheet as CSV"},
		"web page":        {[]byte("<!DOCTYPE html>"), "web page"},
		"list":            {[]byte(`[{"id":"1","n":2}]`), "one object a line"},
		"UTF-16":          {[]byte("i\x00d\x00,\x00n\x00"), "UTF-16 without a byte order mark"},
		"sep":             {[]byte("sep=;\r\nid;n\r\n1;2\r\n"), "remove that line"},
		"twice":           {[]byte("id,n,n\n1,2,3\n"), `the header names column "n" twice`},
		"long":            {[]byte("id,n\n1,2\n3," + strings.Repeat("x", 2<<20)), "row 2: a record is longer than 1 MiB"},
		"cut Parquet":     {parquet[:len(parquet)-20], "write or copy it again"},
		"cut Arrow":       {arrow[:len(arrow)*2/3], "write or copy it again"},
	} {
		o := options(t, policy(false, map[string]document.Column{"n": {Type: "integer", Role: "measure"}}))
		o.Policy.MaxRows = 1 << 20
		source := raw(x.file)
		if strings.Contains(name, "Parquet") || strings.Contains(name, "Arrow") {
			o, source = options(t, visits()), anywhere(x.file)
		}
		_, report, err := ingest.All(t.Context(), o, source)
		if !errors.Is(err, ingest.ErrFormat) || report.Accepted || len(report.Errors) == 0 || report.ErrorCounts["file"] != 1 {
			t.Errorf("%s: %v %+v", name, err, report.Errors)
			continue
		}
		if e := report.Errors[0]; e.Kind != "file" || e.Row != 0 || !strings.Contains(e.Cause, x.want) || strings.Contains(e.Cause, "can't be read") {
			t.Errorf("%s: %+v, want %q", name, e, x.want)
		}
	}
}

// A report that has errors of rows already begins with what is wrong with the file, and stays as long as it may be.
func TestRefuse(t *testing.T) {
	o := options(t, policy(false, map[string]document.Column{"n": {Type: "integer", Role: "measure"}}))
	_, report, err := ingest.All(t.Context(), o, text("id,n\n"+strings.Repeat("1,x\n", 300_000)+"1,\""+strings.Repeat("x", 2<<20)))
	if !errors.Is(err, ingest.ErrFormat) || len(report.Errors) != 20 || report.Errors[0].Kind != "file" || report.Errors[1].Kind != "type" || report.ErrorCounts["type"] == 0 {
		t.Errorf("%v %+v", err, report.Errors)
	}
}

// What was to be done is said with each bad value, and a word for a missing one is told apart.
func TestCauses(t *testing.T) {
	for value, want := range map[string]string{
		"1.234,50": "without units or grouped thousands", "€ 5": "without units or grouped thousands", "NULL": "leave a missing value empty", " n/a ": "leave a missing value empty", "-": "leave a missing value empty",
	} {
		o := options(t, policy(false, map[string]document.Column{"v": {Type: "double", Role: "measure"}}))
		_, report, err := ingest.All(t.Context(), o, text("id;v\n1;"+value+"\n"))
		if !errors.Is(err, ingest.ErrRejected) || !strings.Contains(report.Errors[0].Cause, want) {
			t.Errorf("%q: %+v", value, report.Errors)
		}
	}
	o := options(t, policy(false, map[string]document.Column{"v": {Type: "varchar", Role: "dimension"}}))
	_, report, err := ingest.All(t.Context(), o, text(`{"id":"1","v":["x"]}`+"\n"+`{"id":"2","v":{"x":1}}`+"\n"))
	if !errors.Is(err, ingest.ErrRejected) || len(report.Errors) != 2 || !strings.Contains(report.Errors[0].Cause, "an object or a list") {
		t.Errorf("%v %+v", err, report.Errors)
	}
}

func TestTimesWithoutSeconds(t *testing.T) {
	o := options(t, policy(false, map[string]document.Column{"v": {Type: "timestamp", Role: "time"}}))
	o.Dialect = upload.Dialect{Date: "DD.MM.YYYY"}
	c, _, err := ingest.All(t.Context(), o, text("id;v\n1;02.03.2024 10:00\n2;02.03.2024T23:59Z\n3;02.03.2024 00:30+01:00\n"))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, rows(t, o, c, "1", "2", "3"), []string{"1 2024-03-02T10:00:00", "2 2024-03-02T23:59:00", "3 2024-03-01T23:30:00"})
}

// What is no character of the encoding that was said, or that a mark tells, is a bad value and not one that somebody made up.
func TestBytesThatAreNoCharacters(t *testing.T) {
	for name, x := range map[string]struct{ encoding, file, want string }{
		"utf-8":        {"", "id,v\n1,a\xff\n2,b\n", "not text of the encoding"},
		"windows-1252": {upload.Windows1252, "id,v\n1,a\x81\n2,\xe9\n", "not text of the encoding"},
		"utf-16":       {"", "\xff\xfe" + wide("id,v\n1,a") + "\x00\xd8" + wide("\n2,b\n"), "not text of the encoding"},
		"half":         {"", "\xff\xfe" + wide("id,v\n2,b\n1,a") + "a", "not text of the encoding"},
	} {
		o := options(t, policy(false, map[string]document.Column{"v": {Type: "varchar", Role: "dimension"}}))
		o.Dialect.Encoding, o.Tolerance = x.encoding, 1
		c, report, err := ingest.All(t.Context(), o, stream(iotest.OneByteReader(strings.NewReader(x.file))))
		if err != nil || len(report.Errors) != 1 || !strings.Contains(report.Errors[0].Cause, x.want) {
			t.Errorf("%s: %v %+v", name, err, report.Errors)
			continue
		}
		want := "2 b"
		if x.encoding != "" {
			want = "2 é"
		}
		equal(t, rows(t, o, c, "2"), []string{want})
	}
}

// wide is ASCII as UTF-16, the lower byte first.
func wide(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		b.Write([]byte{c, 0})
	}
	return b.String()
}

var errGone = errors.New("the store is gone")

// failingAfter gives the bytes, and then the store's error.
type failingAfter struct{ r io.Reader }

func (f failingAfter) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if errors.Is(err, io.EOF) {
		err = errGone
	}
	return n, err
}

func (failingAfter) Close() error { return nil }

// A file that does not come whole from where it is stored is no fault of the file: it may be tried again.
func TestStoreFails(t *testing.T) {
	batch := visitsBatch(t)
	defer batch.Release()
	arrow := arrowStream(t, batch)
	plain := []byte("id,n\n" + strings.Repeat("1,2\n", 300_000))
	zipped := packed(t, string(plain), "gzip")
	for name, file := range map[string][]byte{"nothing": nil, "csv": plain[:9], "long csv": plain, "gzip's head": zipped[:5], "gzip": zipped[:len(zipped)/2], "arrow": arrow[:len(arrow)/2], "arrow's head": arrow[:40]} {
		o := options(t, policy(false, map[string]document.Column{"n": {Type: "integer", Role: "measure"}}))
		if strings.HasPrefix(name, "arrow") {
			o = options(t, visits())
		}
		_, report, err := ingest.All(t.Context(), o, func(context.Context) (io.ReadCloser, error) { return failingAfter{bytes.NewReader(file)}, nil })
		if !errors.Is(err, errGone) || errors.Is(err, ingest.ErrFormat) || slices.ContainsFunc(report.Errors, func(e ingest.RowError) bool { return e.Kind == "file" }) {
			t.Errorf("%s: %v %+v", name, err, report.Errors)
		}
	}
}
