package decide_test

import (
	"strings"
	"testing"

	"concordat.dev/protocol/document"
	"concordat.dev/sql/refusal"
)

// Datasets that know units by different identifiers alone are not joined; where both may know some by the same one, they are, with a note.
func TestJoinsByIdentifiers(t *testing.T) {
	const first, both, second = "", "then", "phone"
	for _, c := range []struct {
		visits, orders, text string
		refused, noted       bool
	}{
		{visits: first, orders: first, text: "SELECT count(DISTINCT v.pid) FROM red.visits v JOIN blue.orders o ON v.pid = o.pid"},
		{visits: both, orders: both, text: "SELECT count(DISTINCT v.pid) FROM red.visits v JOIN blue.orders o ON v.pid = o.pid"},
		{visits: second, orders: second, text: "SELECT count(DISTINCT v.pid) FROM red.visits v JOIN blue.orders o ON v.pid = o.pid"},
		{visits: first, orders: both, noted: true, text: "SELECT count(DISTINCT v.pid) FROM red.visits v JOIN blue.orders o ON v.pid = o.pid"},
		{visits: both, orders: second, noted: true, text: "SELECT count(DISTINCT v.pid) FROM red.visits v JOIN blue.orders o USING (pid)"},
		{visits: first, orders: second, refused: true, text: "SELECT count(DISTINCT v.pid) FROM red.visits v JOIN blue.orders o ON v.pid = o.pid"},
		{visits: second, orders: first, refused: true, text: "SELECT count(DISTINCT v.pid) FROM red.visits v LEFT JOIN blue.orders o ON v.pid = o.pid"},
		{visits: second, orders: first, refused: true, text: "SELECT count(DISTINCT pid) FROM red.visits WHERE pid IN (SELECT pid FROM blue.orders)"},
		{visits: second, orders: first, refused: true, text: "SELECT count(DISTINCT v.pid) FROM red.visits v WHERE EXISTS (SELECT 1 FROM (SELECT pid, count(*) AS n FROM blue.orders GROUP BY pid) o WHERE o.pid = v.pid)"},
	} {
		bundle, err := document.LoadDir("testdata/room")
		if err != nil {
			t.Fatal(err)
		}
		for id, by := range map[string]string{"red.visits": c.visits, "blue.orders": c.orders} {
			p := bundle.Policies[id]
			switch by {
			case both:
				p.Unit.Then = "mobile"
				p.Columns["mobile"] = document.Column{Type: "varchar", Role: "hidden"}
			case second:
				p.Unit.Identifier = second
			}
		}
		d := newJudge(t, bundle.Policies).decide(t, c.text, 0)
		refused, noted := len(d.Refusals) > 0, strings.Contains(strings.Join(d.Notes, "\n"), "such a unit is missed")
		if refused != c.refused || noted != c.noted {
			t.Errorf("%q and %q, %s: refusals %+v, notes %q", c.visits, c.orders, c.text, d.Refusals, d.Notes)
		}
		for _, r := range d.Refusals {
			complete(t, c.text, r)
			if r.Code == refusal.AntiOverlap { // of the LEFT JOIN, besides
				continue
			}
			if r.Code != refusal.NamespaceMismatch || !strings.Contains(r.Message, "by phone alone") || !strings.Contains(r.Suggestion, "identifier: phone") {
				t.Errorf("%+v", r)
			}
		}
	}
}
