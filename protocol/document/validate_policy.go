package document

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

var aggregateNames = []string{"count", "count_distinct", "sum", "avg", "quantile", "stddev"}

var periodForm = regexp.MustCompile(`^([1-9][0-9]{0,4})([dh])$`)

// ParsePeriod reads the period of a budget: a number of days ("30d") or hours ("12h"), at most ten years.
func ParsePeriod(s string) (time.Duration, error) {
	m := periodForm.FindStringSubmatch(s)
	if m == nil {
		return 0, fmt.Errorf("period %.40q: want a number of days or hours, for instance 30d or 12h", s)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return 0, fmt.Errorf("period %.40q: %w", s, err)
	}
	d := time.Duration(n) * time.Hour
	if m[2] == "d" {
		d *= 24
	}
	if d > 3660*24*time.Hour {
		return 0, fmt.Errorf("period %.40q: longer than ten years", s)
	}
	return d, nil
}

func checkPolicy(c checker, p *Policy) {
	c.require(p.APIVersion == APIVersion, "apiVersion", fmt.Sprintf("%.60q is not known", p.APIVersion), "write "+APIVersion)
	c.require(p.Kind == "Policy", "kind", fmt.Sprintf("%.60q is not a policy", p.Kind), "write Policy")
	c.oneOf("joins", or(p.Joins, "allowed"), "allowed", "required", "blocked")
	checkColumns(c, p)
	if p.Expires != "" {
		day, err := time.Parse(time.DateOnly, p.Expires)
		c.require(err == nil && day.Format(time.DateOnly) == p.Expires, "expires", fmt.Sprintf("%.60q is not a date", p.Expires), "write the last day as YYYY-MM-DD")
	}
	if p.Unit.None {
		checkPublic(c, p)
		return
	}
	checkUnit(c, p)
	c.require(p.MaxRows >= 1 && p.MaxRows <= 1e9, "max_rows_per_unit", "not from 1 to 1000000000", "leave it out for 1000")
	c.require(len(p.Aggregates) > 0, "aggregates", "nothing may be asked", "list some of: "+strings.Join(aggregateNames, ", "))
	for i, a := range p.Aggregates {
		c.oneOf(fmt.Sprintf("aggregates[%d]", i), a, aggregateNames...)
	}
	c.unique("aggregates", p.Aggregates)
	if p.Release == nil {
		c.add("release", "missing: the policy does not say how results are protected", "write mechanism and min_units")
		return
	}
	checkRelease(c, p)
	if p.Budget == nil {
		c.add("budget", "missing: nothing limits what all queries together tell", "write rho, delta, period and lifetime_rho")
		return
	}
	if s := p.Budget.PerPersonShare; s != 0 {
		c.require(s > 0 && s <= 1, "budget.per_person_share", fmt.Sprintf("%v is no share", s), "write for instance 0.25, or leave it out")
	}
	switch p.Release.Mechanism {
	case DifferentialPrivacy:
		checkPrivateBudget(c, p)
	case Threshold:
		checkQuota(c, p)
	}
}

// checkPublic: data with unit: none protects nobody, so a rule of protection in it would mislead its reader.
func checkPublic(c checker, p *Policy) {
	const fix = "remove it, or name the unit that is to be protected"
	c.require(p.Release == nil, "release", "has no effect with unit: none", fix)
	c.require(p.Budget == nil, "budget", "has no effect with unit: none", fix)
	c.require(len(p.Aggregates) == 0, "aggregates", "has no effect with unit: none", fix)
	c.require(!p.AntiOverlap, "anti_overlap", "has no effect with unit: none", fix)
	c.require(p.MaxRows == 0, "max_rows_per_unit", "has no effect with unit: none", fix)
	for _, name := range slices.Sorted(maps.Keys(p.Columns)) {
		r := p.Columns[name].Role
		c.require(r == "dimension" || r == "hidden", join("columns", name)+".role", fmt.Sprintf("%.40q in public data", r), "public data has dimension and hidden columns only")
	}
}

func checkUnit(c checker, p *Policy) {
	col, ok := p.Columns[p.Unit.Column]
	c.require(ok, "unit.column", fmt.Sprintf("column %.80q is not among the columns", p.Unit.Column), "name the column that identifies the unit")
	c.require(!ok || col.Role == "identifier", join("columns", p.Unit.Column)+".role", fmt.Sprintf("the unit column has role %.40q", col.Role), "write identifier")
	c.id("unit.namespace", p.Unit.Namespace, idForm, "a namespace of the manifest")
	for _, name := range slices.Sorted(maps.Keys(p.Columns)) {
		if name != p.Unit.Column && p.Columns[name].Role == "identifier" {
			c.add(join("columns", name)+".role", "a dataset has one identifier, its unit column", "make it hidden, or put it into a dataset of its own")
		}
	}
}

func checkRelease(c checker, p *Policy) {
	r := p.Release
	if !c.oneOf("release.mechanism", r.Mechanism, DifferentialPrivacy, Threshold) {
		return
	}
	between := func(path string, v, most int64, fix string) {
		c.require(v >= 1 && v <= most, path, fmt.Sprintf("%d is not from 1 to %d", v, most), fix)
	}
	between("release.min_units", r.MinUnits, 1e9, "write how many units must stand behind every released cell, for instance 10")
	between("release.groups_per_unit", r.GroupsPerUnit, 1e6, "leave it out for 1")
	between("release.rows_per_group", r.RowsPerGroup, 1e6, "leave it out for 1")
	between("release.max_groups", r.MaxGroups, 1e5, "leave it out for 1000")
	if r.Mechanism == Threshold {
		c.require(r.RhoPerAggregate == 0, "release.rho_per_aggregate", "has no effect with threshold", "remove it, or use differential_privacy")
		return
	}
	c.rho("release.rho_per_aggregate", r.RhoPerAggregate)
	c.require(p.Budget == nil || !(p.Budget.Rho > 0) || r.RhoPerAggregate <= p.Budget.Rho, "release.rho_per_aggregate", "more than the budget: no query could run", "lower it or raise budget.rho")
}

// rho checks a cost: ledgers count it in steps of 1e-9.
func (c checker) rho(path string, v float64) bool {
	return c.require(v >= 1e-9 && v <= 1e6, path, fmt.Sprintf("%v is not from 1e-9 to 1e6", v), "write a positive zCDP cost, for instance 0.5")
}

func checkPrivateBudget(c checker, p *Policy) {
	b := p.Budget
	ok := c.rho("budget.rho", b.Rho)
	ok = c.rho("budget.lifetime_rho", b.LifetimeRho) && ok
	c.require(!ok || b.Rho <= b.LifetimeRho, "budget.rho", "more in one period than for the lifetime", "raise lifetime_rho or lower rho")
	c.require(b.Delta > 0 && b.Delta < 1e-3, "budget.delta", fmt.Sprintf("%v is not between 0 and 1e-3", b.Delta), "write well below one over the number of units, for instance 1e-6")
	c.period(b.Period)
	c.require(b.Queries == 0, "budget.queries", "has no effect with differential_privacy", "remove it, or use threshold")
}

func checkQuota(c checker, p *Policy) {
	b := p.Budget
	c.require(b.Queries >= 1 && b.Queries <= 1e9, "budget.queries", "not from 1 to 1000000000", "leave it out for 200")
	c.period(b.Period)
	const fix = "remove it, or use differential_privacy"
	c.require(b.Rho == 0, "budget.rho", "has no effect with threshold", fix)
	c.require(b.Delta == 0, "budget.delta", "has no effect with threshold", fix)
	c.require(b.LifetimeRho == 0, "budget.lifetime_rho", "has no effect with threshold", fix)
}

func (c checker) period(s string) {
	_, err := ParsePeriod(s)
	c.require(err == nil, "budget.period", fmt.Sprintf("%.40q is not a number of days or hours", s), "write for instance 30d or 12h")
}

// SumLimit (2^80) is the most that rows_per_group * max|bound| / scale may be, so that sums over all units fit 128-bit integers (PRIVACY.md R3).
const SumLimit = 1 << 80
