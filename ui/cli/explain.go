package cli

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"concordat.dev/policies/mechanism"
	"concordat.dev/protocol/document"
	"concordat.dev/ui/present"
)

// explainPolicy says in sentences what a policy allows, for those who sign it without having written it.
func explainPolicy(w io.Writer, p *document.Policy) error {
	fmt.Fprintf(w, "Policy of %s, owned by %s\n\n", p.Dataset, p.Owner)
	if p.Unit.None {
		fmt.Fprintln(w, "Public reference data: it protects nobody, may be joined on any column, and costs nothing.")
		return nil
	}
	rows := "a unit may have many rows"
	if p.Unit.Unique {
		rows = "one row for each unit, checked at ingest"
	}
	fmt.Fprintf(w, "It protects the unit in column %s (namespace %s): %s.\n", p.Unit.Column, p.Unit.Namespace, rows)
	fmt.Fprintf(w, "Joins with other owners' data: %s. ", joins(p.Joins))
	if p.AntiOverlap {
		fmt.Fprintln(w, "Queries may count units of others that are absent here.")
	} else {
		fmt.Fprintln(w, "Queries may not count units of others that are absent here.")
	}
	fmt.Fprintf(w, "Aggregates: %s.\n\n", strings.Join(p.Aggregates, ", "))

	grid := present.Grid{Columns: []present.Column{{Name: "column"}, {Name: "type"}, {Name: "role"}, {Name: "what a query may do with it"}}}
	for _, name := range slices.Sorted(maps.Keys(p.Columns)) {
		c := p.Columns[name]
		grid.Rows = append(grid.Rows, []string{name, c.Type, c.Role, use(c)})
	}
	if err := grid.Write(w); err != nil {
		return err
	}
	fmt.Fprintln(w)
	explainRelease(w, p)
	return nil
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
		text := "aggregate it"
		if c.Bounds != nil {
			text += fmt.Sprintf(", clamped to %s … %s", present.Short(c.Bounds[0]), present.Short(c.Bounds[1]))
		}
		if c.Scale > 0 && c.Scale != 1 {
			text += ", summed in steps of " + present.Short(c.Scale)
		}
		if c.Grain == "" {
			return text + "; no filter, no group"
		}
		return text + "; filter and group at multiples of " + c.Grain
	case "time":
		return "group and filter by it, by " + c.Grain
	}
	return "nothing: no query sees it"
}

func explainRelease(w io.Writer, p *document.Policy) {
	r, b := p.Release, p.Budget
	if r == nil || b == nil {
		return
	}
	fmt.Fprintf(w, "A released group has at least %d units of this owner behind it. One unit counts in at most %s,\nwith at most %s in each.\n",
		r.MinUnits, present.Count(r.GroupsPerUnit, "group"), present.Count(r.RowsPerGroup, "row"))
	if r.Mechanism == document.Threshold {
		fmt.Fprintf(w, "Threshold mode: small noise, rounding, no formal guarantee. At most %s per %s.\n", present.Count(b.Queries, "query"), b.Period)
		return
	}
	perPeriod, lifetime := mechanism.FromFloat(b.Rho), mechanism.FromFloat(b.LifetimeRho)
	fmt.Fprintf(w, "Differential privacy: each aggregate costs rho %s; the budget is rho %s per %s (epsilon %s at delta %g)\nand rho %s for good (epsilon %s).\n",
		present.Short(r.RhoPerAggregate), present.Short(b.Rho), b.Period, present.Short(mechanism.Epsilon(perPeriod, b.Delta)), b.Delta,
		present.Short(b.LifetimeRho), present.Short(mechanism.Epsilon(lifetime, b.Delta)))
	if r.RhoPerAggregate > 0 {
		fmt.Fprintf(w, "That pays about %s counts in a period. The 95 %% interval of one count of units is then ± %s.\n",
			present.Integer(int64(perPeriod/mechanism.FromFloat(r.RhoPerAggregate))), present.Short(countWidth(r)))
	}
}

// countWidth is half the 95 % interval of one count of units: 1.96 sigma with sigma^2 = L0 / (2 rho) (PRIVACY.md section 6).
func countWidth(r *document.Release) float64 {
	return 1.96 * math.Sqrt(float64(r.GroupsPerUnit)/(2*r.RhoPerAggregate))
}
