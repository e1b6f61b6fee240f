package upload_test

import (
	"strings"
	"testing"

	"concordat.dev/protocol/upload"
)

func TestForeign(t *testing.T) {
	for start, want := range map[string]string{
		"PK\x03\x04\x14\x00":               "workbook",
		"\xfd7zXZ\x00\x00":                 "xz",
		"BZh91AY":                          "bzip2",
		"\ufeff<html><body>":               "web page",
		"\n <!doctype html>":               "web page",
		"sep=;\r\nid;n\r\n":                "remove that line",
		"[{\"id\":1},":                     "one object a line",
		"[\n  {":                           "one object a line",
		"i\x00d\x00,\x00":                  "UTF-16",
		"\x00i\x00d\x00,":                  "UTF-16",
		"id,n\n1,2\n":                      "",
		"[id],[n]\n":                       "",
		"<id>,n\n":                         "",
		"PAR1\x15\x04\x15":                 "",
		"ARROW1\x00\x00\xff\xff":           "",
		"\xff\xff\xff\xff\x10\x01\x00\x00": "",
		"\xff\xfei\x00d\x00":               "",
		"\x10\x00\x00\x00\x00\x00\x0a\x00": "", // an Arrow stream from before 0.15
		"":                                 "",
		"{\"id\":1}":                       "",
		"\x1f\x8b\x08\x00\x00\x00\x00\x00": "",
		"separator,n\n":                    "",
	} {
		if got := upload.Foreign([]byte(start)); (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%q: %q, want %q", start, got, want)
		}
	}
}
