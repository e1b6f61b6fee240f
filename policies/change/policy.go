package change

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"

	"concordat.dev/protocol/document"
)

func (l *list) policy(id string, before, after *document.Policy) {
	owner := after.Owner
	differs(l, id, owner, Weaker, "owner", before.Owner, after.Owner)
	if before.Unit.None != after.Unit.None {
		effect := Tighter
		if after.Unit.None {
			effect = Weaker
		}
		l.add(id, owner, effect, "unit %s → %s", unitText(before), unitText(after))
	} else {
		differs(l, id, owner, Weaker, "unit.column", before.Unit.Column, after.Unit.Column)
		differs(l, id, owner, Weaker, "unit.namespace", before.Unit.Namespace, after.Unit.Namespace)
		differs(l, id, owner, Weaker, "unit.identifier", orNone(before.Unit.Identifier), orNone(after.Unit.Identifier))
		differs(l, id, owner, Weaker, "unit.then", orNone(before.Unit.Then), orNone(after.Unit.Then))
		differs(l, id, owner, Neutral, "unit.unique", before.Unit.Unique, after.Unit.Unique)
	}
	if before.Joins != after.Joins {
		effect := Weaker
		if freedom(after.Joins) < freedom(before.Joins) {
			effect = Tighter
		}
		l.add(id, owner, effect, "joins %s → %s", before.Joins, after.Joins)
	}
	if before.AntiOverlap != after.AntiOverlap {
		effect := Tighter
		if after.AntiOverlap {
			effect = Weaker
		}
		l.add(id, owner, effect, "anti_overlap %v → %v", before.AntiOverlap, after.AntiOverlap)
	}
	members(l, id, owner, "aggregate", before.Aggregates, after.Aggregates, Weaker, Tighter)
	more(l, id, owner, "max_rows_per_unit", before.MaxRows, after.MaxRows, Neutral)
	if before.Expires != after.Expires {
		effect := Weaker
		if after.Expires != "" && (before.Expires == "" || after.Expires < before.Expires) { // YYYY-MM-DD
			effect = Tighter
		}
		l.add(id, owner, effect, "expires %s → %s", orNever(before.Expires), orNever(after.Expires))
	}
	l.release(id, owner, before.Release, after.Release)
	l.budget(id, owner, before.Budget, after.Budget)
	l.columns(id, owner, before, after)
}

func orNever(day string) string {
	if day == "" {
		return "never"
	}
	return day
}

func unitText(p *document.Policy) string {
	if p.Unit.None {
		return "none"
	}
	return p.Unit.Column + " in " + p.Unit.Namespace
}

// freedom orders the values of joins by what they allow.
func freedom(joins string) int {
	return slices.Index([]string{"blocked", "required", "allowed"}, joins)
}

func (l *list) release(id, owner string, before, after *document.Release) {
	if before == nil {
		before = &document.Release{}
	}
	if after == nil {
		after = &document.Release{}
	}
	if before.Mechanism != after.Mechanism {
		effect := Weaker
		if after.Mechanism == document.DifferentialPrivacy {
			effect = Tighter
		}
		l.add(id, owner, effect, "mechanism %s → %s", before.Mechanism, after.Mechanism)
	}
	more(l, id, owner, "min_units", before.MinUnits, after.MinUnits, Tighter)
	more(l, id, owner, "rho_per_aggregate", before.RhoPerAggregate, after.RhoPerAggregate, Weaker)
	// noise grows with these bounds, so that protection does not depend on them
	more(l, id, owner, "groups_per_unit", before.GroupsPerUnit, after.GroupsPerUnit, Neutral)
	more(l, id, owner, "rows_per_group", before.RowsPerGroup, after.RowsPerGroup, Neutral)
	more(l, id, owner, "max_groups", before.MaxGroups, after.MaxGroups, Weaker)
}

func (l *list) budget(id, owner string, before, after *document.Budget) {
	if before == nil {
		before = &document.Budget{}
	}
	if after == nil {
		after = &document.Budget{}
	}
	more(l, id, owner, "budget.rho", before.Rho, after.Rho, Weaker)
	more(l, id, owner, "budget.lifetime_rho", lifetime(before), lifetime(after), Weaker)
	more(l, id, owner, "budget.delta", before.Delta, after.Delta, Weaker)
	more(l, id, owner, "budget.queries", before.Queries, after.Queries, Weaker)
	if a, b := share(before), share(after); a != b {
		more(l, id, owner, "budget.per_person_share", a, b, Weaker)
	} else if before.PerPersonShare != after.PerPersonShare {
		l.add(id, owner, TextOnly, "budget.per_person_share 1, which holds without it too")
	}
	if before.Period != after.Period {
		effect := Weaker
		a, errA := document.ParsePeriod(before.Period)
		b, errB := document.ParsePeriod(after.Period)
		if errA == nil && errB == nil && b > a {
			effect = Tighter
		}
		l.add(id, owner, effect, "budget.period %s → %s", before.Period, after.Period)
	}
}

// share left out is all.
func share(b *document.Budget) float64 {
	if b.PerPersonShare == 0 {
		return 1
	}
	return b.PerPersonShare
}

// lifetime without a limit is above all others.
func lifetime(b *document.Budget) float64 {
	if b.LifetimeRho == 0 {
		return math.Inf(1)
	}
	return b.LifetimeRho
}

func (l *list) columns(id, owner string, before, after *document.Policy) {
	var names []string
	for n := range before.Columns {
		names = append(names, n)
	}
	for n := range after.Columns {
		if _, was := before.Columns[n]; !was {
			names = append(names, n)
		}
	}
	sort.Strings(names)
	for _, n := range names {
		old, was := before.Columns[n]
		now, is := after.Columns[n]
		subject := fmt.Sprintf("column %s: ", n)
		switch {
		case !was && now.Role == "hidden":
			l.add(id, owner, Neutral, "%snew, hidden", subject)
		case !was:
			l.add(id, owner, Weaker, "%snew %s", subject, now.Role)
		case !is && old.Role == "hidden":
			l.add(id, owner, Neutral, "%sleaves", subject)
		case !is:
			l.add(id, owner, Tighter, "%sleaves", subject)
		default:
			l.column(id, owner, subject, old, now)
		}
	}
}

func (l *list) column(id, owner, subject string, old, now document.Column) {
	if old.Role != now.Role {
		effect := Weaker
		if now.Role == "hidden" {
			effect = Tighter
		}
		l.add(id, owner, effect, "%s%s → %s", subject, old.Role, now.Role)
		return
	}
	differs(l, id, owner, Neutral, subject+"type", old.Type, now.Type)
	if text(old.Bounds) != text(now.Bounds) {
		l.add(id, owner, Neutral, "%sbounds %s → %s", subject, text(old.Bounds), text(now.Bounds))
	}
	more(l, id, owner, subject+"scale", old.Scale, now.Scale, Neutral)
	if old.Grain != now.Grain {
		l.add(id, owner, grainEffect(now.Role, old.Grain, now.Grain), "%sgrain %s → %s", subject, orNone(old.Grain), orNone(now.Grain))
	}
	if old.Prefix != now.Prefix {
		effect := Tighter
		if now.Prefix == 0 || old.Prefix != 0 && now.Prefix > old.Prefix {
			effect = Weaker
		}
		l.add(id, owner, effect, "%sprefix %d → %d", subject, old.Prefix, now.Prefix)
	}
	if a, b := domainText(old.Domain), domainText(now.Domain); a != b {
		effect := Neutral
		if now.Domain == nil { // values outside the domain are no longer dropped
			effect = Weaker
		}
		l.add(id, owner, effect, "%sdomain %s → %s", subject, a, b)
	}
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// grainEffect: a coarser grain tells less; a measure without grain may not be filtered at all.
func grainEffect(role, before, after string) Effect {
	if role == "time" {
		units := []string{"second", "minute", "hour", "day", "week", "month", "quarter", "year"}
		if slices.Index(units, after) > slices.Index(units, before) {
			return Tighter
		}
		return Weaker
	}
	a, errA := strconv.ParseFloat(before, 64)
	b, errB := strconv.ParseFloat(after, 64)
	if after == "" || errA == nil && errB == nil && b > a && multiple(b, a) {
		return Tighter
	}
	return Weaker
}

func multiple(b, a float64) bool {
	q := b / a
	return math.Abs(q-math.Round(q)) < 1e-9
}

func text(bounds *[2]float64) string {
	if bounds == nil {
		return "none"
	}
	return fmt.Sprintf("[%g, %g]", bounds[0], bounds[1])
}

func domainText(d *document.Domain) string {
	if d == nil {
		return "open"
	}
	var values []string
	d.Each(func(v any) bool {
		values = append(values, fmt.Sprint(v))
		return len(values) < 50
	})
	return "[" + joined(values) + "]"
}
