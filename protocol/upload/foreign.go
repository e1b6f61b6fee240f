package upload

import "bytes"

// foreign are beginnings of files that are often handed in and that nothing here reads.
var foreign = []struct{ start, what string }{
	{"PK\x03\x04", "it is a workbook (xlsx, ods) or a zip archive: save the sheet as CSV, or unpack it"},
	{"\xd0\xcf\x11\xe0", "it is an old workbook (xls): save the sheet as CSV"},
	{"BZh", "it is packed with bzip2: unpack it, or pack it with gzip or zstd"},
	{"\xfd7zXZ\x00", "it is packed with xz: unpack it, or pack it with gzip or zstd"},
	{"7z\xbc\xaf", "it is a 7z archive: unpack it"},
	{"%PDF", "it is a PDF: export the table as CSV"},
	{"SQLite format 3", "it is an SQLite database: export the table as CSV or Parquet"},
	{"Obj\x01", "it is an Avro file: write it as Parquet"},
	{"<!DOCTYPE", "it is a web page, perhaps in place of the file that was to be downloaded"},
	{"<html", "it is a web page, perhaps in place of the file that was to be downloaded"},
	{"<?xml", "it is XML: export the table as CSV"},
	{"sep=", "its first line is sep=…, which Excel writes: remove that line"},
}

// Foreign says what a file of another format is and what to do with it, by its first bytes (after unpacking); empty where they could be of a format that
// is read.
func Foreign(start []byte) string {
	text := bytes.TrimLeft(bytes.TrimPrefix(start, []byte("\xef\xbb\xbf")), " \t\r\n")
	for _, f := range foreign {
		if len(text) >= len(f.start) && bytes.EqualFold(text[:len(f.start)], []byte(f.start)) {
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
