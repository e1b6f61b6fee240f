package decide

import (
	"fmt"

	"concordat.dev/sql/plan"
	"concordat.dev/sql/refusal"
)

// mixture says of values finer than a filter may see that they are of several columns, of columns and constants, or computed. Whoever may
// ask which of them are equal, or which comes first, has a filter that no grain and no prefix binds: a row with the constant 42 beside
// the rows of a measure tells by its rank which of them are below 42.
const mixture = "mixed"

// exactly is what a value is that is one of two.
func exactly(a, b fact) string {
	switch {
	case a.exact == b.exact || b.onlyNull():
		return a.exact
	case a.onlyNull():
		return b.exact
	}
	return mixture
}

// computed is what arithmetic makes of its arguments.
func computed(args []fact) string {
	for _, a := range args {
		if a.exact != "" {
			return mixture
		}
	}
	return ""
}

// summed is what an inner sum or average makes of its argument: sums of one column compare with one another.
func (f fact) summed() string {
	if f.exact == "" || f.exact == mixture {
		return f.exact
	}
	return "sum of " + f.exact
}

// toldApart judges what rows of a unit are compared by: PARTITION BY, ORDER BY and count(DISTINCT) read values as they were stored.
func (d *decider) toldApart(e plan.Expr, f fact) {
	d.unmixed(e, f, "Rows of a unit are told apart and put in order by columns as they are: %s is mixed with other values, or computed.")
}

// present judges what is counted of a unit: what arithmetic leaves out, as where it divides by zero, tells single values.
func (d *decider) present(e plan.Expr, f fact) {
	d.unmixed(e, f, "Of a unit, columns are counted as they are: %s is mixed with other values, or computed.")
}

func (d *decider) unmixed(e plan.Expr, f fact, message string) {
	if f.exact != mixture {
		return
	}
	code, rule, suggestion := refusal.Grain, f.grainRule(), "Use the column itself, or what a filter may see of it: floor(column / m), or CASE with conditions at its grain."
	switch {
	case f.isUnit():
		code, rule, suggestion = refusal.IdentifierUse, "role: identifier", "Leave it out: an identifier is compared with identifiers only."
	case f.role == dimension:
		code, rule, suggestion = refusal.ColumnUse, fmt.Sprintf("prefix: %d", f.prefix), fmt.Sprintf("Use left(%s, %d).", f.name(), f.prefix)
	}
	d.refuse(code, e.Place(), f.from, rule, fmt.Sprintf(message, f.name()), suggestion)
}

// ties judges a window whose value depends on the order of rows that tie: all columns that the query reads break ties (R2). Where the
// key of the rows is in the order already, nothing ties.
func (d *decider) ties(f plan.WindowFunc, in *relation) {
	switch f.Func {
	case "row_number", "lag", "lead", "first_value":
	default:
		if f.Frame == "" {
			return
		}
	}
	placed := map[int]bool{}
	for _, e := range f.Partition {
		placed[column(e)] = true
	}
	for _, k := range f.Order {
		placed[column(k.Expr)] = true
	}
	total := in.keyed
	for _, k := range in.key {
		total = total && placed[k]
	}
	if total {
		return
	}
	for i, c := range in.cols {
		if c.exact == mixture && !placed[i] {
			d.refuse(refusal.Grain, f.Span, c.from, c.grainRule(), fmt.Sprintf("Rows of a unit that tie would be put in order by %s, which is mixed with other values, or computed.", c.name()),
				"Compute it above the window, or order by all columns that tell the rows of a unit apart.")
			return
		}
	}
}

// column is the index of the column that an expression is, -1 when it is computed.
func column(e plan.Expr) int {
	if c, ok := e.(*plan.Col); ok {
		return c.Index
	}
	return -1
}
