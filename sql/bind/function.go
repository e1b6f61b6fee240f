package bind

import (
	"strings"

	"concordat.dev/sql/ast"
	"concordat.dev/sql/plan"
	"concordat.dev/sql/refusal"
)

// signature types the arguments of a function; it returns the call, or nil when they do not fit.
type signature func(b *binder, e *ast.Call, args []plan.Expr) plan.Expr

// scalars are the functions of the language, by the names that a text may use.
var scalars = map[string]signature{
	"+": plus, "-": minus, "*": arithmetic("*"), "/": arithmetic("/"),
	"abs": numeric("abs"), "floor": numeric("floor"), "ceil": numeric("ceil"), "ceiling": numeric("ceil"), "round": round,
	"least": variadic("least"), "greatest": variadic("greatest"), "coalesce": variadic("coalesce"),
	"left": left, "lower": text("lower"), "upper": text("upper"), "trim": text("trim"), "lcase": text("lower"), "ucase": text("upper"),
	"date_trunc": dateTrunc, "datetrunc": dateTrunc, "date_diff": dateDiff, "datediff": dateDiff,
	"date_part": datePart, "datepart": datePart,
	"year": part("year"), "quarter": part("quarter"), "month": part("month"), "week": part("week"), "day": part("day"),
	"dayofweek": part("dow"), "isodow": part("isodow"), "hour": part("hour"),
}

func (b *binder) function(e *ast.Call, args []plan.Expr) plan.Expr {
	sig, known := scalars[e.Name]
	if !known {
		what := "The function " + e.Name
		if e.Operator {
			what = "The operator " + e.Name
		}
		b.refuse(refusal.UnsupportedSyntax, e.Span, instead(e.Name), "%s is not part of the language.", what)
		return invalid(e, args)
	}
	for _, a := range args {
		if _, bad := a.(*plan.Bad); bad {
			return a
		}
	}
	if r := sig(b, e, args); r != nil {
		if _, call := r.(*plan.Call); call {
			return folded(r)
		}
		return r
	}
	var types []string
	for _, a := range args {
		types = append(types, string(a.Type()))
	}
	b.refuse(refusal.UnsupportedSyntax, e.Span, "Check the arguments, or CAST them.", "%s does not take (%s).", e.Name, strings.Join(types, ", "))
	return invalid(e, args)
}

// invalid stands for a call that was refused: what its arguments are is still worth judging.
func invalid(e *ast.Call, args []plan.Expr) plan.Expr {
	return &plan.Call{Span: e.Span, Op: "invalid", Args: args, T: plan.Null}
}

// instead is what may be written in the place of a function that is not in the language.
func instead(name string) string {
	switch name {
	case "%", "mod":
		return "Group by floor(column / n)."
	case "substr", "substring":
		return "Use left(column, n)."
	case "||", "concat", "concat_ws":
		return "Group by the columns one by one."
	case "strftime":
		return "Use date_trunc('month', column)."
	case "!~~*", "~~*", "regexp_matches", "contains", "starts_with", "prefix", "suffix", "like_escape", "~~~":
		return "Use LIKE 'prefix%'."
	case "ifnull", "nvl":
		return "Use coalesce(column, value)."
	case "if", "iff", "nullif":
		return "Use CASE WHEN … THEN … ELSE … END."
	case "now", "current_date", "today", "current_timestamp", "get_current_timestamp":
		return "Write the date: DATE '2026-01-31'."
	}
	var known []string
	for k := range scalars {
		known = append(known, k)
	}
	if n := near(name, known); n != "" && len(name) > 2 {
		return "Did you mean " + n + "(…)?"
	}
	return "Leave it out; docs/LANGUAGE.md lists the functions."
}

func plus(b *binder, e *ast.Call, args []plan.Expr) plan.Expr {
	if len(args) == 1 && args[0].Type().Numeric() {
		return args[0]
	}
	if len(args) == 2 && args[0].Type() == plan.Interval {
		args = []plan.Expr{args[1], args[0]}
	}
	if s := shift(e, args, 1); s != nil {
		return s
	}
	return arithmetic("+")(b, e, args)
}

func minus(b *binder, e *ast.Call, args []plan.Expr) plan.Expr {
	if len(args) == 1 && args[0].Type().Numeric() {
		if c, ok := args[0].(*plan.Const); ok {
			switch v := c.Value.(type) {
			case int64:
				return &plan.Const{Span: e.Span, Value: -v, T: c.T}
			case float64:
				return &plan.Const{Span: e.Span, Value: -v, T: c.T}
			}
		}
		return &plan.Call{Span: e.Span, Op: "neg", Args: args, T: args[0].Type()}
	}
	if s := shift(e, args, -1); s != nil {
		return s
	}
	return arithmetic("-")(b, e, args)
}

// shift is a time and an INTERVAL.
func shift(e *ast.Call, args []plan.Expr, sign int64) plan.Expr {
	if len(args) != 2 || !args[0].Type().Temporal() {
		return nil
	}
	step, ok := args[1].(*plan.Step)
	if !ok {
		return nil
	}
	s := *step
	s.Count *= sign
	return &plan.Call{Span: e.Span, Op: "+", Args: []plan.Expr{args[0], &s}, T: plan.Timestamp}
}

func arithmetic(op string) signature {
	return func(_ *binder, e *ast.Call, args []plan.Expr) plan.Expr {
		if len(args) != 2 || !args[0].Type().Numeric() || !args[1].Type().Numeric() {
			return nil
		}
		t, _ := common(args[0].Type(), args[1].Type())
		if op == "/" {
			t = plan.Double
		} else if t.Whole() {
			t = plan.Bigint
		}
		return &plan.Call{Span: e.Span, Op: op, Args: args, T: t}
	}
}

func numeric(op string) signature {
	return func(_ *binder, e *ast.Call, args []plan.Expr) plan.Expr {
		if len(args) != 1 || !args[0].Type().Numeric() {
			return nil
		}
		if op != "abs" && args[0].Type().Whole() {
			return args[0]
		}
		return &plan.Call{Span: e.Span, Op: op, Args: args, T: args[0].Type()}
	}
}

func round(_ *binder, e *ast.Call, args []plan.Expr) plan.Expr {
	if len(args) < 1 || len(args) > 2 || !args[0].Type().Numeric() {
		return nil
	}
	if len(args) == 2 {
		c, ok := args[1].(*plan.Const)
		if !ok {
			return nil
		}
		if n, isInt := c.Value.(int64); !isInt || n < 0 || n > 9 {
			return nil
		}
	}
	if args[0].Type().Whole() {
		return args[0]
	}
	return &plan.Call{Span: e.Span, Op: "round", Args: args, T: args[0].Type()}
}

func variadic(op string) signature {
	return func(b *binder, e *ast.Call, args []plan.Expr) plan.Expr {
		if len(args) == 0 {
			return nil
		}
		unified, t, ok := b.unify(e.Span, args...)
		if !ok || op != "coalesce" && !t.Numeric() && !t.Temporal() {
			return nil
		}
		return &plan.Call{Span: e.Span, Op: op, Args: unified, T: t}
	}
}

func left(_ *binder, e *ast.Call, args []plan.Expr) plan.Expr {
	if len(args) != 2 || args[0].Type() != plan.Varchar {
		return nil
	}
	c, ok := args[1].(*plan.Const)
	if !ok {
		return nil
	}
	if n, isInt := c.Value.(int64); !isInt || n < 0 || n > 1000 {
		return nil
	}
	return &plan.Call{Span: e.Span, Op: "left", Args: args, T: plan.Varchar}
}

func text(op string) signature {
	return func(_ *binder, e *ast.Call, args []plan.Expr) plan.Expr {
		if len(args) != 1 || args[0].Type() != plan.Varchar {
			return nil
		}
		return &plan.Call{Span: e.Span, Op: op, Args: args, T: plan.Varchar}
	}
}

// units are the parts of a time, by the names that a text may use.
var units = map[string]string{
	"year": "year", "years": "year", "y": "year", "quarter": "quarter", "quarters": "quarter", "month": "month", "months": "month", "mon": "month",
	"week": "week", "weeks": "week", "w": "week", "day": "day", "days": "day", "d": "day", "dayofmonth": "day", "hour": "hour", "hours": "hour", "h": "hour",
	"minute": "minute", "minutes": "minute", "second": "second", "seconds": "second", "dow": "dow", "dayofweek": "dow", "weekday": "dow",
	"isodow": "isodow",
}

func unit(e plan.Expr) (*plan.Const, bool) {
	c, ok := e.(*plan.Const)
	if !ok {
		return nil, false
	}
	s, _ := c.Value.(string)
	u, known := units[strings.ToLower(s)]
	return &plan.Const{Span: c.Span, Value: u, T: plan.Varchar}, known
}

func dateTrunc(_ *binder, e *ast.Call, args []plan.Expr) plan.Expr {
	if len(args) != 2 || !args[1].Type().Temporal() {
		return nil
	}
	u, ok := unit(args[0])
	if !ok || u.Value == "dow" || u.Value == "isodow" {
		return nil
	}
	return &plan.Call{Span: e.Span, Op: "date_trunc", Args: []plan.Expr{u, args[1]}, T: args[1].Type()}
}

func dateDiff(b *binder, e *ast.Call, args []plan.Expr) plan.Expr {
	if len(args) != 3 {
		return nil
	}
	u, ok := unit(args[0])
	if !ok || u.Value == "dow" || u.Value == "isodow" {
		return nil
	}
	times, t, ok := b.unify(e.Span, args[1], args[2])
	if !ok || !t.Temporal() {
		return nil
	}
	return &plan.Call{Span: e.Span, Op: "date_diff", Args: append([]plan.Expr{u}, times...), T: plan.Bigint}
}

func datePart(_ *binder, e *ast.Call, args []plan.Expr) plan.Expr {
	if len(args) != 2 || !args[1].Type().Temporal() {
		return nil
	}
	u, ok := unit(args[0])
	if !ok {
		return nil
	}
	return &plan.Call{Span: e.Span, Op: "date_part", Args: []plan.Expr{u, args[1]}, T: plan.Bigint}
}

func part(name string) signature {
	return func(_ *binder, e *ast.Call, args []plan.Expr) plan.Expr {
		if len(args) != 1 || !args[0].Type().Temporal() {
			return nil
		}
		return &plan.Call{Span: e.Span, Op: "date_part", Args: []plan.Expr{&plan.Const{Span: e.Span, Value: name, T: plan.Varchar}, args[0]}, T: plan.Bigint}
	}
}
