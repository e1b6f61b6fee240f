package query

import (
	"concordat.dev/sql/eval"
	"concordat.dev/sql/plan"
)

// Rowless says that the answer has no rows whatever is released, since LIMIT 0 or a condition that never holds stands above the release: so tools ask
// for the columns of a query. Nothing has to be executed for it.
func (a *Analysis) Rowless() bool { return !a.Refused() && rowless(a.Decision.Release.Outer) }

func rowless(r plan.Relation) bool {
	switch r := r.(type) {
	case *plan.Limit:
		return r.Count == 0 || rowless(r.Input)
	case *plan.Filter:
		for _, c := range r.Conds {
			if len(plan.Columns(c)) == 0 && eval.Value(c, nil) != true {
				return true
			}
		}
		return rowless(r.Input)
	case *plan.Project:
		return rowless(r.Input)
	case *plan.Sort:
		return rowless(r.Input)
	case *plan.Window:
		return rowless(r.Input)
	}
	return false
}
