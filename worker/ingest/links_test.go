package ingest_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"concordat.dev/protocol/document"
	"concordat.dev/worker/ingest"
	"concordat.dev/worker/token"
)

// contacts are options of a dataset with two identifiers: an email, else a phone number.
func contacts(t testing.TB) ingest.Options {
	t.Helper()
	p := policy(false, map[string]document.Column{
		"mobile": {Type: "varchar", Role: "hidden"}, "n": {Type: "integer", Role: "measure"}, "secret": {Type: "varchar", Role: "hidden"},
	})
	p.Unit.Then = "mobile"
	rules := document.Namespace{Normalize: "email", Then: &document.Further{Name: "phone", Normalize: "phone_e164", Region: "DE"}}
	o := ingest.Options{Policy: p, ShowValues: true}
	var err error
	if o.Tokenizer, err = token.New(bytes.Repeat([]byte{1}, 32), "study", "person", rules); err != nil {
		t.Fatal(err)
	}
	if o.Second, err = token.NewIdentifier(bytes.Repeat([]byte{1}, 32), "study", "person", "phone", rules); err != nil {
		t.Fatal(err)
	}
	return o
}

// whose names the unit of each row: the email or number that has its token.
func whose(t *testing.T, o ingest.Options, c *ingest.Collect, emails, numbers []string) []string {
	t.Helper()
	names := map[token.Token]string{}
	for _, e := range emails {
		tok, _ := o.Tokenizer.Token([]byte(e))
		names[tok] = e
	}
	for _, n := range numbers {
		tok, _ := o.Second.Token([]byte(n))
		names[tok] = n
	}
	out := rowsNamed(t, c, names)
	return out
}

func TestSecondIdentifier(t *testing.T) {
	emails, numbers := []string{"a@m.de", "b@m.de", "c@m.de"}, []string{"030 901820", "030 901821", "030 901822", "030 901823"}
	for _, c := range []struct {
		name, text string
		want       []string
		report     string // first second linked crowded | no_unit malformed shared | units
	}{
		{"the first that has a normal form", "id,mobile,n\nA@m.de,030 901820,1\n,030 901821,2\nno mail,+49 30 901822,3\n,,4\n,12,5\n",
			[]string{"a@m.de 1", "030 901821 2", "030 901822 3"}, "1 2 0 0 | 1 1 0 | 3"},
		{"a row by its number is that of the email beside it", "id,mobile,n\n,030 901820,1\na@m.de,030 901820,2\nb@m.de,,3\n,030 901821,4\n",
			[]string{"a@m.de 1", "a@m.de 2", "b@m.de 3", "030 901821 4"}, "2 1 1 0 | 0 0 0 | 3"},
		{"a number of two is nobody's, and makes no one of them", "id,mobile,n\na@m.de,030 901820,1\nb@m.de,030 901820,2\n,030 901820,3\na@m.de,030 901821,4\n,030 901821,5\n",
			[]string{"a@m.de 1", "b@m.de 2", "a@m.de 4", "a@m.de 5"}, "3 0 1 0 | 0 0 1 | 2"},
		{"without links nothing is read twice", "id,mobile,n\na@m.de,030 901820,1\n,030 901821,2\n", []string{"a@m.de 1", "030 901821 2"}, "1 1 0 0 | 0 0 0 | 2"},
	} {
		for _, parallel := range []int{1, 4} {
			o := contacts(t)
			o.Parallel = parallel
			got, report, err := ingest.All(t.Context(), o, text(c.text))
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			equal(t, whose(t, o, got, emails, numbers), c.want)
			i, d := report.Identifiers, report.Dropped
			if have := fmt.Sprint(i.First, i.Second, i.Linked, i.Crowded, " | ", d.NoUnit, d.MalformedUnit, d.SharedUnit, " | ", report.Units); strings.Join(strings.Fields(have), " ") != c.report {
				t.Errorf("%s: %s, want %s", c.name, have, c.report)
			}
			if fmt.Sprint(report.Ignored) != "[]" && c.name != "" {
				t.Errorf("%s: ignored %v", c.name, report.Ignored)
			}
		}
	}
}

// One bad email, in rows with everybody's number, joins nobody.
func TestCrowdedIdentifierLinksNothing(t *testing.T) {
	var b strings.Builder
	b.WriteString("id,mobile,n\n")
	for i := range 5 {
		fmt.Fprintf(&b, "a@m.de,030 90182%d,%d\n,030 90182%d,%d\n", i, i, i, 10+i)
	}
	b.WriteString("b@m.de,030 901820,20\n")
	o := contacts(t)
	c, report, err := ingest.All(t.Context(), o, text(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	// Without the bad email's links, the number …820 is b's, and the others stand for themselves.
	if i := report.Identifiers; i.Crowded != 1 || i.Linked != 1 || i.Second != 4 || report.Units != 6 {
		t.Errorf("%+v %d", i, report.Units)
	}
	if got := whose(t, o, c, []string{"b@m.de"}, nil); got[1] != "b@m.de 10" {
		t.Errorf("%q", got)
	}
}

// The cap on rows of a unit and uniqueness count the rows that came by the second identifier.
func TestLinkedRowsAreCounted(t *testing.T) {
	o := contacts(t)
	o.Policy.MaxRows = 2
	const rows = "id,mobile,n\na@m.de,030 901820,1\n,030 901820,2\n,030 901820,3\n"
	_, report, err := ingest.All(t.Context(), o, text(rows))
	if err != nil || report.Rows != 2 || report.Dropped.Excess != 1 || report.Units != 1 || report.RowsPerUnit.Max != 2 {
		t.Errorf("%+v %v", report, err)
	}
	o.Policy.Unit.Unique = true
	_, report, err = ingest.All(t.Context(), o, text("id,mobile,n\na@m.de,030 901820,1\n,030 901820,2\n"))
	if !errors.Is(err, ingest.ErrRejected) || report.Duplicates != 1 {
		t.Errorf("%+v %v", report, err)
	}
}

// Whichever format rows come in, and however they are ordered, the same rows are the same persons'.
func TestSecondIdentifierInOtherFormats(t *testing.T) {
	o := contacts(t)
	lines := `{"id":null,"mobile":"030 901820","n":1}
{"id":"a@m.de","mobile":"030 901820","n":2}
{"id":["x"],"mobile":"030 901821","n":3}
`
	c, report, err := ingest.All(t.Context(), o, text(lines))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, whose(t, o, c, []string{"a@m.de"}, []string{"030 901821"}), []string{"a@m.de 1", "a@m.de 2", "030 901821 3"})
	if report.Units != 2 {
		t.Errorf("%+v", report)
	}
	if _, _, err := ingest.All(t.Context(), o, text("id,n\na@m.de,1\n")); !errors.Is(err, ingest.ErrFormat) || !strings.Contains(err.Error(), "mobile") {
		t.Errorf("without the second identifier's column: %v", err)
	}
	o.Second = nil
	if _, _, err := ingest.All(t.Context(), o, text(lines)); err == nil {
		t.Error("read without a tokenizer of the second identifier")
	}
}
