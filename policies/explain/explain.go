// Package explain says in sentences what a policy allows, for those who sign it without having written it. The command line prints
// them, and pages show them.
//
// Invariant: pure; what it says follows from the policy's fields alone, with their defaults.
//
// Sees: metadata
package explain

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"concordat.dev/policies/mechanism"
	"concordat.dev/protocol/document"
)

// Explanation is a policy in words.
type Explanation struct {
	Protects []string // whom, joins, aggregates: a sentence each
	Columns  []Column // by name
	Release  []string // what a release and the budget mean; none for public data
}

// Column says what a query may do with a column.
type Column struct{ Name, Type, Role, Use string }

// Policy explains p.
func Policy(p *document.Policy) Explanation {
	p = p.WithDefaults()
	if p.Unit.None {
		return Explanation{Protects: []string{"Public reference data: it protects nobody, may be joined on any column, and costs nothing."}, Columns: columns(p)}
	}
	rows := "a unit may have many rows"
	if p.Unit.Unique {
		rows = "one row for each unit, checked at ingest"
	}
	overlap := "Queries may not count units of others that are absent here."
	if p.AntiOverlap {
		overlap = "Queries may count units of others that are absent here."
	}
	return Explanation{
		Protects: []string{
			fmt.Sprintf("It protects the unit in column %s%s (namespace %s): %s.", p.Unit.Column, second(p.Unit), p.Unit.Namespace, rows),
			"Joins with other owners' data: " + joins(p.Joins) + ". " + overlap,
			"Aggregates: " + strings.Join(p.Aggregates, ", ") + ".",
		},
		Columns: columns(p),
		Release: release(p),
	}
}

func columns(p *document.Policy) []Column {
	var out []Column
	for _, name := range slices.Sorted(maps.Keys(p.Columns)) {
		c := p.Columns[name]
		out = append(out, Column{Name: name, Type: c.Type, Role: c.Role, Use: use(c)})
	}
	return out
}

func joins(rule string) string {
	switch rule {
	case "required":
		return "required, a query over this dataset alone is refused"
	case "blocked":
		return "blocked"
	}
	return "allowed"
}

func use(c document.Column) string {
	switch c.Role {
	case "identifier":
		return "join with the same namespace, count(DISTINCT …); never shown, never compared with a value"
	case "dimension":
		switch {
		case c.Domain != nil:
			return fmt.Sprintf("group and filter by it; %d declared values, so groups are public", c.Domain.Size())
		case c.Prefix > 0:
			return fmt.Sprintf("group and filter by its first %d characters at most; groups need enough units", c.Prefix)
		}
		return "group and filter by it; groups need enough units to show"
	case "measure":
		return measure(c)
	case "time":
		return "group and filter by it, by " + c.Grain
	}
	return "nothing: no query sees it"
}

func measure(c document.Column) string {
	text := "aggregate it"
	if c.Bounds != nil {
		text += fmt.Sprintf(", clamped to %s … %s", number(c.Bounds[0]), number(c.Bounds[1]))
	}
	if c.Scale > 0 && c.Scale != 1 {
		text += ", summed in steps of " + number(c.Scale)
	}
	if c.Grain == "" {
		return text + "; no filter, no group"
	}
	return text + "; filter and group at multiples of " + c.Grain
}

func release(p *document.Policy) []string {
	r, b := p.Release, p.Budget
	if r == nil || b == nil {
		return nil
	}
	out := []string{fmt.Sprintf("A released group has at least %d units of this owner behind it. One unit counts in at most %s, with at most %s in each.",
		r.MinUnits, count(r.GroupsPerUnit, "group"), count(r.RowsPerGroup, "row"))}
	if r.Mechanism == document.Threshold {
		return append(out, fmt.Sprintf("Threshold mode: small noise, rounding, no formal guarantee. At most %s per %s.", count(b.Queries, "query"), b.Period))
	}
	perPeriod, lifetime := mechanism.FromFloat(b.Rho), mechanism.FromFloat(b.LifetimeRho)
	out = append(out, fmt.Sprintf("Differential privacy: each aggregate costs rho %s; the budget is rho %s per %s (epsilon %s at delta %g) and rho %s for good (epsilon %s).",
		number(r.RhoPerAggregate), number(b.Rho), b.Period, number(mechanism.Epsilon(perPeriod, b.Delta)), b.Delta,
		number(b.LifetimeRho), number(mechanism.Epsilon(lifetime, b.Delta))))
	if r.RhoPerAggregate > 0 {
		out = append(out, fmt.Sprintf("That pays about %d counts in a period. The 95 %% interval of one count of units is then ± %s.",
			int64(perPeriod/mechanism.FromFloat(r.RhoPerAggregate)), number(countWidth(r))))
	}
	return out
}

// countWidth is half the 95 % interval of one count of units: 1.96 sigma with sigma^2 = L0 / (2 rho) (PRIVACY.md section 6).
func countWidth(r *document.Release) float64 {
	return 1.96 * math.Sqrt(float64(r.GroupsPerUnit)/(2*r.RhoPerAggregate))
}

// number writes whole numbers in full and others with four significant digits.
func number(x float64) string {
	if x == math.Trunc(x) && math.Abs(x) < 1e15 {
		return strconv.FormatFloat(x, 'f', -1, 64)
	}
	return strconv.FormatFloat(x, 'g', 4, 64)
}

func count(n int64, what string) string {
	switch {
	case n == 1:
		return "1 " + what
	case strings.HasSuffix(what, "y"):
		return fmt.Sprintf("%d %sies", n, strings.TrimSuffix(what, "y"))
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// second names the column of a second identifier.
func second(u document.Unit) string {
	if u.Then == "" {
		return ""
	}
	return ", else in column " + u.Then
}
