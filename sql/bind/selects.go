package bind

import (
	"strings"

	"concordat.dev/sql/ast"
	"concordat.dev/sql/plan"
	"concordat.dev/sql/refusal"
)

// windowBase numbers window columns while the width of their input is not known yet.
const windowBase = 1 << 20

// selection is the work on one SELECT.
type selection struct {
	*binder
	q       *ast.Select
	env     *environment
	pre     context // names of FROM
	post    context // names above the aggregation; pre itself when there is none
	keys    []plan.Expr
	names   []string
	prints  map[string]int // fingerprint of a key -> its index
	aggs    []plan.Agg
	windows []plan.WindowFunc
	grouped bool // GROUP BY, HAVING or an aggregate
	ordered bool // ORDER BY means something: in the outermost query, or with LIMIT
}

// selects binds one SELECT. A correlated EXISTS does not come here: where.go makes a semi-join of it.
func (b *binder) selects(q *ast.Select, env *environment, top bool) plan.Relation {
	input, s := b.from(q.From, env, q.Span)
	sel := &selection{binder: b, q: q, env: env, prints: map[string]int{}, ordered: top || q.Limit != nil}
	sel.pre = context{scope: s, env: env, aliases: aliases(q.Items)}
	unknown := opaque(input)
	input = sel.where(input)
	sel.post = sel.pre
	aggregated := q.GroupAll || len(q.GroupBy) > 0 || q.Having != nil || anyAggregate(q)
	if sel.grouped = aggregated; aggregated {
		sel.bindKeys()
		sel.post.resolved = sel.aboveAggregate
	} else {
		sel.post.resolved = sel.windowOnly
	}
	exprs, names := sel.items()
	having := sel.conditions(q.Having)
	qualify := sel.conditions(q.Qualify)
	order := sel.order(exprs, names)
	if unknown {
		return &plan.Opaque{Span: q.Span}
	}
	return sel.assemble(input, aggregated, exprs, names, having, qualify, order)
}

func (sel *selection) assemble(input plan.Relation, aggregated bool, exprs []plan.Expr, names []string, having, qualify []plan.Expr, order []plan.OrderKey) plan.Relation {
	r := input
	if aggregated {
		agg := &plan.Aggregate{Span: sel.q.Span, Input: r, Keys: sel.keys, Aggs: sel.aggs, Names: append([]string{}, sel.names...)}
		for _, a := range sel.aggs {
			agg.Names = append(agg.Names, a.Func)
		}
		r = agg
		if len(having) > 0 {
			r = &plan.Filter{Input: r, Conds: having}
		}
	}
	width := len(r.Schema())
	fix := func(e plan.Expr) plan.Expr {
		return plan.Map(e, func(e plan.Expr) plan.Expr {
			if c, ok := e.(*plan.Col); ok && c.Index >= windowBase {
				return &plan.Col{Span: c.Span, Index: width + c.Index - windowBase, Name: c.Name, T: c.T}
			}
			return e
		})
	}
	if len(sel.windows) > 0 {
		r = &plan.Window{Input: r, Funcs: sel.windows}
		if len(qualify) > 0 {
			for i := range qualify {
				qualify[i] = fix(qualify[i])
			}
			r = &plan.Filter{Input: r, Conds: qualify}
		}
	} else if len(qualify) > 0 {
		sel.refuse(refusal.UnsupportedSyntax, qualify[0].Place(), "Use WHERE or HAVING.", "QUALIFY needs a window function.")
	}
	for i := range exprs {
		exprs[i] = fix(exprs[i])
	}
	for i := range order {
		order[i].Expr = fix(order[i].Expr)
	}
	return sel.finish(r, exprs, names, order)
}

// finish projects, sorts and cuts. Sort keys that are not in the list travel as hidden columns; where the order means nothing they are
// there to be judged.
func (sel *selection) finish(r plan.Relation, exprs []plan.Expr, names []string, order []plan.OrderKey) plan.Relation {
	visible := len(exprs)
	project := &plan.Project{Input: r, Exprs: exprs, Names: names}
	for i, k := range order {
		at := -1
		for j, e := range project.Exprs {
			if plan.Fingerprint(e) == plan.Fingerprint(k.Expr) {
				at = j
				break
			}
		}
		if at < 0 {
			if sel.q.Distinct && !sel.ordered {
				continue
			}
			if sel.q.Distinct {
				sel.refuse(refusal.UnsupportedSyntax, k.Expr.Place(), "Put the expression into the SELECT list.", "With DISTINCT, ORDER BY takes what the SELECT list has.")
				continue
			}
			at = len(project.Exprs)
			project.Exprs, project.Names = append(project.Exprs, k.Expr), append(project.Names, "")
		}
		order[i].Expr = &plan.Col{Span: k.Expr.Place(), Index: at, T: k.Expr.Type()}
	}
	var out plan.Relation = project
	if sel.q.Distinct {
		d := &plan.Aggregate{Span: sel.q.Span, Input: project, Distinct: true, Names: names}
		for i, e := range project.Exprs {
			d.Keys = append(d.Keys, &plan.Col{Span: e.Place(), Index: i, Name: names[i], T: e.Type()})
		}
		out = d
	}
	if len(order) > 0 && sel.ordered {
		out = &plan.Sort{Input: out, Keys: order}
	}
	out = limit(out, sel.q.Limit)
	if len(project.Exprs) > visible {
		cut := &plan.Project{Input: out}
		for i := 0; i < visible; i++ {
			cut.Exprs = append(cut.Exprs, &plan.Col{Span: exprs[i].Place(), Index: i, Name: names[i], T: exprs[i].Type()})
			cut.Names = append(cut.Names, names[i])
		}
		out = cut
	}
	return out
}

func aliases(items []ast.Item) map[string]ast.Expr {
	out := map[string]ast.Expr{}
	for _, it := range items {
		if it.Alias != "" {
			key := strings.ToLower(it.Alias)
			if _, twice := out[key]; !twice {
				out[key] = it.Expr
			}
		}
	}
	return out
}

// bindKeys binds GROUP BY: expressions, positions, aliases, or ALL (every item without an aggregate).
func (sel *selection) bindKeys() {
	if sel.q.GroupAll {
		for _, it := range sel.q.Items {
			if !containsAggregate(it.Expr) && !containsWindow(it.Expr) {
				sel.addKey(it.Expr, it.Alias)
			}
		}
		return
	}
	for _, e := range sel.q.GroupBy {
		name := ""
		if c, ok := e.(*ast.Const); ok {
			n, isInt := c.Value.(int64)
			if !isInt || n < 1 || n > int64(len(sel.q.Items)) {
				sel.refuse(refusal.UnsupportedSyntax, c.Span, "Write the position of an item of the SELECT list, or an expression.", "GROUP BY names no item.")
				continue
			}
			item := sel.q.Items[n-1]
			if containsAggregate(item.Expr) {
				sel.refuse(refusal.UnsupportedSyntax, c.Span, "Group by keys.", "GROUP BY names an aggregate.")
				continue
			}
			e, name = item.Expr, item.Alias
		}
		sel.addKey(e, name)
	}
}

func (sel *selection) addKey(e ast.Expr, name string) {
	if star, ok := e.(*ast.Star); ok {
		for _, c := range sel.star(star, sel.pre.scope) {
			sel.appendKey(c, c.(*plan.Col).Name)
		}
		return
	}
	if containsAggregate(e) || containsWindow(e) {
		sel.refuse(refusal.UnsupportedSyntax, e.Place(), "Group by keys.", "GROUP BY holds an aggregate or a window function.")
		return
	}
	if name == "" {
		name = itemName(e)
	}
	sel.appendKey(sel.expr(e, sel.pre), name)
}

func (sel *selection) appendKey(key plan.Expr, name string) {
	print := plan.Fingerprint(key)
	if _, have := sel.prints[print]; have {
		return
	}
	sel.prints[print] = len(sel.keys)
	sel.keys, sel.names = append(sel.keys, key), append(sel.names, name)
}

func (sel *selection) items() ([]plan.Expr, []string) {
	var exprs []plan.Expr
	var names []string
	for _, it := range sel.q.Items {
		if star, ok := it.Expr.(*ast.Star); ok {
			for _, c := range sel.star(star, sel.pre.scope) {
				name := c.(*plan.Col).Name
				if sel.grouped {
					c = sel.expr(&ast.Column{Span: star.Span, Names: []string{name}}, sel.post)
				}
				exprs, names = append(exprs, c), append(names, name)
			}
			continue
		}
		name := it.Alias
		if name == "" {
			name = itemName(it.Expr)
		}
		exprs, names = append(exprs, sel.expr(it.Expr, sel.post)), append(names, name)
	}
	return exprs, names
}

// itemName is the name of a result column without an alias.
func itemName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Column:
		return e.Names[len(e.Names)-1]
	case *ast.Call:
		return e.Name
	case *ast.Window:
		return e.Name
	case *ast.Case:
		return "case"
	case *ast.Cast:
		return itemName(e.Arg)
	}
	return "value"
}

func (sel *selection) conditions(e ast.Expr) []plan.Expr {
	if e == nil {
		return nil
	}
	return plan.Conjuncts(sel.condition(e, sel.post))
}

// order binds ORDER BY: positions, aliases of the list, or expressions.
func (sel *selection) order(exprs []plan.Expr, names []string) []plan.OrderKey {
	var out []plan.OrderKey
	if sel.q.OrderAll {
		for _, e := range exprs {
			out = append(out, plan.OrderKey{Expr: e})
		}
	}
	outputs := &scope{}
	for i, e := range exprs {
		outputs.columns = append(outputs.columns, named{name: names[i], index: i, t: e.Type()})
	}
	for _, o := range sel.q.Order {
		key := plan.OrderKey{Descending: o.Descending, NullsFirst: o.NullsFirst}
		if at := sel.position(o.Expr, outputs); at != nil {
			if c, ok := at.(*plan.Col); ok {
				key.Expr = exprs[c.Index]
			} else {
				key.Expr = at
			}
		} else {
			key.Expr = sel.expr(o.Expr, sel.post)
		}
		out = append(out, key)
	}
	return out
}

// position resolves a position, or the name of an output column; nil when it is neither.
func (b *binder) position(e ast.Expr, outputs *scope) plan.Expr {
	switch e := e.(type) {
	case *ast.Const:
		n, ok := e.Value.(int64)
		if !ok || n < 1 || n > int64(len(outputs.columns)) {
			b.refuse(refusal.UnsupportedSyntax, e.Span, "Write the position of an item of the SELECT list, or an expression.", "ORDER BY names no item.")
			return &plan.Bad{Span: e.Span}
		}
		c := outputs.columns[n-1]
		return &plan.Col{Span: e.Span, Index: c.index, Name: c.name, T: c.t}
	case *ast.Column:
		if len(e.Names) == 1 {
			for _, c := range outputs.columns {
				if strings.EqualFold(c.name, e.Names[0]) {
					return &plan.Col{Span: e.Span, Index: c.index, Name: c.name, T: c.t}
				}
			}
		}
	}
	return nil
}
