package upload

import (
	"bytes"
	"strings"
)

// foreign are beginnings of files that are often handed in and that nothing here reads. Those that are text are written in any case.
// ../testdata/foreign.json has a vector of each; ui/web/src/lib/upload/foreign.ts has the same list.
var foreign = []struct {
	start string
	text  bool
	what  string
}{
	{"PK\x03\x04", false, "it is a workbook (xlsx, ods) or a zip archive: save the sheet as CSV, or unpack it"},
	{"\xd0\xcf\x11\xe0", false, "it is an old workbook (xls): save the sheet as CSV"},
	{"BZh", false, "it is packed with bzip2: unpack it, or pack it with gzip or zstd"},
	{"\xfd7zXZ\x00", false, "it is packed with xz: unpack it, or pack it with gzip or zstd"},
	{"7z\xbc\xaf", false, "it is a 7z archive: unpack it"},
	{"%PDF", false, "it is a PDF: export the table as CSV"},
	{"SQLite format 3", false, "it is an SQLite database: export the table as CSV or Parquet"},
	{"Obj\x01", false, "it is an Avro file: write it as Parquet"},
	{"<!DOCTYPE", true, "it is a web page, perhaps in place of the file that was to be downloaded"},
	{"<html", true, "it is a web page, perhaps in place of the file that was to be downloaded"},
	{"<?xml", true, "it is XML: export the table as CSV"},
	{"sep=", true, "its first line is sep=…, which Excel writes: remove that line"},
}

// Foreign says what a file of another format is and what to do with it, by its first bytes (after unpacking); empty where they could be of a format that
// is read.
func Foreign(start []byte) string {
	text := bytes.TrimLeft(bytes.TrimPrefix(start, []byte("\xef\xbb\xbf")), " \t\r\n")
	for _, f := range foreign {
		if begins := text[:min(len(text), len(f.start))]; string(begins) == f.start || f.text && strings.EqualFold(string(begins), f.start) {
			return f.what
		}
	}
	if rest, list := bytes.CutPrefix(text, []byte("[")); list && bytes.HasPrefix(bytes.TrimLeft(rest, " \t\r\n"), []byte("{")) {
		return "it is one JSON list: write one object a line (JSON lines), as jq -c '.[]' does"
	}
	if len(start) >= 4 && (start[0] != 0 && start[1] == 0 && start[2] != 0 && start[3] == 0 || start[0] == 0 && start[1] != 0 && start[2] == 0 && start[3] != 0) {
		return "it is UTF-16 without a byte order mark: save it as UTF-8"
	}
	return ""
}
