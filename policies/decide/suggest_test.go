package decide_test

import (
	"regexp"
	"testing"

	"concordat.dev/protocol/document"
	"concordat.dev/sql/refusal"
)

// applicable reads suggestions that are what to write in the place of the span.
var applicable = regexp.MustCompile(`^(?:Use|Write) (.+)\.$|^Did you mean (.+)\?$`)

// TestSuggestions follows suggestions: each is put in the place of the text that it is about, and the query is judged again, until nothing is
// refused.
func TestSuggestions(t *testing.T) {
	bundle, err := document.LoadDir("testdata/room")
	if err != nil {
		t.Fatal(err)
	}
	j := newJudge(t, bundle.Policies)
	for _, text := range []string{
		"SELECT count(*) FROM red.visit",
		"SELECT wardd, count(*) FROM red.visits GROUP BY ALL",
		"SELECT zip, count(*) FROM red.visits GROUP BY 1",
		"SELECT left(zip, 5) AS z, count(*) FROM red.visits GROUP BY 1",
		"SELECT count(*) FROM red.visits WHERE zip = '021'",
		"SELECT count(zip) FROM red.visits WHERE zip IS NOT NULL",
		"SELECT left(upper(zip), 2) AS z, count(*) FROM red.visits GROUP BY 1",
		"SELECT count(*) FROM red.visits WHERE age < 42",
		"SELECT count(*) FROM red.visits WHERE age > 41 AND cost <= 250",
		"SELECT count(*) FROM red.visits WHERE age = 42",
		"SELECT count(*) FROM red.visits WHERE age <> 40 AND cost > 100",
		"SELECT count(*) FILTER (WHERE age >= 33) FROM red.visits",
		"SELECT CASE WHEN age < 33 THEN 'young' ELSE 'old' END AS k, count(*) FROM red.visits GROUP BY 1",
		"SELECT floor(age / 7) AS k, count(*) FROM red.visits GROUP BY 1",
		"SELECT date_trunc('hour', seen_at) AS d, count(*) FROM red.visits GROUP BY 1",
		"SELECT count(DISTINCT ward) FROM red.visits",
		"SELECT count(DISTINCT stage), count(*) FROM red.visits",
	} {
		follow(t, j, text)
	}
}

func follow(t *testing.T, j *judge, text string) {
	t.Helper()
	for step := 0; ; step++ {
		d := j.decide(t, text, 0)
		if len(d.Refusals) == 0 {
			if step == 0 {
				t.Errorf("accepted at once: %s", text)
			}
			return
		}
		if step == 6 {
			t.Errorf("still refused after %d suggestions: %s: %+v", step, text, d.Refusals)
			return
		}
		next, ok := apply(text, d.Refusals)
		if !ok {
			t.Errorf("no suggestion to apply: %s: %+v", text, d.Refusals)
			return
		}
		text = next
	}
}

func apply(text string, list []refusal.Refusal) (string, bool) {
	for _, r := range list {
		m := applicable.FindStringSubmatch(r.Suggestion)
		if m == nil {
			continue
		}
		return text[:r.Span.Start] + m[1] + m[2] + text[r.Span.End:], true
	}
	return "", false
}
