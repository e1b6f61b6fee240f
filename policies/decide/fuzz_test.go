package decide_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"concordat.dev/policies/decide"
	"concordat.dev/policies/decide/decidetest"
	"concordat.dev/protocol/document"
)

// tolerable is how long judging one text may take at the very most; a slow machine under load stays far below it.
const tolerable = 20 * time.Second

// sound fails when a decision is not whole: refusals that say everything, or a release that can be carried out and reads no column
// where it may not stand.
func sound(t *testing.T, j *judge, text string) decide.Decision {
	t.Helper()
	start := time.Now()
	d := j.decide(t, text, 0)
	if took := time.Since(start); took > tolerable {
		t.Errorf("%s to judge %d bytes", took, len(text))
	}
	for _, r := range d.Refusals {
		complete(t, text, r)
	}
	if (d.Release == nil) != (len(d.Refusals) > 0) {
		t.Fatalf("release %v with %d refusals: %s", d.Release != nil, len(d.Refusals), text)
	}
	if d.Release != nil {
		if err := d.Release.Spec.Validate(); err != nil {
			t.Errorf("%v: %s", err, text)
		}
		for _, leak := range leaks(d.Release, j.policies) {
			t.Errorf("%s: %s", leak, text)
		}
	}
	return d
}

func FuzzDecide(f *testing.F) {
	bundle, err := document.LoadDir("testdata/room")
	if err != nil {
		f.Fatal(err)
	}
	j := newJudge(f, bundle.Policies)
	for _, text := range scripted(f) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) { sound(t, j, text) })
}

// scripted are the queries of testdata/decide.
func scripted(t testing.TB) []string {
	t.Helper()
	files, err := os.ReadDir("testdata/decide")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range files {
		raw, err := os.ReadFile("testdata/decide/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range strings.Split(string(raw), "\n\n") {
			if query, _, ok := strings.Cut(block, "\n----"); ok {
				if _, text, ok := strings.Cut(query, "\n"); ok {
					out = append(out, text)
				}
			}
		}
	}
	if len(out) < 200 {
		t.Fatalf("%d scripted queries", len(out))
	}
	return out
}

// TestMutants judges queries of the scripts and of the generator after words of them were exchanged for words of others: most are refused,
// none may break the judge or smuggle a column to where it may not stand.
func TestMutants(t *testing.T) {
	bundle, err := document.LoadDir("testdata/room")
	if err != nil {
		t.Fatal(err)
	}
	j := newJudge(t, bundle.Policies)
	texts := scripted(t)
	vocabulary := words(texts)
	accepted := 0
	c := decidetest.Seed(1)
	rounds := 3000
	if testing.Short() {
		rounds = 500
	}
	for range rounds {
		d := sound(t, j, mutant(c, texts[c.Below(len(texts))], vocabulary))
		if d.Release != nil {
			accepted++
		}
	}
	if accepted < rounds/50 {
		t.Errorf("%d of %d mutants are accepted: they test nothing", accepted, rounds)
	}
}

// words are the distinct words of texts, columns, functions and keywords among them.
func words(texts []string) []string {
	var out []string
	seen := map[string]bool{}
	for _, text := range texts {
		for _, w := range split(text) {
			if !seen[w] && len(w) < 40 && strings.TrimSpace(w) != "" {
				seen[w] = true
				out = append(out, w)
			}
		}
	}
	return out
}

// split cuts a text into words and what is between them.
func split(text string) []string {
	var out []string
	start := 0
	kind := func(b byte) bool { return b|0x20 >= 'a' && b|0x20 <= 'z' || b >= '0' && b <= '9' || b == '_' }
	for i := 1; i <= len(text); i++ {
		if i == len(text) || !kind(text[i]) || !kind(text[i-1]) {
			out = append(out, text[start:i])
			start = i
		}
	}
	return out
}

// columnNames are columns of red.visits.
var columnNames = strings.Fields("pid secret ward doctor zip urgent stage outcome age cost weight raw seen_on seen_at")

func isColumn(parts []string) []int {
	var out []int
	for i, p := range parts {
		for _, c := range columnNames {
			if p == c {
				out = append(out, i)
			}
		}
	}
	return out
}

func mutant(c *decidetest.Choice, text string, vocabulary []string) string {
	parts := split(text)
	for range 1 + c.Below(3) {
		i := c.Below(len(parts))
		if columns := isColumn(parts); len(columns) > 0 && c.Percent(60) {
			parts[columns[c.Below(len(columns))]] = columnNames[c.Below(len(columnNames))]
			continue
		}
		switch c.Below(6) {
		case 0:
			parts[i] = ""
		case 1:
			parts[i] += " " + vocabulary[c.Below(len(vocabulary))]
		case 2:
			k := c.Below(len(parts))
			parts[i], parts[k] = parts[k], parts[i]
		default:
			if strings.TrimSpace(parts[i]) == "" {
				i = max(0, i-1)
			}
			parts[i] = vocabulary[c.Below(len(vocabulary))]
		}
	}
	return strings.Join(parts, "")
}

// TestHuge judges texts that grow where a decoder or a binder could take exponential time or overflow a stack.
func TestHuge(t *testing.T) {
	bundle, err := document.LoadDir("testdata/room")
	if err != nil {
		t.Fatal(err)
	}
	j := newJudge(t, bundle.Policies)
	doubling := func(first, step, last string) string {
		out := "WITH a0 AS (" + first + ")"
		names := "abcdefghijklmnopqrstuvwxyz"
		for i := 1; i < 26; i++ {
			out += ", " + names[i:i+1] + "0 AS (" + strings.ReplaceAll(step, "PREV", names[i-1:i]+"0") + ")"
		}
		return out + " " + last
	}
	aliases := "SELECT 1 AS a0"
	for i := 1; i < 60; i++ {
		aliases += ", a" + digits(i-1) + " + a" + digits(i-1) + " AS a" + digits(i)
	}
	for name, text := range map[string]string{
		"parentheses":   "SELECT count(*) FROM red.visits WHERE " + strings.Repeat("(", 5000) + "urgent" + strings.Repeat(")", 5000),
		"not":           "SELECT count(*) FROM red.visits WHERE " + strings.Repeat("NOT ", 5000) + "urgent",
		"and":           "SELECT count(*) FROM red.visits WHERE urgent" + strings.Repeat(" AND urgent", 5000),
		"or":            "SELECT count(*) FROM red.visits WHERE age < 5" + strings.Repeat(" OR age < 10 AND urgent", 2500),
		"plus":          "SELECT sum(age" + strings.Repeat(" + age", 8000) + ") FROM red.visits",
		"functions":     "SELECT sum(" + strings.Repeat("abs(", 3000) + "age" + strings.Repeat(")", 3000) + ") FROM red.visits",
		"cases":         "SELECT sum(" + strings.Repeat("CASE WHEN urgent THEN 1 ELSE ", 1500) + "age" + strings.Repeat(" END", 1500) + ") FROM red.visits",
		"subqueries":    "SELECT count(*) FROM " + strings.Repeat("(SELECT * FROM ", 2000) + "red.visits" + strings.Repeat(") t", 2000),
		"unions":        "SELECT count(*) FROM (SELECT pid FROM red.visits" + strings.Repeat(" UNION ALL SELECT pid FROM red.visits", 1200) + ") t",
		"list":          "SELECT count(*) FROM red.visits WHERE doctor IN ('a'" + strings.Repeat(", 'b'", 12000) + ")",
		"items":         "SELECT count(*)" + strings.Repeat(", count(*)", 6000) + " FROM red.visits",
		"stars":         "SELECT " + strings.Repeat("*, ", 15000) + "1 FROM red.visits",
		"bytes":         "SELECT count(*) FROM red.visits WHERE ward = '" + strings.Repeat("x", 70000) + "'",
		"doubled CTE":   doubling("SELECT pid FROM red.visits", "SELECT p.pid FROM PREV p JOIN PREV q ON p.pid = q.pid", "SELECT count(*) FROM z0"),
		"empty CTE":     doubling("SELECT 1 AS x", "SELECT p.x FROM PREV p JOIN PREV q USING (x)", "SELECT count(*) FROM z0"),
		"unknown CTE":   doubling("SELECT * FROM nobody", "SELECT * FROM PREV p JOIN PREV q ON true", "SELECT count(*) FROM z0"),
		"doubled alias": aliases + " FROM red.visits",
		"quotes":        strings.Repeat("\"", 60000),
		"nothing":       "",
		"space":         strings.Repeat(" ", 60000),
		"zero bytes":    "SELECT \x00 count(*) FROM \x00red.visits",
		"not UTF-8":     "SELECT '\xff' FROM red.visits WHERE \xfe",
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			d := j.decide(t, text, 0)
			if took := time.Since(start); took > tolerable {
				t.Errorf("%s", took)
			}
			if d.Release == nil && len(d.Refusals) == 0 {
				t.Error("neither released nor refused")
			}
			for _, r := range d.Refusals {
				if r.Span.Start < 0 || r.Span.End > len(text) || r.Span.End < r.Span.Start || r.Message == "" {
					t.Errorf("%+v", r)
				}
			}
		})
	}
}

func digits(i int) string { return string([]byte{byte('0' + i/10), byte('0' + i%10)}) }
