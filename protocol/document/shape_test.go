package document

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// Text that would keep the parser busy is refused before it is parsed, with its place. Parsed, the least of these would take minutes.
func TestShape(t *testing.T) {
	fill := func(s string) string { return strings.Repeat(s, (MaxSize-64)/len(s)) }
	var keys, flow strings.Builder
	for i := range 50_000 {
		fmt.Fprintf(&keys, "k%d: 1\n", i)
		fmt.Fprintf(&flow, "k%d: 1,\n", i)
	}
	for name, text := range map[string]string{
		"brackets": fill("["), "brackets by line": fill("[\n"), "braces": fill("{a: "), "dashes": fill("- "), "dashes by line": fill("-\n"), "questions": fill("? "),
		"fields": keys.String(), "fields below": "columns:\n " + strings.ReplaceAll(keys.String(), "\n", "\n "), "fields in braces": "{" + flow.String() + "}",
		"after a quote that stays open": "a: 'b\n" + fill("["), "in a quote that ended": "a: [\"b\nc, \" " + strings.Repeat("[", 40) + "\"]",
		"behind a word with a quote": "a: [x 'y " + strings.Repeat("[", 40) + "']", "lines": fill("\n"), "a line": fill("x"), "indentation": strings.Repeat(" ", 300) + "a: b",
	} {
		_, _, err := ParsePolicy("p.yaml", []byte(text))
		if syntax := (*SyntaxError)(nil); !errors.As(err, &syntax) || syntax.Line == 0 {
			t.Errorf("%s: %v", name, err)
		}
		if checkShape("p.yaml", []byte(text)) == nil {
			t.Errorf("%s is left to the parser", name)
		}
	}
}

// What people write is no such text.
func TestShapeLeavesDocumentsAlone(t *testing.T) {
	var people, columns, domain strings.Builder
	for i := range maxPeople {
		fmt.Fprintf(&people, "  - id: p%d@clinic.example # it's one of 'them [[\n    participant: clinic\n    roles: [analyst]\n    keys: [\"ed25519:AAAA\"]\n", i)
	}
	for i := range maxColumns {
		fmt.Fprintf(&columns, "  c%d:\n    type: varchar\n    role: hidden\n", i)
		fmt.Fprintf(&domain, "'[%d,%d)', \"{%d:\", ", i, i+1, i)
	}
	for name, text := range map[string]string{
		"people": "people:\n" + people.String(), "columns": "columns:\n" + columns.String(), "intervals": "domain: [" + domain.String() + "]",
		"in brackets": "people: [" + strings.Repeat("{id: a, keys: [\"b:c\"]},\n", maxPeople) + "]",
	} {
		if err := checkShape("m.yaml", []byte(text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
