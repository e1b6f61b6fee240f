package bind

import (
	"strings"

	"concordat.dev/sql/ast"
	"concordat.dev/sql/plan"
	"concordat.dev/sql/refusal"
)

// aggregates are the aggregate functions of the language, by the names that a text may use.
var aggregates = map[string]string{
	"count": "count", "sum": "sum", "avg": "avg", "mean": "avg", "min": "min", "max": "max",
	"quantile_cont": "quantile", "median": "quantile",
	"stddev": "stddev_samp", "stddev_samp": "stddev_samp", "stddev_pop": "stddev_pop",
	"variance": "var_samp", "var_samp": "var_samp", "var_pop": "var_pop",
}

func isAggregate(e ast.Expr) bool {
	c, ok := e.(*ast.Call)
	if !ok || c.Operator {
		return false
	}
	_, known := aggregates[c.Name]
	return known || foreignAggregates[c.Name]
}

// foreignAggregates are aggregates of DuckDB that are no part of the language: they are refused as such, and not as unknown functions.
var foreignAggregates = func() map[string]bool {
	out := map[string]bool{}
	for _, name := range strings.Fields(`list array_agg string_agg group_concat listagg any_value first last arbitrary mode arg_min arg_max argmin argmax
		min_by max_by bit_and bit_or bit_xor bool_and bool_or product histogram approx_count_distinct approx_quantile quantile quantile_disc
		reservoir_quantile mad entropy kurtosis skewness corr covar_pop covar_samp regr_slope regr_intercept sumkahan fsum kahan_sum favg
		bitstring_agg count_if countif geomean geometric_mean sem approx_top_k`) {
		out[name] = true
	}
	return out
}()

func containsAggregate(e ast.Expr) bool { return contains(e, isAggregate) }

func containsWindow(e ast.Expr) bool {
	return contains(e, func(e ast.Expr) bool { _, is := e.(*ast.Window); return is })
}

// contains looks through an expression, not into its subqueries, nor (for aggregates) below a match.
func contains(e ast.Expr, match func(ast.Expr) bool) bool {
	if e == nil {
		return false
	}
	if match(e) {
		return true
	}
	for _, p := range parts(e) {
		if contains(p, match) {
			return true
		}
	}
	return false
}

func parts(e ast.Expr) []ast.Expr {
	switch e := e.(type) {
	case *ast.Call:
		return append(append([]ast.Expr{}, e.Args...), nonNil(e.Filter)...)
	case *ast.Cast:
		return []ast.Expr{e.Arg}
	case *ast.Case:
		var out []ast.Expr
		for _, w := range e.Whens {
			out = append(out, w.Cond, w.Then)
		}
		return append(out, e.Else)
	case *ast.Window:
		out := append(append([]ast.Expr{}, e.Args...), e.Partition...)
		for _, o := range e.Order {
			out = append(out, o.Expr)
		}
		return out
	}
	return nil
}

func nonNil(e ast.Expr) []ast.Expr {
	if e == nil {
		return nil
	}
	return []ast.Expr{e}
}

func anyAggregate(q *ast.Select) bool {
	for _, it := range q.Items {
		if containsAggregate(it.Expr) {
			return true
		}
	}
	for _, o := range q.Order {
		if containsAggregate(o.Expr) {
			return true
		}
	}
	return containsAggregate(q.Having)
}

// aboveAggregate resolves what stands above an aggregation: aggregates, keys and windows; nil leaves an expression to its parts.
func (sel *selection) aboveAggregate(e ast.Expr) plan.Expr {
	if isAggregate(e) {
		return sel.aggregate(e.(*ast.Call))
	}
	if w, ok := e.(*ast.Window); ok {
		return sel.window(w)
	}
	if containsAggregate(e) || containsWindow(e) {
		return nil
	}
	if _, isConst := e.(*ast.Const); isConst {
		return nil
	}
	quiet := &binder{catalog: sel.catalog, refused: &refusal.List{}}
	bound := quiet.expr(e, sel.pre)
	sel.nodes += quiet.nodes
	if i, ok := sel.prints[plan.Fingerprint(bound)]; ok {
		return &plan.Col{Span: e.Place(), Index: i, Name: sel.names[i], T: sel.keys[i].Type()}
	}
	c, isColumn := e.(*ast.Column)
	if !isColumn {
		return nil
	}
	col, n := sel.pre.scope.find(c.Names)
	if n != 1 {
		return nil // an alias, or unknown: the general path says which
	}
	sel.refuse(refusal.NotAggregated, c.Span, "Add "+col.name+" to GROUP BY, or put it into an aggregate.",
		"The column %s is neither grouped nor aggregated.", strings.Join(c.Names, "."))
	return &plan.Bad{Span: c.Span}
}

// windowOnly resolves windows in a SELECT without aggregation.
func (sel *selection) windowOnly(e ast.Expr) plan.Expr {
	if w, ok := e.(*ast.Window); ok {
		return sel.window(w)
	}
	return nil
}

// aggregate binds an aggregate and gives the column that will hold it; equal aggregates are one.
func (sel *selection) aggregate(e *ast.Call) plan.Expr {
	a, ok := sel.agg(e)
	if !ok { // refused; that the query aggregates is not in doubt
		a = plan.Agg{Span: e.Span, Func: "count", Arg: &plan.Bad{Span: e.Span}, T: plan.Bigint}
	}
	print := plan.AggFingerprint(a)
	for i, have := range sel.aggs {
		if plan.AggFingerprint(have) == print {
			return &plan.Col{Span: e.Span, Index: len(sel.keys) + i, Name: e.Name, T: have.T}
		}
	}
	sel.aggs = append(sel.aggs, a)
	return &plan.Col{Span: e.Span, Index: len(sel.keys) + len(sel.aggs) - 1, Name: e.Name, T: a.T}
}

func (sel *selection) agg(e *ast.Call) (plan.Agg, bool) {
	name, known := aggregates[e.Name]
	inner := sel.pre
	inner.resolved = nil
	a := plan.Agg{Span: e.Span, Func: name, T: plan.Double}
	if e.Filter != nil {
		a.Filter = sel.condition(e.Filter, inner)
	}
	var args []plan.Expr
	for _, arg := range e.Args {
		if containsAggregate(arg) {
			sel.refuse(refusal.UnsupportedSyntax, arg.Place(), "Aggregate by the unit in a subquery first.", "An aggregate inside an aggregate is not part of the language.")
			return a, false
		}
		if star, ok := arg.(*ast.Star); ok && e.Name == "count" && star.Relation == "" {
			continue
		}
		args = append(args, sel.expr(arg, inner))
	}
	if !known {
		sel.refuse(refusal.UnsupportedSyntax, e.Span, "Use count, sum, avg, quantile_cont, median, stddev or variance.", "The aggregate %s is not part of the language.", e.Name)
		a.Func, a.Arg = "count", invalid(e, args)
		return a, true // the roles are still worth judging
	}
	want := 1
	switch {
	case e.Name == "quantile_cont":
		want = 2
	case e.Name == "count" && len(args) == 0 && !e.Distinct:
		a.T = plan.Bigint
		return a, true
	}
	if len(args) != want {
		sel.refuse(refusal.UnsupportedSyntax, e.Span, "Check the aggregate's arguments.", "%s takes %d argument(s), not %d.", e.Name, want, len(args))
		return a, false
	}
	a.Arg = args[0]
	return sel.typed(e, a, args)
}

func (sel *selection) typed(e *ast.Call, a plan.Agg, args []plan.Expr) (plan.Agg, bool) {
	t := a.Arg.Type()
	_, bad := a.Arg.(*plan.Bad)
	if e.Distinct && a.Func != "count" {
		if a.Func != "min" && a.Func != "max" {
			sel.refuse(refusal.UnsupportedSyntax, e.Span, "Leave DISTINCT out, or count(DISTINCT …).", "%s(DISTINCT …) is not part of the language.", e.Name)
			return a, false
		}
	}
	switch a.Func {
	case "count":
		a.T = plan.Bigint
		if e.Distinct {
			a.Func = "count_distinct"
		}
		return a, true
	case "min", "max":
		a.T = t
		return a, true
	case "sum":
		if t.Whole() {
			a.T = plan.Bigint
		}
	case "quantile":
		a.Quantile = 0.5
		if len(args) == 2 {
			c, ok := args[1].(*plan.Const)
			q, isNumber := 0.0, false
			if ok {
				q, isNumber = number(c.Value)
			}
			if !isNumber {
				sel.refuse(refusal.UnsupportedSyntax, args[1].Place(), "Write a constant between 0.05 and 0.95.", "The fraction of a quantile is a constant.")
				return a, false
			}
			a.Quantile = q
		}
	}
	if !bad && !t.Numeric() && t != plan.Null {
		sel.refuse(refusal.UnsupportedSyntax, a.Arg.Place(), "Aggregate a numeric column.", "%s takes numbers; this is a %s.", e.Name, t)
		return a, true // the roles are still worth judging
	}
	return a, true
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

// windowFuncs are the window functions of the language with the least and most arguments.
var windowFuncs = map[string][2]int{
	"row_number": {0, 0}, "rank": {0, 0}, "dense_rank": {0, 0}, "lag": {1, 3}, "lead": {1, 3}, "first_value": {1, 1},
	"count": {0, 1}, "sum": {1, 1}, "min": {1, 1}, "max": {1, 1}, "avg": {1, 1},
}

func (sel *selection) window(e *ast.Window) plan.Expr {
	arity, known := windowFuncs[e.Name]
	inner := sel.post
	f := plan.WindowFunc{Span: e.Span, Func: e.Name, Frame: e.Frame, T: plan.Bigint}
	for _, a := range e.Args {
		if star, ok := a.(*ast.Star); ok && star.Relation == "" {
			continue
		}
		f.Args = append(f.Args, sel.expr(a, inner))
	}
	for _, p := range e.Partition {
		f.Partition = append(f.Partition, sel.expr(p, inner))
	}
	for _, o := range e.Order {
		f.Order = append(f.Order, plan.OrderKey{Expr: sel.expr(o.Expr, inner), Descending: o.Descending, NullsFirst: o.NullsFirst})
	}
	if e.Filter != nil {
		f.Filter = sel.condition(e.Filter, inner)
	}
	if !known {
		sel.refuse(refusal.UnsupportedSyntax, e.Span, "Use row_number, rank, dense_rank, lag, lead, first_value, count, sum, min or max.", "The window function %s is not part of the language.", e.Name)
		return &plan.Bad{Span: e.Span}
	}
	if len(f.Args) < arity[0] || len(f.Args) > arity[1] {
		sel.refuse(refusal.UnsupportedSyntax, e.Span, "Check the function's arguments.", "%s does not take %d arguments.", e.Name, len(f.Args))
		return &plan.Bad{Span: e.Span}
	}
	if containsWindow(&ast.Call{Args: append(append([]ast.Expr{}, e.Args...), e.Partition...)}) {
		sel.refuse(refusal.UnsupportedSyntax, e.Span, "Compute the inner window in a subquery.", "A window function inside a window function is not part of the language.")
		return &plan.Bad{Span: e.Span}
	}
	switch e.Name {
	case "lag", "lead":
		f.T = f.Args[0].Type()
		if !sel.looksAlong(e, &f) {
			return &plan.Bad{Span: e.Span}
		}
	case "first_value", "min", "max":
		f.T = f.Args[0].Type()
	case "sum":
		if f.T = plan.Double; f.Args[0].Type().Whole() {
			f.T = plan.Bigint
		}
	case "avg":
		f.T = plan.Double
	}
	sel.windows = append(sel.windows, f)
	return &plan.Col{Span: e.Span, Index: windowBase + len(sel.windows) - 1, Name: e.Name, T: f.T}
}

// looksAlong checks the offset and the default of lag and lead.
func (sel *selection) looksAlong(e *ast.Window, f *plan.WindowFunc) bool {
	for _, a := range f.Args[1:] {
		if _, ok := a.(*plan.Const); !ok {
			sel.refuse(refusal.UnsupportedSyntax, a.Place(), "Write a constant.", "The offset and default of %s are constants.", e.Name)
			return false
		}
	}
	if len(f.Args) > 1 {
		n, ok := f.Args[1].(*plan.Const).Value.(int64)
		if !ok || n < 0 || n > 1000 {
			sel.refuse(refusal.UnsupportedSyntax, f.Args[1].Place(), "Write a number from 0 to 1000.", "The offset of %s is a small number.", e.Name)
			return false
		}
	}
	if len(f.Args) > 2 {
		both, t, ok := sel.unify(e.Span, f.Args[0], f.Args[2])
		if !ok {
			return false
		}
		f.Args[0], f.Args[2], f.T = both[0], both[1], t
	}
	return true
}
