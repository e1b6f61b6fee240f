package query

import (
	"fmt"
	"slices"
	"strings"

	"concordat.dev/policies/mechanism"
	"concordat.dev/protocol/document"
	"concordat.dev/sql/plan"
)

// explain tells the plan in plain words: what is read and joined, which rows are kept, what is counted by what, and what each owner says.
func (a *Analysis) explain(policies map[string]*document.Policy) []string {
	release := a.Decision.Release
	var out []string
	joins(release.Bounded.Input, policies, &out)
	out = append(out, a.computes(policies))
	for _, p := range a.Decision.Prices {
		out = append(out, ownerSays(p.Owner, p.Datasets, policies))
	}
	if spec := &release.Spec; spec.PublicKeys && spec.KeyCount > 0 && spec.Kind == mechanism.DifferentialPrivacy {
		n := 1
		for _, values := range spec.Domain {
			n *= len(values)
		}
		out = append(out, fmt.Sprintf("All %d groups are declared by policies or by the query itself.", n))
	}
	return out
}

// joins tells the relations of a plan, those read first.
func joins(r plan.Relation, policies map[string]*document.Policy, out *[]string) {
	for _, in := range r.Inputs() {
		joins(in, policies, out)
	}
	switch r := r.(type) {
	case *plan.Join:
		left, right := plan.Scans(r.Left), plan.Scans(r.Right)
		verb := map[plan.JoinKind]string{plan.Inner: "Joins %s with %s", plan.Left: "Joins %s with %s, keeping rows without a match",
			plan.Semi: "Keeps rows of %s whose unit is in %s", plan.Anti: "Keeps rows of %s whose unit is not in %s"}[r.Kind]
		on := ""
		if p := policies[right[0]]; !p.Unit.None && r.Kind != plan.Semi && r.Kind != plan.Anti {
			on = " on the " + p.Unit.Namespace
		}
		*out = append(*out, fmt.Sprintf(verb, strings.Join(left, " and "), strings.Join(right, " and "))+on+".")
	case *plan.Filter:
		var conds []string
		for _, c := range r.Conds {
			conds = append(conds, plan.Words(c))
		}
		*out = append(*out, "Keeps rows where "+strings.Join(conds, " and ")+".")
	case *plan.Aggregate:
		*out = append(*out, "Aggregates the rows of each unit"+by(r.Keys, 1)+".")
	case *plan.Window:
		*out = append(*out, "Numbers or compares the rows of each unit.")
	case *plan.Union:
		*out = append(*out, "Puts the rows of "+strings.Join(plan.Scans(r), " and ")+" together.")
	}
}

// by lists group keys; fewer than least of them are not worth a word.
func by(keys []plan.Expr, least int) string {
	if len(keys) <= least {
		return ""
	}
	var words []string
	for _, k := range keys {
		words = append(words, plan.Words(k))
	}
	return " by " + strings.Join(words, " and ")
}

// computes tells what the release counts and adds up.
func (a *Analysis) computes(policies map[string]*document.Policy) string {
	b := &a.Decision.Release.Bounded
	unit := "unit"
	for _, id := range a.Decision.Datasets {
		if p := policies[id]; !p.Unit.None {
			unit = p.Unit.Namespace
			break
		}
	}
	var what []string
	for _, c := range a.Decision.Release.Spec.Cells {
		s := b.Sums[c.Columns[0]]
		text := ""
		switch c.Kind {
		case mechanism.CellCount:
			if text = "rows"; s.Kind == plan.SumUnits || s.Kind == plan.SumDistinct {
				text = "distinct " + unit + "s"
			}
			text = "the number of " + text
		case mechanism.CellSum:
			text = "the sum of " + plan.Words(s.Arg)
		case mechanism.CellAverage:
			text = "the mean of " + plan.Words(s.Arg)
		case mechanism.CellQuantile:
			text = fmt.Sprintf("the %g-quantile of %s", c.Quantile, plan.Words(s.Arg))
		default:
			text = "the " + string(c.Kind) + " of " + plan.Words(s.Arg)
		}
		if s.Filter != nil && s.Kind != plan.SumDistinct {
			text += " where " + plan.Words(s.Filter)
		}
		if !slices.Contains(what, text) {
			what = append(what, text)
		}
	}
	return "Releases " + strings.Join(what, ", ") + by(b.Keys, 0) + "."
}

// ownerSays is the verdict of one owner with the rules that apply.
func ownerSays(owner string, datasets []string, policies map[string]*document.Policy) string {
	p := policies[datasets[0]]
	rule := fmt.Sprintf("differential privacy, rho %g an aggregate", p.Release.RhoPerAggregate)
	if p.Release.Mechanism == document.Threshold {
		rule = "threshold, which is no formal guarantee"
	}
	return fmt.Sprintf("%s allows it for %s: %s, at least %d units behind a cell.", owner, strings.Join(datasets, " and "), rule, p.Release.MinUnits)
}
