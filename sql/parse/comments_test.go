package parse_test

import (
	"strings"
	"testing"

	"concordat.dev/sql/parse"
	"concordat.dev/sql/refusal"
)

// Comments in comments are refused before the engine's scanner, which takes the square of their number, sees them.
func TestManyComments(t *testing.T) {
	p, err := parse.New()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close() }()
	for name, text := range map[string]string{
		"open":   "SELECT " + strings.Repeat("/*", 30_000) + "1",
		"closed": "SELECT " + strings.Repeat("/*", 10_000) + strings.Repeat("*/", 10_000) + "1",
	} {
		q, refused, err := p.Parse(t.Context(), text)
		if err != nil || q != nil || len(refused.All()) != 1 || refused.All()[0].Code != refusal.LimitExceeded {
			t.Errorf("%s: %v %v %v", name, q, refused, err)
		}
	}
	if _, refused, err := p.Parse(t.Context(), "SELECT /* a /* nested */ one */ count(*) FROM t"); err != nil || len(refused.All()) != 0 {
		t.Errorf("a few: %v %v", refused, err)
	}
}
