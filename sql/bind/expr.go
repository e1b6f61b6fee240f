package bind

import (
	"math"
	"strings"

	"concordat.dev/sql/ast"
	"concordat.dev/sql/eval"
	"concordat.dev/sql/plan"
	"concordat.dev/sql/refusal"
)

// condition binds an expression that must be true or false.
func (b *binder) condition(e ast.Expr, c context) plan.Expr {
	bound := b.expr(e, c)
	if t := bound.Type(); t != plan.Boolean && t != plan.Null {
		b.refuse(refusal.UnsupportedSyntax, e.Place(), "Write a comparison.", "A condition is true or false; this is a %s.", t)
		return &plan.Bad{Span: e.Place()}
	}
	return bound
}

// expr binds an expression; a Bad for what was refused.
func (b *binder) expr(e ast.Expr, c context) plan.Expr {
	if b.nodes++; b.depth > 100 || b.nodes > maxNodes {
		return &plan.Bad{Span: e.Place()}
	}
	if c.resolved != nil {
		if r := c.resolved(e); r != nil {
			return r
		}
	}
	switch e := e.(type) {
	case *ast.Column:
		return b.column(e, c)
	case *ast.Const:
		return constant(e)
	case *ast.Interval:
		b.refuse(refusal.UnsupportedSyntax, e.Span, "Add it to a time, or take it off: column + INTERVAL 7 DAY.", "An INTERVAL stands beside a time only.")
	case *ast.Call:
		return b.call(e, c)
	case *ast.Case:
		return b.caseWhen(e, c)
	case *ast.Cast:
		return b.cast(e, c)
	case *ast.Window:
		b.refuse(refusal.UnsupportedSyntax, e.Span, "Compute it in a subquery and filter above it.", "A window function may not stand here.")
	case *ast.Exists, *ast.InQuery:
		b.refuse(refusal.UnsupportedSyntax, e.Place(), "Put it at the top level of WHERE, joined to the rest by AND.", "EXISTS and IN (query) stand at the top level of WHERE only.")
	case *ast.Star:
		b.refuse(refusal.UnsupportedSyntax, e.Span, "Name the column.", "* may not stand here.")
	}
	return &plan.Bad{Span: e.Place()}
}

func constant(e *ast.Const) plan.Expr {
	t := plan.Null
	switch v := e.Value.(type) {
	case bool:
		t = plan.Boolean
	case int64:
		if t = plan.Integer; v != int64(int32(v)) {
			t = plan.Bigint
		}
	case float64:
		t = plan.Double
	case string:
		t = plan.Varchar
	}
	return &plan.Const{Span: e.Span, Value: e.Value, T: t}
}

func (b *binder) cast(e *ast.Cast, c context) plan.Expr {
	arg, t := b.expr(e.Arg, c), plan.Type(e.Type)
	if _, bad := arg.(*plan.Bad); bad {
		return arg
	}
	if k, ok := arg.(*plan.Const); ok {
		if r, wider, ok := readAs(k, t); ok && wider == t {
			r.Span = e.Span
			return r
		}
		if t.Temporal() && k.T == plan.Varchar {
			b.refuse(refusal.UnsupportedSyntax, e.Span, "Write it as 2026-01-31 or 2026-01-31 12:00:00.", "This text is no %s.", t)
			return &plan.Bad{Span: e.Span}
		}
	}
	if arg.Type() == t || t.Whole() && arg.Type().Whole() {
		return arg
	}
	return folded(&plan.Cast{Span: e.Span, Arg: arg, T: t})
}

// folded computes what is computed from constants alone.
func folded(e plan.Expr) plan.Expr {
	if c, ok := e.(*plan.Call); ok && (c.Op == "invalid" || len(c.Args) == 0) {
		return e
	}
	for _, a := range plan.Children(e) {
		switch a.(type) {
		case *plan.Const, *plan.Step:
		default:
			return e
		}
	}
	v := eval.Value(e, nil)
	if f, ok := v.(float64); ok && (math.IsNaN(f) || math.IsInf(f, 0)) {
		v = nil
	}
	return &plan.Const{Span: e.Place(), Value: v, T: e.Type()}
}

func (b *binder) caseWhen(e *ast.Case, c context) plan.Expr {
	out := &plan.Case{Span: e.Span}
	results := make([]plan.Expr, 0, len(e.Whens)+1)
	for _, w := range e.Whens {
		out.Whens = append(out.Whens, plan.When{Cond: b.condition(w.Cond, c)})
		results = append(results, b.expr(w.Then, c))
	}
	results = append(results, b.expr(e.Else, c))
	unified, t, ok := b.unify(e.Span, results...)
	if !ok {
		return &plan.Bad{Span: e.Span}
	}
	for i := range out.Whens {
		out.Whens[i].Then = unified[i]
	}
	out.Else, out.T = unified[len(unified)-1], t
	return out
}

// compare makes a comparison of two expressions of one type.
func (b *binder) compare(op string, span refusal.Span, left, right plan.Expr) plan.Expr {
	args, _, ok := b.unify(span, left, right)
	if !ok {
		args = []plan.Expr{left, right} // the roles are still worth judging
	}
	return &plan.Call{Span: span, Op: op, Args: args, T: plan.Boolean}
}

func (b *binder) call(e *ast.Call, c context) plan.Expr {
	if isAggregate(e) {
		b.refuse(refusal.UnsupportedSyntax, e.Span, "Aggregate in the SELECT list or HAVING.", "The aggregate %s may not stand here.", e.Name)
		for _, a := range e.Args {
			if _, star := a.(*ast.Star); !star {
				b.expr(a, c)
			}
		}
		return &plan.Bad{Span: e.Span}
	}
	if e.Distinct || e.Filter != nil {
		b.refuse(refusal.UnsupportedSyntax, e.Span, "Leave it out.", "DISTINCT and FILTER belong to aggregates; %s is none.", e.Name)
		return &plan.Bad{Span: e.Span}
	}
	args := make([]plan.Expr, len(e.Args))
	for i, a := range e.Args {
		if step, ok := a.(*ast.Interval); ok && (e.Name == "+" || e.Name == "-") {
			args[i] = &plan.Step{Span: step.Span, Count: step.Count, Unit: step.Unit}
			continue
		}
		args[i] = b.expr(a, c)
	}
	switch e.Name {
	case "and", "or", "not":
		for i, a := range args {
			if t := a.Type(); t != plan.Boolean && t != plan.Null {
				b.refuse(refusal.UnsupportedSyntax, e.Args[i].Place(), "Write a comparison.", "%s takes conditions; this is a %s.", strings.ToUpper(e.Name), t)
				args[i] = &plan.Bad{Span: e.Args[i].Place()}
			}
		}
		return &plan.Call{Span: e.Span, Op: e.Name, Args: args, T: plan.Boolean}
	case "=", "<>", "<", "<=", ">", ">=":
		return b.compare(e.Name, e.Span, args[0], args[1])
	case "!=":
		return b.compare("<>", e.Span, args[0], args[1])
	case "is_null":
		return &plan.Call{Span: e.Span, Op: "is_null", Args: args, T: plan.Boolean}
	case "is_not_null":
		return not(&plan.Call{Span: e.Span, Op: "is_null", Args: args, T: plan.Boolean})
	case "in", "not_in":
		return b.in(e, args)
	case "~~", "!~~":
		return b.like(e, args)
	}
	return b.function(e, args)
}

func not(e plan.Expr) plan.Expr {
	return &plan.Call{Span: e.Place(), Op: "not", Args: []plan.Expr{e}, T: plan.Boolean}
}

func (b *binder) in(e *ast.Call, args []plan.Expr) plan.Expr {
	for _, a := range args[1:] {
		if _, ok := a.(*plan.Const); !ok {
			if _, bad := a.(*plan.Bad); !bad {
				b.refuse(refusal.UnsupportedSyntax, a.Place(), "Compare columns with = and OR.", "IN takes constants.")
			}
			return &plan.Bad{Span: e.Span}
		}
	}
	unified, _, ok := b.unify(e.Span, args...)
	if !ok {
		unified = args
	}
	in := &plan.Call{Span: e.Span, Op: "in", Args: unified, T: plan.Boolean}
	if e.Name == "not_in" {
		return not(in)
	}
	return in
}

// like takes 'prefix%' only, and reads it as a comparison of the first characters.
func (b *binder) like(e *ast.Call, args []plan.Expr) plan.Expr {
	pattern, ok := args[1].(*plan.Const)
	text, isText := "", false
	if ok {
		text, isText = pattern.Value.(string)
	}
	if !isText || !strings.HasSuffix(text, "%") || strings.ContainsAny(strings.TrimSuffix(text, "%"), "%_\\") {
		b.refuse(refusal.UnsupportedSyntax, e.Span, "Write LIKE 'prefix%'.", "LIKE takes a constant prefix followed by one %%.")
		return &plan.Bad{Span: e.Span}
	}
	if t := args[0].Type(); t != plan.Varchar {
		if _, bad := args[0].(*plan.Bad); !bad {
			b.refuse(refusal.UnsupportedSyntax, e.Span, "Compare it with = or IN.", "LIKE takes a text; this is a %s.", t)
		}
		return &plan.Bad{Span: e.Span}
	}
	prefix := strings.TrimSuffix(text, "%")
	like := &plan.Call{Span: e.Span, Op: "like", Args: []plan.Expr{args[0], &plan.Const{Span: pattern.Span, Value: prefix, T: plan.Varchar}}, T: plan.Boolean}
	if e.Name == "!~~" {
		return not(like)
	}
	return like
}
