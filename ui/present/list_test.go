package present_test

import (
	"bytes"
	"testing"

	"concordat.dev/policies/change"
	"concordat.dev/ui/present"
)

func TestRecords(t *testing.T) {
	raw := []byte(`[{"b":"x","a":1234,"secret":1},{"a":2,"c":{"d":[1]},"b":null}]`)
	g, err := present.Records(raw, "secret")
	if err != nil {
		t.Fatal(err)
	}
	var table, csv, json bytes.Buffer
	for format, out := range map[present.Format]*bytes.Buffer{present.Table: &table, present.CSV: &csv, present.JSON: &json} {
		if err := g.List(out, format, raw); err != nil {
			t.Fatal(err)
		}
	}
	if want := "b      a  c\n─  ─────  ─────────\nx  1,234\n       2  {\"d\":[1]}\n"; table.String() != want {
		t.Errorf("%s", table.String())
	}
	if want := "b,a,c\nx,1234,\n,2,\"{\"\"d\"\":[1]}\"\n"; csv.String() != want {
		t.Errorf("%s", csv.String())
	}
	if json.String() != string(raw)+"\n" {
		t.Errorf("%s", json.String())
	}
	for _, bad := range []string{`{}`, `[1]`, `[{"a":}]`} {
		if _, err := present.Records([]byte(bad)); err == nil {
			t.Errorf("accepted %s", bad)
		}
	}
}

func TestDiff(t *testing.T) {
	changes, err := change.Fields(
		[]byte(`{"a":1,"list":[1,2],"people":[{"id":"x","roles":["r"]},{"id":"y"}]}`),
		[]byte(`{"a":2,"list":[1,2],"people":[{"id":"new"},{"id":"x","roles":["r","s"]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	present.Changes(&b, changes)
	want := `- a: 1
+ a: 2
+ people[new].id: "new"
- people[x].roles: ["r"]
+ people[x].roles: ["r","s"]
- people[y].id: "y"
`
	if b.String() != want {
		t.Errorf("%s", b.String())
	}
}

func TestReport(t *testing.T) {
	for raw, want := range map[string]string{
		`{"dataset":"d","accepted":false,"read":1000,"errors":[{"row":7,"column":"age","kind":"type","cause":"not an integer","value":"\"x\""},{"row":0,"cause":"no column id"}],"error_counts":{"type":21,"fields":4}}`: "d rejected: 25 errors in 1,000 rows; the version before stays as it is\nfields: 4, type: 21\n" +
			"  row 7, column age: not an integer: \"x\"\n  the file: no column id\n  and 23 more\n",
		`{"dataset":"d","accepted":true,"rows":3,"units":2,"ignored":["case.id"],"dropped":{"no_unit":1},"rows_per_unit":{"p50":1,"p95":2,"max":2},"columns":[{"name":"age","type":"integer","nulls":4}]}`: "d accepted: 3 rows of 2 units\n" +
			"rows of one unit: median 1, 95 % have at most 2, most 2\n1 row without an identifier were dropped\nnot read, since hidden or not in the policy: case.id\n" +
			"column  type     missing  out of domain (NULL)  not finite (NULL)  out of bounds (clamped)\n" +
			"──────  ───────  ───────  ────────────────────  ─────────────────  ───────────────────────\n" +
			"age     integer        4                     0                  0                        0\n",
		`{"dataset":"d","accepted":true,"read":4,"rows":3,"units":2,"tolerated":1,"dropped":{"bad":1,"shared_unit":2},"identifiers":{"first":2,"second":1,"linked":1,"crowded":1},"errors":[{"file":2,"row":7,"column":"age","cause":"not an integer","value":"\"x\""}],"error_counts":{"type":1}}`: "d accepted: 3 rows of 2 units\n" +
			"2 rows with a second identifier that stands beside several first ones were dropped\n1 row with errors were dropped, 1 tolerated\n" +
			"  file 2, row 7, column age: not an integer: \"x\"\n" +
			"2 rows by the first identifier, 1 by the second as no row says whose it is, 1 by the first one beside it in other rows\n" +
			"1 first identifier with too many second ones beside them link nothing; look for placeholders\n" +
			"column  type  missing  out of domain (NULL)  not finite (NULL)  out of bounds (clamped)\n" +
			"──────  ────  ───────  ────────────────────  ─────────────────  ───────────────────────\n",
	} {
		r, err := present.ParseReport([]byte(raw))
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := r.Write(&b); err != nil || b.String() != want {
			t.Errorf("%v\n%s\nwant:\n%s", err, b.String(), want)
		}
	}
}
