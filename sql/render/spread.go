package render

import "concordat.dev/sql/plan"

// oneRow says that a unit has at most one row in a group because an inner query grouped by the unit and nothing but keys: then there is
// nothing to add up by unit and group.
func oneRow(b *plan.Bounded) bool {
	named := map[int]bool{b.Unit: true}
	for _, k := range b.Keys {
		if c, ok := k.(*plan.Col); ok {
			named[c.Index] = true
		}
	}
	for r := b.Input; ; {
		switch at := r.(type) {
		case *plan.Filter:
			r = at.Input
		case *plan.Window:
			r, named = at.Input, upTo(named, len(at.Input.Schema()))
		case *plan.Project:
			below := map[int]bool{}
			for i := range named {
				if c, ok := at.Exprs[i].(*plan.Col); ok {
					below[c.Index] = true
				}
			}
			r, named = at.Input, below
		case *plan.Join:
			if at.Kind != plan.Semi && at.Kind != plan.Anti {
				return false
			}
			r = at.Left
		case *plan.Aggregate:
			for i := range at.Keys {
				if !named[i] {
					return false
				}
			}
			return true
		default:
			return false
		}
	}
}

// spread names datasets such that a unit has at most as many different values of the columns as the product of its rows in them: no
// dataset, one value. False when that is not known.
func spread(r plan.Relation, cols map[int]bool, unit int) ([]string, bool) {
	delete(cols, unit)
	if len(cols) == 0 {
		return nil, true
	}
	switch r := r.(type) {
	case *plan.Scan:
		return []string{r.Dataset}, true
	case *plan.Filter:
		return spread(r.Input, cols, unit)
	case *plan.Project:
		in := newNeeds()
		for i := range cols {
			in.of(r.Exprs[i])
		}
		return spread(r.Input, in.cols, below1(r.Exprs, unit))
	case *plan.Aggregate:
		in := newNeeds()
		in.of(r.Keys...)
		if at := below1(r.Keys, unit); at >= 0 {
			return spread(r.Input, in.cols, at)
		}
	case *plan.Window:
		if width := len(r.Input.Schema()); len(upTo(cols, width)) == len(cols) {
			return spread(r.Input, cols, unit)
		}
	case *plan.Join:
		return spreadJoin(r, cols, unit)
	}
	return nil, false
}

func spreadJoin(r *plan.Join, cols map[int]bool, unit int) ([]string, bool) {
	width := len(r.Left.Schema())
	right := map[int]bool{}
	for i := range cols {
		if i >= width {
			right[i-width] = true
		}
	}
	if r.Kind == plan.Left && len(right) > 0 {
		return nil, false
	}
	leftUnit, rightUnit := unit, -1
	if unit >= width {
		leftUnit, rightUnit = -1, unit-width
	}
	a, ok := spread(r.Left, upTo(cols, width), leftUnit)
	if !ok || len(right) == 0 {
		return a, ok
	}
	b, ok := spread(r.Right, right, rightUnit)
	return append(a, b...), ok
}

// below1 is the column of the input that a column is, -1 when it is computed.
func below1(exprs []plan.Expr, i int) int {
	if i >= 0 && i < len(exprs) {
		if c, ok := exprs[i].(*plan.Col); ok {
			return c.Index
		}
	}
	return -1
}
