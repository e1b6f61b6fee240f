package decide_test

import (
	"os"
	"strings"
	"testing"

	"concordat.dev/protocol/document"
	"concordat.dev/sql/bind"
)

// TestLanguagePage judges the examples of docs/LANGUAGE.md: a block `sql` is accepted, a block `sql refused CODE` is refused with that code;
// and the page names every function.
func TestLanguagePage(t *testing.T) {
	raw, err := os.ReadFile("../../docs/LANGUAGE.md")
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := document.LoadDir("testdata/room")
	if err != nil {
		t.Fatal(err)
	}
	j := newJudge(t, bundle.Policies)
	blocks := strings.Split(string(raw), "```")
	accepted, refused := 0, 0
	for i := 1; i < len(blocks); i += 2 {
		info, text, _ := strings.Cut(blocks[i], "\n")
		if info != "sql" && !strings.HasPrefix(info, "sql refused ") {
			continue
		}
		for _, query := range strings.Split(strings.TrimSpace(text), ";\n") {
			d := j.decide(t, query, 0)
			if info == "sql" {
				accepted++
				if len(d.Refusals) > 0 {
					t.Errorf("%s\n%v", query, d.Refusals)
				}
				continue
			}
			refused++
			found := false
			for _, r := range d.Refusals {
				found = found || string(r.Code) == strings.TrimPrefix(info, "sql refused ")
			}
			if !found {
				t.Errorf("%s is not refused with %s: %v", query, info, d.Refusals)
			}
		}
	}
	if accepted < 20 || refused < 15 {
		t.Errorf("%d accepted and %d refused examples", accepted, refused)
	}
	for _, names := range [][]string{bind.Functions(), bind.Aggregates(), bind.Windows()} {
		for _, name := range names {
			if !strings.Contains(string(raw), "`"+name+"`") {
				t.Errorf("docs/LANGUAGE.md does not name %s", name)
			}
		}
	}
}
