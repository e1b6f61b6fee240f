package decide_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"concordat.dev/policies/decide"
	"concordat.dev/protocol/document"
	"concordat.dev/sql/refusal"
)

// TestDecide runs the scripts of testdata/decide over the room of testdata/room, which has a column of every kind. Each input is a
// query; the output is every refusal with the text that it points at, or what the release is made of.
func TestDecide(t *testing.T) {
	bundle, err := document.LoadDir("testdata/room")
	if err != nil {
		t.Fatal(err)
	}
	j := newJudge(t, bundle.Policies)
	told := map[refusal.Code]bool{}
	datadriven.Walk(t, "testdata/decide", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, c *datadriven.TestData) string {
			var rho string
			if c.HasArg("rho") {
				c.ScanArgs(t, "rho", &rho)
			}
			d := j.decide(t, c.Input, chosen(t, rho))
			for _, r := range d.Refusals {
				complete(t, c.Input, r)
				told[r.Code] = true
			}
			if accepted := len(d.Refusals) == 0; accepted != (c.Cmd == "accept") {
				t.Errorf("%s: %s is wrong: %v", c.Pos, c.Cmd, d.Refusals)
			}
			if len(d.Refusals) > 0 {
				return refusals(c.Input, d.Refusals)
			}
			return described(d)
		})
	})
	for _, code := range []refusal.Code{refusal.NotOneSelect, refusal.UnsupportedSyntax, refusal.UnknownRelation, refusal.UnknownColumn, refusal.HiddenColumn,
		refusal.IdentifierUse, refusal.ColumnUse, refusal.Grain, refusal.NotAggregated, refusal.AggregateNotAllowed, refusal.JoinNotOnUnit, refusal.NamespaceMismatch,
		refusal.JoinRequired, refusal.JoinBlocked, refusal.AntiOverlap, refusal.UnitLost, refusal.BoundsMissing, refusal.LimitExceeded} {
		if !told[code] {
			t.Errorf("no script is refused with %s", code)
		}
	}
}

func chosen(t *testing.T, rho string) float64 {
	t.Helper()
	if rho == "" {
		return 0
	}
	f, err := strconv.ParseFloat(rho, 64)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func refusals(text string, list []refusal.Refusal) string {
	var b strings.Builder
	for _, r := range list {
		fmt.Fprintf(&b, "%s at %q", r.Code, text[r.Span.Start:r.Span.End])
		if r.Dataset != "" || r.Column != "" {
			fmt.Fprintf(&b, " (%s %s %s)", r.Owner, r.Dataset, r.Column)
		}
		fmt.Fprintf(&b, " [%s]\n  %s\n  %s\n", r.Rule, r.Message, r.Suggestion)
	}
	return b.String()
}

func described(d decide.Decision) string {
	var b strings.Builder
	s, bounded := d.Release.Spec, d.Release.Bounded
	fmt.Fprintf(&b, "%s k=%d", s.Kind, s.MinUnits)
	switch {
	case s.KeyCount == 0:
		b.WriteString(" no keys")
	case s.PublicKeys:
		fmt.Fprintf(&b, " public keys %v", s.Domain)
	default:
		fmt.Fprintf(&b, " %d private keys", s.KeyCount)
	}
	fmt.Fprintf(&b, " L0=%d%s R=%d%s", s.GroupsPerUnit, skipped(bounded.OneGroup), s.RowsPerGroup, skipped(bounded.OneRow))
	if s.Delta > 0 {
		fmt.Fprintf(&b, " delta=%.3g", s.Delta)
	}
	b.WriteString("\n")
	for _, c := range s.Columns {
		fmt.Fprintf(&b, "  %s%s +-%v", c.Kind, prefixed(" of ", c.Owner), c.Sensitivity)
		if c.Scale != 1 {
			fmt.Fprintf(&b, " steps of %g", c.Scale)
		}
		if c.High != 0 || c.Low != 0 {
			fmt.Fprintf(&b, " in [%g, %g]", c.Low, c.High)
		}
		b.WriteString("\n")
	}
	for _, p := range d.Prices {
		fmt.Fprintf(&b, "  %s/%s pays rho %g, %d queries for %v\n", p.Owner, p.Namespace, p.Rho.Float(), p.Queries, p.Datasets)
	}
	return b.String()
}

func skipped(yes bool) string {
	if yes {
		return "(unbounded)"
	}
	return ""
}

func prefixed(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}
