package decide_test

import (
	"context"
	"testing"

	"concordat.dev/policies/decide"
	"concordat.dev/policies/decide/decidetest"
	"concordat.dev/protocol/document"
	"concordat.dev/sql/bind"
	"concordat.dev/sql/parse"
	"concordat.dev/sql/refusal"
)

// judge takes texts from parsing to the decision.
type judge struct {
	parser   *parse.Parser
	policies map[string]*document.Policy
	catalog  bind.Catalog
}

func newJudge(t testing.TB, policies map[string]*document.Policy) *judge {
	t.Helper()
	parser, err := parse.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = parser.Close() })
	return &judge{parser, policies, decidetest.Catalog(policies)}
}

func (j *judge) decide(t testing.TB, text string, rho float64) decide.Decision {
	t.Helper()
	tree, refused, err := j.parser.Parse(context.Background(), text)
	if err != nil {
		t.Fatal(err)
	}
	if tree == nil {
		return decide.Decision{Refusals: refused.All()}
	}
	return decide.Decide(decide.Request{Plan: bind.Bind(tree, j.catalog, refused), Policies: j.policies, Rho: rho}, refused)
}

// room loads a manifest directory of the integration tests.
func room(t testing.TB, name string) map[string]*document.Policy {
	t.Helper()
	bundle, err := document.LoadDir("../../integration/testdata/room/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return bundle.Policies
}

// complete fails when a refusal lacks a part that an analyst needs.
func complete(t testing.TB, text string, r refusal.Refusal) {
	t.Helper()
	switch {
	case r.Span.Start < 0 || r.Span.End > len(text) || r.Span.End <= r.Span.Start && text != "":
		t.Errorf("%s %q: span %v of a text of %d bytes", r.Code, r.Message, r.Span, len(text))
	case r.Message == "" || r.Suggestion == "" || r.Rule == "":
		t.Errorf("%s at %q: message %q, suggestion %q, rule %q", r.Code, text[r.Span.Start:r.Span.End], r.Message, r.Suggestion, r.Rule)
	}
}
