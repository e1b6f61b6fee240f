package sample_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"concordat.dev/protocol/document"
	"concordat.dev/protocol/upload"
	"concordat.dev/ui/sample"
)

// lint says what is wrong with a drafted policy, put into a manifest that has its namespace.
func lint(t testing.TB, text string) *document.Policy {
	t.Helper()
	p, _, err := document.ParsePolicy("draft.yaml", []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	b := &document.Bundle{
		Manifest: &document.Manifest{
			APIVersion: document.APIVersion, Kind: "Manifest", Collaboration: "test", Version: 1, Purpose: "test", Expires: "2099-12-31",
			Participants: []document.Participant{{ID: p.Owner, Name: p.Owner}}, Namespaces: map[string]document.Namespace{p.Unit.Namespace: {}},
			Datasets: []document.Dataset{{ID: p.Dataset, Owner: p.Owner, Policy: "p.yaml"}},
		},
		Policies: map[string]*document.Policy{p.Dataset: p},
	}
	b.Manifest, b.Policies[p.Dataset] = b.Manifest.WithDefaults(), p.WithDefaults()
	for _, problem := range b.Validate(document.Draft) {
		t.Errorf("%s\n%s", problem, text)
	}
	return p
}

func visits(rows int) string {
	var b strings.Builder
	b.WriteString("patient_id;Alter;geschlecht;gewicht;aufnahme;plz;station\n")
	for i := range rows {
		fmt.Fprintf(&b, "P%05d;%d;%s;%d,%d;%02d.%02d.2025;%05d;%s\n", i%(rows/2), 20+i%70, []string{"m", "w", "d"}[i%3], 50+i%40, i%10, 1+i%28, 1+i%12, i*7, []string{"a'b", "yes", "3"}[i%3])
	}
	return b.String()
}

func read(t testing.TB, text string, d upload.Dialect) *sample.Table {
	t.Helper()
	table, err := sample.Read(strings.NewReader(text), d, nil)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestDraft(t *testing.T) {
	table := read(t, visits(400), upload.Dialect{})
	text, err := table.Policy(sample.Draft{Dataset: "clinic.visits"})
	if err != nil {
		t.Fatal(err)
	}
	p := lint(t, text)
	if table.Dialect != (upload.Dialect{Delimiter: ";", Date: "DD.MM.YYYY", Decimal: ","}) {
		t.Errorf("%+v", table.Dialect)
	}
	if p.Owner != "clinic" || p.Unit.Column != "patient_id" || p.Unit.Namespace != "patient" || p.Unit.Unique || p.Release.RowsPerGroup != 2 {
		t.Errorf("%+v %+v", p.Unit, p.Release)
	}
	for name, want := range map[string]string{
		"patient_id": "varchar identifier", "Alter": "integer measure", "geschlecht": "varchar dimension", "gewicht": "double measure",
		"aufnahme": "date time", "plz": "varchar hidden", "station": "varchar dimension",
	} {
		if c := p.Columns[name]; c.Type+" "+c.Role != want {
			t.Errorf("%s: %s %s, want %s", name, c.Type, c.Role, want)
		}
	}
	if b := p.Columns["Alter"].Bounds; b == nil || b[0] > 20 || b[1] < 89 {
		t.Errorf("bounds %v", b)
	}
	if c := p.Columns["gewicht"]; c.Scale != 0.1 {
		t.Errorf("%+v", c)
	}
	for line := range strings.Lines(text) {
		if strings.Contains(line, "bounds:") && !strings.Contains(line, "check me") {
			t.Errorf("no mark: %s", line)
		}
	}
}

// Any table that can be drafted gives a policy that lint accepts.
func TestDraftsLint(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 2))
	kinds := []func(i int) string{
		func(int) string { return "" },
		func(i int) string { return fmt.Sprint(i * 1000) },
		func(int) string { return fmt.Sprint(random.Int64() - 1<<62) },
		func(int) string { return fmt.Sprint(random.NormFloat64() * 1e-7) },
		func(int) string { return fmt.Sprint(random.Float64() * 1e12) },
		func(int) string { return "5" },
		func(int) string {
			return []string{"null", "~", "#x", "a: b", "'", `"`, "é\u0085", "0x1", "1e3", "- a"}[random.IntN(10)]
		},
		func(i int) string { return []string{"true", "False"}[i%2] },
		func(i int) string { return fmt.Sprintf("20%02d-01-02 03:04:05", i%90+10) },
		func(i int) string { return fmt.Sprintf("%08x-0000-0000-0000-000000000000", i) },
		func(i int) string { return fmt.Sprint(-i % 3) },
		func(i int) string { return fmt.Sprintf("%03d", i%40) },
	}
	for n := range 60 {
		rows := 1 + random.IntN(300)
		var b bytes.Buffer
		b.WriteString("id")
		var columns []func(int) string
		for k := range 1 + random.IntN(8) {
			columns = append(columns, kinds[random.IntN(len(kinds))])
			fmt.Fprintf(&b, "\tc%d", k)
		}
		for i := range rows {
			fmt.Fprintf(&b, "\nu%d", i/(1+n%4))
			for _, c := range columns {
				b.WriteString("\t" + c(i))
			}
		}
		text, err := read(t, b.String(), upload.Dialect{Delimiter: "\t", Quote: upload.NoQuote}).Policy(sample.Draft{Dataset: "a.b"})
		if err != nil {
			t.Fatal(err)
		}
		lint(t, text)
	}
}

func TestReadings(t *testing.T) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write([]byte("id|n\n1|2\n")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]struct {
		text   string
		given  upload.Dialect
		format string
		rows   string
	}{
		"gzip":        {packed.String(), upload.Dialect{}, upload.CSV, "[[1 2]]"},
		"json":        {`{"id":"1","n":2}` + "\n" + `{"id":"2","m":[1]}`, upload.Dialect{}, upload.JSONLines, "[[1 2 ] [2  [1]]]"},
		"quotes":      {"id,n\n'a,b',\"\n", upload.Dialect{Quote: "'"}, upload.CSV, `[[a,b "]]`},
		"no quotes":   {"id,n\n\"a,\"\n", upload.Dialect{Quote: upload.NoQuote}, upload.CSV, `[["a "]]`},
		"utf-16":      {"\xff\xfei\x00d\x00,\x00n\x00\n\x001\x00,\x002\x00", upload.Dialect{}, upload.CSV, "[[1 2]]"},
		"windows":     {"id,n\n\xe9,1\n", upload.Dialect{Encoding: upload.Windows1252}, upload.CSV, "[[é 1]]"},
		"parquet":     {"PAR1....", upload.Dialect{}, upload.Parquet, "[]"},
		"a lone line": {"id,n", upload.Dialect{}, upload.CSV, "[]"},
		"a bad line":  {`{"id":"1"}` + "\n{]\n" + `{"id":"2"}`, upload.Dialect{}, upload.JSONLines, "[[1] [2]]"},
		"bad UTF-8":   {"id,n\n\xe9,1\n", upload.Dialect{Encoding: upload.UTF8}, upload.CSV, "[[\xe9 1]]"},
	} {
		table, err := sample.Read(strings.NewReader(x.text), x.given, nil)
		if err != nil || table.Format != x.format || fmt.Sprint(table.Rows) != x.rows {
			t.Errorf("%s: %v %+v", name, err, table)
		}
	}
	for text, says := range map[string]string{
		"": "empty", "\x1f\x8bxx": "gzip", "{]\n": "no line of it", packed.String()[:packed.Len()-9]: "pack it again", packed.String() + "rubbish, rubbish": "pack it again",
		"PK\x03\x04": "workbook", `[{"id":1}]`: "one object a line", "i\x00d\x00": "UTF-16", "sep=;\nid;n\n": "remove that line", "id,n\r1,2\r3,4\r": "carriage returns",
	} {
		if _, err := sample.Read(strings.NewReader(text), upload.Dialect{}, nil); !errors.Is(err, sample.ErrUnread) || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := sample.Read(strings.NewReader("id,n\nK\xf6ln,1\n"), upload.Dialect{}, nil); !errors.Is(err, sample.ErrAmbiguous) || !strings.Contains(err.Error(), "--encoding windows-1252") {
		t.Errorf("Latin-1: %v", err)
	}
}

func TestDatesThatMayBeEither(t *testing.T) {
	policy := &document.Policy{Columns: map[string]document.Column{"day": {Type: "date", Role: "time"}}}
	for text, want := range map[string]string{
		"day\n2025-01-02\n": "", "day\n31/12/2025\n": "DD/MM/YYYY", "day\n12/31/2025\n": "MM/DD/YYYY", "day\nsoon\n": "", "day\n01/02/2025\n": "?",
	} {
		table := read(t, text, upload.Dialect{})
		err := table.Fit(policy)
		if want == "?" {
			if !errors.Is(err, sample.ErrAmbiguous) || !strings.Contains(err.Error(), "DD/MM/YYYY or MM/DD/YYYY") {
				t.Errorf("%q: %v", text, err)
			}
		} else if err != nil || table.Dialect.Date != want {
			t.Errorf("%q: %v %q", text, err, table.Dialect.Date)
		}
	}
}

// A comma before three digits may group thousands: a thousandth of what was meant is worse than a question.
func TestCommasThatMayGroup(t *testing.T) {
	policy := &document.Policy{Columns: map[string]document.Column{"n": {Type: "double", Role: "measure"}}}
	for text, want := range map[string]string{
		"id;n\na;1,200\nb;300\n": "?", "id;n\na;1,200\nb;3,5\n": ",", "id;n\na;0,200\n": ",", "id;n\na;1,200\nb;3.5\n": "", "id;n\na;12\n": "", "id;n\na;1200,500\n": ",",
	} {
		table := read(t, text, upload.Dialect{})
		err := table.Fit(policy)
		if want == "?" {
			if !errors.Is(err, sample.ErrAmbiguous) || !strings.Contains(err.Error(), "1,200") {
				t.Errorf("%q: %v", text, err)
			}
		} else if err != nil || table.Dialect.Decimal != want {
			t.Errorf("%q: %v %q, want %q", text, err, table.Dialect.Decimal, want)
		}
	}
}

// What the worker would not read as the policy says is told while the policy is drafted.
func TestDraftTellsOfTrouble(t *testing.T) {
	for text, want := range map[string]string{
		"id,seen\na,2025-01-02 10:00\nb,2025-01-03 11:30\n": "seen: {type: timestamp, role: time",
		"id,cost\na,1.5\nb,NULL\nc,-\nd,2.5\n":              "cost: {type: varchar, role: hidden} # check me: it would be double but for words",
		`{"id":"a","v":{"x":1}}` + "\n" + `{"id":"b"}`:      "v: {type: varchar, role: hidden} # check me: objects or lists",
	} {
		got, err := read(t, text, upload.Dialect{}).Policy(sample.Draft{Dataset: "a.b"})
		if err != nil || !strings.Contains(got, want) {
			t.Errorf("%q: %v\n%s", text, err, got)
			continue
		}
		lint(t, got)
	}
	if _, err := read(t, "id^n\n1^2\n", upload.Dialect{}).Policy(sample.Draft{}); !errors.Is(err, sample.ErrUnread) || !strings.Contains(err.Error(), "--delimiter") {
		t.Error(err)
	}
}
