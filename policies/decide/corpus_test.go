package decide_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/goccy/go-yaml"

	"concordat.dev/policies/decide"
)

// attack is one entry of attacks.yaml.
type attack struct {
	ID        string   `yaml:"id"`
	Title     string   `yaml:"title"`
	DP        string   `yaml:"dp"`
	Threshold string   `yaml:"threshold"`
	Codes     []string `yaml:"codes"`
	Why       string   `yaml:"why"`
	SQL       []string `yaml:"sql"`
}

type everyday struct {
	ID        string `yaml:"id"`
	Title     string `yaml:"title"`
	DP        string `yaml:"dp"`
	Threshold string `yaml:"threshold"`
	SQL       string `yaml:"sql"`
}

func load[T any](t testing.TB, name string) []T {
	t.Helper()
	raw, err := os.ReadFile("../../integration/testdata/cases/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var out []T
	if err := yaml.UnmarshalWithOptions(raw, &out, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	if len(out) == 0 {
		t.Fatal(name + " holds no case")
	}
	return out
}

func TestEveryday(t *testing.T) {
	for _, name := range []string{"dp", "threshold"} {
		j := newJudge(t, room(t, name))
		for _, c := range load[everyday](t, "everyday.yaml") {
			want := map[string]string{"dp": c.DP, "threshold": c.Threshold}[name]
			d := j.decide(t, c.SQL, 0)
			verdict(t, name+" "+c.ID, c.SQL, d, want)
		}
	}
}

// An attack that is refused in one room because of one of its queries need not be refused in all of them.
func TestAttacks(t *testing.T) {
	for _, name := range []string{"dp", "threshold"} {
		j := newJudge(t, room(t, name))
		for _, c := range load[attack](t, "attacks.yaml") {
			want := map[string]string{"dp": c.DP, "threshold": c.Threshold}[name]
			refused, found := false, false
			for _, text := range c.SQL {
				d := j.decide(t, text, 0)
				for _, r := range d.Refusals {
					complete(t, text, r)
					refused = true
					for _, code := range c.Codes {
						found = found || string(r.Code) == code
					}
				}
			}
			switch {
			case want == "contained" && refused:
				t.Logf("%s %s is refused where it could be contained", name, c.ID)
			case want == "refused" && !refused:
				t.Errorf("%s %s is accepted: %s", name, c.ID, c.Title)
			case want == "refused" && !found:
				t.Errorf("%s %s: none of the codes %v among the refusals", name, c.ID, c.Codes)
			}
		}
	}
}

func verdict(t *testing.T, id, text string, d decide.Decision, want string) {
	t.Helper()
	for _, r := range d.Refusals {
		complete(t, text, r)
	}
	got := "released"
	if len(d.Refusals) > 0 {
		got = "refused"
	}
	if got != want || (d.Release == nil) != (want == "refused") {
		t.Errorf("%s is %s, not %s: %+v", id, got, want, d.Refusals)
	}
}

// The golden file holds what every attack is told, for people to read: rewrite it with -rewrite, and read the difference.
func TestAttackReasons(t *testing.T) {
	judges := map[string]*judge{"dp": newJudge(t, room(t, "dp")), "threshold": newJudge(t, room(t, "threshold"))}
	cases := map[string]attack{}
	for _, c := range load[attack](t, "attacks.yaml") {
		cases[c.ID] = c
	}
	seen := 0
	datadriven.RunTest(t, "testdata/attacks", func(t *testing.T, d *datadriven.TestData) string {
		var b strings.Builder
		for _, text := range cases[d.Cmd].SQL {
			seen++
			first, second := told(text, judges["dp"].decide(t, text, 0)), told(text, judges["threshold"].decide(t, text, 0))
			b.WriteString(first)
			if second != first {
				b.WriteString("threshold:\n" + second)
			}
		}
		return b.String()
	})
	if seen < len(cases) {
		t.Errorf("testdata/attacks names %d of %d attacks", seen, len(cases))
	}
}

func told(text string, d decide.Decision) string {
	if len(d.Refusals) == 0 {
		return "accepted\n"
	}
	var b strings.Builder
	for _, r := range d.Refusals {
		fmt.Fprintf(&b, "%s %s\n  %s -> %s\n", r.Code, strings.Join(strings.Fields(text[r.Span.Start:r.Span.End]), " "), r.Message, r.Suggestion)
	}
	return b.String()
}
