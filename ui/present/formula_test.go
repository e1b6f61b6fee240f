package present_test

import (
	"bytes"
	"testing"

	"concordat.dev/ui/present"
)

// A list for a spreadsheet holds what other people wrote, and none of it is a formula.
func TestListsHoldNoFormulas(t *testing.T) {
	g := present.Grid{Columns: []present.Column{{Name: "query"}, {Name: "rho"}}, Rows: [][]string{
		{`=HYPERLINK("http://evil.example","x")`, "-1.5e-3"}, {"@SUM(A1)", "+2"}, {"-2+3", "0.5"}, {"SELECT 1", "-"},
	}}
	var out bytes.Buffer
	if err := g.List(&out, present.CSV, []byte("[]")); err != nil {
		t.Fatal(err)
	}
	want := "query,rho\n\"'=HYPERLINK(\"\"http://evil.example\"\",\"\"x\"\")\",-1.5e-3\n'@SUM(A1),+2\n'-2+3,0.5\nSELECT 1,'-\n"
	if out.String() != want {
		t.Errorf("got  %s\nwant %s", out.String(), want)
	}
}
