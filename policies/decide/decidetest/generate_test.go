package decidetest_test

import (
	"context"
	"testing"

	"concordat.dev/policies/decide"
	"concordat.dev/policies/decide/decidetest"
	"concordat.dev/sql/bind"
	"concordat.dev/sql/parse"
)

// Every generated query is accepted: a refusal is a false one, or a flaw of the generator.
func TestGeneratedQueriesAreAccepted(t *testing.T) {
	parser, err := parse.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = parser.Close() })
	bad := 0
	for seed := uint64(0); seed < 600; seed++ {
		c := decidetest.Seed(seed)
		room := decidetest.NewRoom(c)
		for range 3 {
			text := room.Query(c)
			tree, refused, err := parser.Parse(context.Background(), text)
			if err != nil {
				t.Fatal(err)
			}
			if tree == nil {
				t.Fatalf("seed %d: not read\n%s\n%v", seed, text, refused.All())
			}
			plan := bind.Bind(tree, room.Catalog(), refused)
			d := decide.Decide(decide.Request{Plan: plan, Policies: room.Policies}, refused)
			for _, r := range d.Refusals {
				t.Errorf("seed %d: %s %q: %s", seed, r.Code, text[r.Span.Start:r.Span.End], r.Message)
			}
			if len(d.Refusals) > 0 {
				t.Logf("%s\n%s", room, text)
				if bad++; bad > 12 {
					t.FailNow()
				}
			}
		}
	}
}
