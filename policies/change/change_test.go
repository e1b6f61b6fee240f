package change_test

import (
	"slices"
	"testing"

	"concordat.dev/policies/change"
	"concordat.dev/protocol/document"
)

func room(t *testing.T) *document.Bundle {
	t.Helper()
	b, err := document.LoadDir("../../integration/testdata/room/dp")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func edit(t *testing.T, dataset string, f func(*document.Policy)) *document.Bundle {
	t.Helper()
	b := room(t)
	f(b.Policies[dataset])
	return b
}

func column(p *document.Policy, name string, f func(*document.Column)) {
	c := p.Columns[name]
	f(&c)
	p.Columns[name] = c
}

func TestPolicyChanges(t *testing.T) {
	const ds = "hospital.patients"
	for _, c := range []struct {
		name   string
		edit   func(*document.Policy)
		what   string
		effect change.Effect
	}{
		{"k down", func(p *document.Policy) { p.Release.MinUnits = 5 }, "min_units 10 → 5", change.Weaker},
		{"k up", func(p *document.Policy) { p.Release.MinUnits = 50 }, "min_units 10 → 50", change.Tighter},
		{"more rho", func(p *document.Policy) { p.Release.RhoPerAggregate = 0.01 }, "rho_per_aggregate 0.005 → 0.01", change.Weaker},
		{"budget", func(p *document.Policy) { p.Budget.Rho = 1 }, "budget.rho 50 → 1", change.Tighter},
		{"no lifetime", func(p *document.Policy) { p.Budget.LifetimeRho = 0 }, "budget.lifetime_rho 300 → +Inf", change.Weaker},
		{"period", func(p *document.Policy) { p.Budget.Period = "1d" }, "budget.period 30d → 1d", change.Weaker},
		{"threshold", func(p *document.Policy) { p.Release.Mechanism = "threshold" }, "mechanism differential_privacy → threshold", change.Weaker},
		{"joins", func(p *document.Policy) { p.Joins = "blocked" }, "joins allowed → blocked", change.Tighter},
		{"anti-overlap", func(p *document.Policy) { p.AntiOverlap = false }, "anti_overlap true → false", change.Tighter},
		{"aggregate", func(p *document.Policy) { p.Aggregates = []string{"count"} }, "aggregate sum leaves", change.Tighter},
		{"role", func(p *document.Policy) { column(p, "diagnosis", func(c *document.Column) { c.Role = "hidden" }) }, "column diagnosis: dimension → hidden", change.Tighter},
		{"grain finer", func(p *document.Policy) { column(p, "age", func(c *document.Column) { c.Grain = "1" }) }, "column age: grain 5 → 1", change.Weaker},
		{"grain coarser", func(p *document.Policy) { column(p, "age", func(c *document.Column) { c.Grain = "10" }) }, "column age: grain 5 → 10", change.Tighter},
		{"grain beside", func(p *document.Policy) { column(p, "age", func(c *document.Column) { c.Grain = "7" }) }, "column age: grain 5 → 7", change.Weaker},
		{"prefix", func(p *document.Policy) { column(p, "zip", func(c *document.Column) { c.Prefix = 0 }) }, "column zip: prefix 3 → 0", change.Weaker},
		{"bounds", func(p *document.Policy) { column(p, "age", func(c *document.Column) { c.Bounds = &[2]float64{0, 90} }) }, "column age: bounds [0, 110] → [0, 90]", change.Neutral},
		{"new column", func(p *document.Policy) { p.Columns["sex"] = document.Column{Type: "integer", Role: "dimension"} }, "column sex: new dimension", change.Weaker},
		{"retention", func(p *document.Policy) { p.Expires = "2027-01-31" }, "expires never → 2027-01-31", change.Tighter},
		{"share", func(p *document.Policy) { p.Budget.PerPersonShare = 0.25 }, "budget.per_person_share 1 → 0.25", change.Tighter},
		{"second identifier", func(p *document.Policy) { p.Unit.Then = "mobile" }, "unit.then none → mobile", change.Weaker},
		{"unit", func(p *document.Policy) { p.Unit.Namespace = "person" }, "unit.namespace hosp_patient → person", change.Weaker},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := change.Between(room(t), edit(t, ds, c.edit))
			want := change.Change{Subject: ds, Owner: "hospital", What: c.what, Effect: c.effect}
			if !slices.Contains(got, want) {
				t.Errorf("want %q among %v", want, got)
			}
			back := change.Between(edit(t, ds, c.edit), room(t))
			for _, b := range back {
				if b.Effect == c.effect && c.effect != change.Neutral && b.What != "column age: grain 7 → 5" && c.name != "unit" && c.name != "second identifier" {
					t.Errorf("undoing a %s change is %q", c.effect, b)
				}
			}
		})
	}
}

func TestManifestChanges(t *testing.T) {
	after := room(t)
	m := after.Manifest
	m.Purpose, m.Expires = "Another wording", "2031-12-31"
	m.People = []document.Person{{ID: "ana@publisher.example", Participant: "publisher", Roles: []string{"analyst"}}}
	m.Release.TimeGrid = "1s"
	m.Amendments, m.Review = &document.Amendments{Tightening: "owner", Recovery: "others"}, "plan"
	m.Participants = m.Participants[:len(m.Participants)-1]
	var lines []string
	for _, c := range change.Between(room(t), after) {
		lines = append(lines, c.String())
	}
	for _, want := range []string{
		`cases-dp: purpose reads "Another wording": text`,
		"cases-dp: expires 2030-12-31 → 2031-12-31: weaker",
		"ana@publisher.example: new analyst of publisher: weaker",
		"cases-dp: time_grid 0s → 1s: tighter",
		"bank_b: participant leaves: tighter",
		"cases-dp: amendments.tightening all → owner: neutral",
		"cases-dp: amendments.recovery all → others: weaker",
		"cases-dp: review none → plan: owners approve every query's plan: tighter",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("want %q among %q", want, lines)
		}
	}
}

func TestNamespaceChanges(t *testing.T) {
	after := room(t)
	before := room(t)
	before.Manifest.Namespaces["a"] = document.Namespace{Normalize: "email", Then: &document.Further{Name: "phone", Normalize: "phone_e164"}}
	after.Manifest.Namespaces["a"] = document.Namespace{Normalize: "email", Version: 1, Options: []string{document.GmailDots}, Then: &document.Further{Name: "phone", Normalize: "phone_e164", Region: "DE"}}
	before.Manifest.Namespaces["b"] = document.Namespace{Normalize: "email"}
	after.Manifest.Namespaces["b"] = document.Namespace{Normalize: "email", Version: 1, Then: &document.Further{Name: "phone"}}
	var lines []string
	for _, c := range change.Between(before, after) {
		lines = append(lines, c.String())
	}
	const again = "its tokens become others: its datasets must be uploaded again, and fail in queries until then: neutral"
	want := []string{
		"namespace a: options none → gmail_dots: weaker", "namespace a: phone: region none → DE: weaker",
		"namespace b: second identifier none → phone: weaker", "namespace a: " + again, "namespace a: phone: " + again,
	}
	if !slices.Equal(lines, want) {
		t.Errorf("%q", lines)
	}
}

func TestTightensOnly(t *testing.T) {
	tighter := change.Between(room(t), edit(t, "hospital.patients", func(p *document.Policy) { p.Release.MinUnits = 20 }))
	if !change.TightensOnly(tighter, "hospital") || change.TightensOnly(tighter, "publisher") {
		t.Error("a higher min_units is hospital's own to decide")
	}
	mixed := change.Between(room(t), edit(t, "hospital.patients", func(p *document.Policy) { p.Release.MinUnits, p.Budget.Rho = 20, 60 }))
	if change.TightensOnly(mixed, "hospital") || change.TightensOnly(nil, "hospital") {
		t.Error("more budget, or nothing, is not tighter")
	}
}

// What holds by default is a difference of words when it is written out, and a difference all the same: it is other bytes.
func TestWrittenOutDefaults(t *testing.T) {
	after := edit(t, "hospital.patients", func(p *document.Policy) { p.Budget.PerPersonShare = 1 })
	after.Manifest.Amendments, after.Manifest.Review = &document.Amendments{}, document.ReviewNone
	got := change.Between(room(t), after)
	for _, c := range got {
		if c.Effect != change.TextOnly {
			t.Errorf("%s", c)
		}
	}
	if len(got) != 3 {
		t.Errorf("%v", got)
	}
}

func TestNothingChanged(t *testing.T) {
	if got := change.Between(room(t), room(t)); len(got) != 0 {
		t.Errorf("the same room differs: %v", got)
	}
}
