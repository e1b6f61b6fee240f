package decide_test

import (
	"testing"

	"concordat.dev/protocol/document"
)

// TestMinUnitsOfTheNullableSide: an owner whose columns can be keys or arguments is asked for min_units, though a LEFT JOIN may find no
// units of it; of NOT EXISTS no unit is behind a cell.
func TestMinUnitsOfTheNullableSide(t *testing.T) {
	bundle, err := document.LoadDir("testdata/room")
	if err != nil {
		t.Fatal(err)
	}
	people := *bundle.Policies["red.people"]
	release := *people.Release
	release.MinUnits, people.Release = 80, &release
	bundle.Policies["red.people"] = &people
	j := newJudge(t, bundle.Policies)
	for text, want := range map[string]int64{
		"SELECT p.region, count(*) FROM blue.orders o LEFT JOIN red.people p ON o.pid = p.pid GROUP BY 1":                    80,
		"SELECT sum(p.born) FROM blue.orders o LEFT JOIN red.people p ON o.pid = p.pid":                                      80,
		"SELECT count(*) FROM blue.orders o WHERE EXISTS (SELECT 1 FROM red.people p WHERE o.pid = p.pid)":                   80,
		"SELECT count(*) FROM blue.orders o WHERE NOT EXISTS (SELECT 1 FROM red.people p WHERE o.pid = p.pid)":               50,
		"SELECT count(*) FROM red.visits v LEFT JOIN (SELECT pid, count(*) AS n FROM red.people GROUP BY pid) p USING (pid)": 80,
	} {
		d := j.decide(t, text, 0)
		if d.Release == nil {
			t.Fatalf("%s: %v", text, d.Refusals)
		}
		if have := d.Release.Spec.MinUnits; have != want {
			t.Errorf("%s: min_units %d, want %d", text, have, want)
		}
	}
}
