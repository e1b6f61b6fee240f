package document_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
)

func TestYAMLRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"kind: Policy\nkinds: x\n":                           `p.yaml:2:1: unknown key "kinds"; known here: apiVersion, kind`,
		"unit: {column: a, colum: b}\n":                      `p.yaml:1:19: unit: unknown key "colum"; known here: column, namespace, unique`,
		"columns:\n  age: {type: integer, rolle: measure}\n": `p.yaml:2:24: columns.age: unknown key "rolle"`,
		"kind: a\nkind: b\n":                                 `p.yaml:2:1: not YAML: mapping key "kind" already defined`,
		"columns:\n  a: {type: x}\n  a: {type: y}\n":         "p.yaml:3:3: not YAML: mapping key",
		"kind: a\n---\nkind: b\n":                            "p.yaml:3:1: a second document",
		"a: &x 1\nb: *x\n":                                   "p.yaml:1:4: anchors",
		"<<: {a: 1}\n":                                       "p.yaml:1:1: anchors",
		"kind: !!str Policy\n":                               "p.yaml:1:7: anchors",
		"? kind\n: a\n":                                      "p.yaml:1:1: keys are plain names",
		"1: x\n":                                             "p.yaml:1:1: want a name as key, have 1",
		"- a\n":                                              "p.yaml:1:1: want fields (key: value), have a list",
		"kind: [\n":                                          "p.yaml:1:7: not YAML",
		"":                                                   "p.yaml:1:1: the file is empty",
		"# only this\n":                                      "p.yaml:1:1: the file is empty",
		"kind: \xff\n":                                       "p.yaml:1:1: not plain UTF-8",
		"\ufeffkind: Policy\n":                               "byte order mark",
		"kind:\n":                                            "kind: want text, have nothing",
		"kind: 1\n":                                          "p.yaml:1:7: kind: want text, have 1; put it in quotes",
		"kind: 1e3\n":                                        "kind: want text, have 1e3",
		"kind: true\n":                                       "kind: want text, have true",
		"anti_overlap: \"true\"\n":                           "anti_overlap: want true or false",
		"anti_overlap: True\n":                               "anti_overlap: want true or false",
		"unit: nothing\n":                                    "unit: want {column, namespace} or the word none",
		"release: {min_units: 10.0}\n":                       "release.min_units: want an integer",
		"release: {min_units: 0x10}\n":                       "release.min_units: want an integer",
		"release: {min_units: 99999999999999999999}\n":                     "release.min_units: want an integer",
		"release: {max_groups: 0}\n":                                       "p.yaml:1:23: release.max_groups: must not be zero",
		"budget: {rho: .inf}\n":                                            "budget.rho: want a finite number",
		"budget: {rho: 1e999}\n":                                           "budget.rho: want a finite number",
		"budget: {rho: '1'}\n":                                             "budget.rho: want a finite number",
		"columns: {a: {bounds: [1]}}\n":                                    "columns.a.bounds: want 2 values, have 1",
		"columns: {a: {bounds: 1}}\n":                                      "columns.a.bounds: want a list",
		"columns: {a: {domain: {from: 1}}}\n":                              "columns.a.domain: a range needs from and to",
		"columns: {a: {domain: {from: 1, to: 5, by: 1}}}\n":                `columns.a.domain: unknown key "by"`,
		"columns: {a: {domain: 5}}\n":                                      "columns.a.domain: want fields",
		"columns: {a: {domain: [01234]}}\n":                                "columns.a.domain[0]: want text, an integer",
		"columns: {a: {domain: [1.5]}}\n":                                  "columns.a.domain[0]: want text, an integer",
		"columns: {a: {domain: [[1]]}}\n":                                  "columns.a.domain[0]: want text, an integer",
		strings.Repeat("kind: {", 40) + strings.Repeat("}", 40):            "nested deeper",
		"kind: " + strings.Repeat("x", document.MaxSize):                   "at most",
		"columns: {a: {grain: 0x5}}\n":                                     "columns.a.grain: want text, have 0x5",
		"columns: {a: {type: integer, role: measure, grain: ''}}\n":        "columns.a.grain: must not be zero",
		"release:\n  mechanism: threshold\n  rows_per_group: 0\njoins: ''": "p.yaml:3:19: release.rows_per_group: must not be zero",
	} {
		_, _, err := document.ParsePolicy("p.yaml", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80q:\n got %v\nwant %s", text, err, want)
		}
	}
}

func TestYAMLForms(t *testing.T) {
	p, src, err := document.ParsePolicy("p.yaml", []byte(`
unit: none
columns:
  a: {type: integer, role: measure, grain: 5.50, bounds: [-1, 2.5]}
  b: {type: date, role: time, grain: day}
  c: {type: varchar, role: dimension, domain: [18-24, 65+, "01234", null, yes]}
  d: {type: integer, role: dimension, domain: {from: -2, to: 2}}
  e: {type: boolean, role: dimension, domain: [true, false]}
budget: {delta: 1e-6, rho: 0.5}
`))
	if err != nil {
		t.Fatal(err)
	}
	if !p.Unit.None || p.Columns["a"].Grain != "5.5" || *p.Columns["a"].Bounds != [2]float64{-1, 2.5} || p.Columns["b"].Grain != "day" || p.Budget.Delta != 1e-6 {
		t.Errorf("%+v", p)
	}
	var values []any
	for _, name := range []string{"c", "d", "e"} {
		for v := range p.Columns[name].Domain.Each {
			values = append(values, v)
		}
	}
	want := []any{"18-24", "65+", "01234", nil, "yes", int64(-2), int64(-1), int64(0), int64(1), int64(2), true, false}
	if !reflect.DeepEqual(values, want) || p.Columns["d"].Domain.Size() != 5 {
		t.Errorf("got %v", values)
	}
	if at := src.Find("columns.d.domain.from"); at != (document.Position{Line: 7, Column: 54}) {
		t.Errorf("position %v", at)
	}
	if at := src.Find("columns.d.scale"); at.Line != 7 {
		t.Errorf("a field that is not written is at %v", at)
	}
	b, err := p.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	back, err := document.ParsePolicyJSON(b)
	if err != nil || !reflect.DeepEqual(back, p) {
		t.Errorf("%s came back as %+v, %v", b, back, err)
	}
}

func TestJSONRefuses(t *testing.T) {
	good, err := json.Marshal(document.Policy{Columns: map[string]document.Column{"a": {Domain: &document.Domain{Values: []any{int64(1)}}}}})
	if err != nil {
		t.Fatal(err)
	}
	canonical, err := canon.Transform(good)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := document.ParsePolicyJSON(canonical); err != nil {
		t.Fatal(err)
	}
	for _, change := range [][2]string{
		{`"domain":[1]`, `"domain":[1.5]`}, {`"domain":[1]`, `"domain":[[1]]`}, {`"domain":[1]`, `"domain":{"from":1}`}, {`"domain":[1]`, `"domain":{"from":1,"to":2,"by":1}`},
		{`"unit":{"column":"","namespace":""}`, `"unit":"all"`}, {`"unit":{"column":"","namespace":""}`, `"unit":{"column":"","namespace":"","none":true}`},
		{`"domain":[1]`, `"domain":[9007199254740993]`}, {`"kind":""`, `"kind":null`},
	} {
		bad := strings.Replace(string(canonical), change[0], change[1], 1)
		if bad == string(canonical) {
			t.Fatalf("%s is not in %s", change[0], canonical)
		}
		if _, err := document.ParsePolicyJSON([]byte(bad)); err == nil {
			t.Errorf("accepted %s", bad)
		}
	}
}

// A third identifier is asked for often enough to be told why there is none.
func TestThirdIdentifier(t *testing.T) {
	text := "namespaces:\n  person: {normalize: email, then: {name: phone, normalize: phone_e164, then: {name: customer}}}\n"
	_, _, err := document.ParseManifest("manifest.yaml", []byte(text))
	if err == nil || !strings.Contains(err.Error(), "manifest.yaml:2:") || !strings.Contains(err.Error(), "namespaces.person.then.then: a namespace has two identifiers at most") {
		t.Error(err)
	}
}

func FuzzParsePolicy(f *testing.F) {
	f.Add([]byte("kind: Policy\nunit: {column: id, namespace: p}\ncolumns:\n  a: {type: integer, role: dimension, domain: {from: 0, to: 3}}\n"))
	f.Add([]byte("unit: none\nbudget: {rho: 1e-6}\n# c\nrelease:\n  min_units: 10\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		p, _, err := document.ParsePolicy("p.yaml", in)
		if err != nil {
			return
		}
		b, err := p.Canonical()
		if err != nil {
			return // integers beyond 2^53-1
		}
		if back, err := document.ParsePolicyJSON(b); err != nil {
			t.Fatalf("%s: %v %+v", b, err, back)
		}
	})
}

func FuzzParseManifestJSON(f *testing.F) {
	f.Add([]byte(`{"apiVersion":"","collaboration":"","datasets":null,"expires":"","kind":"","namespaces":{},"participants":[],"purpose":"","release":{},"version":0}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		m, err := document.ParseManifestJSON(in)
		if err != nil {
			return
		}
		if out, err := m.Canonical(); err != nil || string(out) != string(in) {
			t.Fatalf("%q has a second form %q, %v", in, out, err)
		}
	})
}
