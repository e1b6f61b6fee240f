package bind

import (
	"concordat.dev/sql/ast"
	"concordat.dev/sql/plan"
	"concordat.dev/sql/refusal"
)

// where binds WHERE: its conditions become a filter; its top-level EXISTS, NOT EXISTS and IN (query) become semi and anti joins.
func (sel *selection) where(input plan.Relation) plan.Relation {
	var filters []plan.Expr
	var joins []*plan.Join
	for _, e := range conjuncts(sel.q.Where) {
		if j, is := sel.semi(e, input); is {
			if j != nil {
				joins = append(joins, j)
			}
			continue
		}
		filters = append(filters, plan.Conjuncts(sel.condition(e, sel.pre))...)
	}
	out := input
	if len(filters) > 0 {
		out = &plan.Filter{Input: out, Conds: filters}
	}
	for _, j := range joins {
		j.Left = out
		out = j
	}
	return out
}

// conjuncts splits a condition at its top-level ANDs.
func conjuncts(e ast.Expr) []ast.Expr {
	if e == nil {
		return nil
	}
	if c, ok := e.(*ast.Call); ok && c.Name == "and" && c.Operator {
		var out []ast.Expr
		for _, a := range c.Args {
			out = append(out, conjuncts(a)...)
		}
		return out
	}
	return []ast.Expr{e}
}

// semi recognises the conjuncts that are joins. The join's Left is set by the caller; nil when it was refused.
func (sel *selection) semi(e ast.Expr, left plan.Relation) (*plan.Join, bool) {
	kind := plan.Semi
	if c, ok := e.(*ast.Call); ok && c.Name == "not" && c.Operator && len(c.Args) == 1 {
		switch c.Args[0].(type) {
		case *ast.Exists, *ast.InQuery:
			kind, e = plan.Anti, c.Args[0]
			if j, is := sel.joined(e, kind, left); j != nil {
				j.Span = j.Cover(c.Span)
				return j, is
			}
			return nil, true
		}
	}
	return sel.joined(e, kind, left)
}

func (sel *selection) joined(e ast.Expr, kind plan.JoinKind, left plan.Relation) (*plan.Join, bool) {
	switch e := e.(type) {
	case *ast.Exists:
		return sel.exists(e, kind, left), true
	case *ast.InQuery:
		if kind == plan.Anti {
			sel.refuse(refusal.UnsupportedSyntax, e.Span, "Write NOT EXISTS (SELECT 1 FROM … WHERE identifiers are equal).", "NOT IN (query) is not part of the language.")
			return nil, true
		}
		return sel.inQuery(e, left), true
	}
	return nil, false
}

func (sel *selection) inQuery(e *ast.InQuery, left plan.Relation) *plan.Join {
	right := sel.query(e.Query, sel.env, false)
	arg := sel.expr(e.Arg, sel.pre)
	if opaque(right) || opaque(left) {
		return nil
	}
	columns := right.Schema()
	if len(columns) != 1 {
		sel.refuse(refusal.UnsupportedSyntax, e.Span, "Select the identifier alone in the subquery.", "IN (query) needs a query of one column; this one has %d.", len(columns))
		return nil
	}
	width := len(left.Schema())
	on := sel.compare("=", e.Span, arg, &plan.Col{Span: e.Query.Place(), Index: width, Name: columns[0].Name, T: columns[0].Type})
	return &plan.Join{Span: e.Span, Kind: plan.Semi, Right: right, On: []plan.Expr{on}}
}

// exists binds EXISTS (SELECT … FROM … WHERE …): conditions of its WHERE may read the query around it.
func (sel *selection) exists(e *ast.Exists, kind plan.JoinKind, left plan.Relation) *plan.Join {
	q, ok := e.Query.(*ast.Select)
	if !ok || len(q.With) > 0 || len(q.GroupBy) > 0 || q.GroupAll || q.Having != nil || q.Qualify != nil || q.Limit != nil || anyAggregate(q) {
		sel.refuse(refusal.UnsupportedSyntax, e.Span, "Write EXISTS (SELECT 1 FROM … WHERE …), or IN with a subquery that groups.", "EXISTS takes a plain SELECT with FROM and WHERE.")
		return nil
	}
	right, inner := sel.from(q.From, sel.env, q.Span)
	width := len(left.Schema())
	both := &scope{columns: append(inner.shifted(width), sel.hiddenBy(inner)...), open: inner.open || sel.pre.scope.open}
	j := &plan.Join{Span: e.Span, Kind: kind, Right: right}
	for _, c := range conjuncts(q.Where) {
		j.On = append(j.On, plan.Conjuncts(sel.condition(c, context{scope: both, env: sel.env}))...)
	}
	if opaque(right) || opaque(left) {
		return nil
	}
	j.Right = sel.listed(q.Items, right, inner)
	return j
}

// listed adds the SELECT list of an EXISTS behind the columns of its relation: it computes nothing, but what it names is judged.
func (sel *selection) listed(items []ast.Item, r plan.Relation, s *scope) plan.Relation {
	p := &plan.Project{Input: r}
	for i, c := range r.Schema() {
		p.Exprs, p.Names = append(p.Exprs, &plan.Col{Index: i, Name: c.Name, T: c.Type, Starred: true}), append(p.Names, c.Name)
	}
	plain := len(p.Exprs)
	for _, it := range items {
		if _, star := it.Expr.(*ast.Star); !star {
			p.Exprs, p.Names = append(p.Exprs, sel.expr(it.Expr, context{scope: s, env: sel.env})), append(p.Names, "")
		}
	}
	if len(p.Exprs) == plain {
		return r
	}
	return p
}

// hiddenBy are the outer columns whose names an inner scope leaves free: an unqualified name means the inner column first.
func (sel *selection) hiddenBy(inner *scope) []named {
	var out []named
	for _, c := range sel.pre.scope.columns {
		if _, n := inner.find([]string{c.name}); n > 0 {
			c.merged = true
		}
		out = append(out, c)
	}
	return out
}
