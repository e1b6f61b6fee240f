package bind_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"concordat.dev/sql/bind"
	"concordat.dev/sql/parse"
	"concordat.dev/sql/plan"
	"concordat.dev/sql/refusal"
)

// catalog has a dataset of visits and one of orders, whose units are joined, and one of places.
var catalog = bind.Catalog{Name: "north-sea", Datasets: map[string][]plan.Column{
	"red.visits": {{Name: "age", Type: plan.Integer}, {Name: "cost", Type: plan.Double}, {Name: "pid", Type: plan.Varchar}, {Name: "seen_at", Type: plan.Timestamp},
		{Name: "urgent", Type: plan.Boolean}, {Name: "ward", Type: plan.Varchar}},
	"blue.orders":  {{Name: "amount", Type: plan.Double}, {Name: "item", Type: plan.Varchar}, {Name: "pid", Type: plan.Varchar}, {Name: "seen_at", Type: plan.Timestamp}},
	"atlas.places": {{Name: "state", Type: plan.Varchar}, {Name: "ward", Type: plan.Varchar}},
	"codes":        {{Name: "ward", Type: plan.Varchar}},
}}

type harness struct{ parser *parse.Parser }

func newHarness(t testing.TB) harness {
	t.Helper()
	p, err := parse.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return harness{p}
}

func (h harness) bind(t testing.TB, text string) (plan.Relation, []refusal.Refusal) {
	t.Helper()
	tree, refused, err := h.parser.Parse(context.Background(), text)
	if err != nil {
		t.Fatal(err)
	}
	if tree == nil {
		return nil, refused.All()
	}
	return bind.Bind(tree, catalog, refused), refused.All()
}

// TestPlans runs testdata/plans: plan prints the normal form of a query; same takes queries, one a paragraph, that mean the same and have
// one digest; different takes queries of which no two have the same.
func TestPlans(t *testing.T) {
	h := newHarness(t)
	datadriven.Walk(t, "testdata/plans", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, c *datadriven.TestData) string {
			if c.Cmd == "plan" {
				r, refused := h.bind(t, c.Input)
				if len(refused) > 0 {
					return told(c.Input, refused)
				}
				once := plan.Normalise(r)
				if again := plan.Normalise(once); plan.Text(again) != plan.Text(once) {
					t.Errorf("%s: normalised twice, the plan is another:\n%s", c.Pos, plan.Text(again))
				}
				return plan.Text(once)
			}
			digests := map[string]string{}
			queries := strings.Split(c.Input, "\n--\n")
			for _, q := range queries {
				r, refused := h.bind(t, q)
				if len(refused) > 0 {
					t.Errorf("%s: %s", c.Pos, told(q, refused))
					continue
				}
				n := plan.Normalise(r)
				digests[plan.Digest(n)] += plan.Text(n)
			}
			if want := map[string]int{"same": 1, "different": len(queries)}[c.Cmd]; len(digests) != want {
				t.Errorf("%s: %d digests, not %d: %v", c.Pos, len(digests), want, digests)
			}
			return fmt.Sprintf("%d\n", len(digests))
		})
	})
}

func told(text string, list []refusal.Refusal) string {
	var b strings.Builder
	for _, r := range list {
		fmt.Fprintf(&b, "%s at %q: %s %s\n", r.Code, text[r.Span.Start:r.Span.End], r.Message, r.Suggestion)
	}
	return b.String()
}
