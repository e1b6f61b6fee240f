package decide

import (
	"fmt"
	"math"
	"strconv"

	"concordat.dev/sql/eval"
	"concordat.dev/sql/plan"
	"concordat.dev/sql/refusal"
)

var inf = math.Inf(1)

func parseFloat(s string) (float64, error) { return strconv.ParseFloat(s, 64) }

// derive tells what an expression is, and refuses what no place could make right: hidden columns, identifiers inside expressions,
// parts of times finer than their grain.
func (d *decider) derive(e plan.Expr, in *relation) fact {
	switch e := e.(type) {
	case *plan.Col:
		return d.column(e, in)
	case *plan.Const:
		f := fact{role: constant, low: -inf, high: inf, scale: 1, values: []any{e.Value}, nullable: e.Value == nil}
		if x, ok := number(e.Value); ok {
			f.low, f.high = x, x
		}
		return f
	case *plan.Case:
		return d.deriveCase(e, in)
	case *plan.Cast:
		return d.deriveCast(e, in)
	case *plan.Call:
		return d.deriveCall(e, in)
	}
	return fact{role: bad}
}

func (d *decider) column(e *plan.Col, in *relation) fact {
	if in.kind == broken || e.Index >= len(in.cols) {
		return fact{role: bad}
	}
	f := in.cols[e.Index]
	if f.role == hidden {
		d.hiddenColumn(e.Span, f)
		return fact{role: bad}
	}
	return f
}

func (d *decider) hiddenColumn(span refusal.Span, f fact) {
	d.refuse(refusal.HiddenColumn, span, f.from, "role: hidden", fmt.Sprintf("The column %s is hidden.", f.name()), "Leave the column out.")
}

func (d *decider) identifierUse(span refusal.Span, f fact) {
	d.refuse(refusal.IdentifierUse, span, f.from, "role: identifier", fmt.Sprintf("The identifier %s joins datasets and is counted; it may not stand here.", f.name()),
		"Use it in JOIN … ON, EXISTS, or count(DISTINCT "+f.name()+").")
}

// isCondition holds for the calls whose value is true or false.
func isCondition(op string) bool {
	switch op {
	case "=", "<>", "<", "<=", ">", ">=", "and", "or", "not", "in", "like", "is_null":
		return true
	}
	return false
}

func (d *decider) deriveCall(e *plan.Call, in *relation) fact {
	if isCondition(e.Op) {
		d.condition(e, in)
		if in.kind == afterRel {
			return fact{role: released}
		}
		return fact{role: flag, from: d.origins(e, in), values: []any{false, true}, low: 0, high: 1, scale: 1}
	}
	if f, ok := d.bin(e, in); ok && in.kind != afterRel {
		return f
	}
	args := make([]fact, len(e.Args))
	free := in.kind == afterRel
	for i, a := range e.Args {
		if _, step := a.(*plan.Step); step {
			args[i] = fact{role: constant}
			continue
		}
		if args[i] = d.derive(a, in); args[i].role == bad {
			return args[i]
		}
		if args[i].role == identifier || args[i].role == nullableUnit {
			d.identifierUse(a.Place(), args[i])
			return fact{role: bad}
		}
	}
	if free {
		return fact{role: released}
	}
	if e.Op == "invalid" {
		return fact{role: bad}
	}
	f := d.apply(e, args)
	if f.role == bad {
		return f
	}
	f.from = d.origins(e, in)
	if e.Op == "coalesce" {
		return f
	}
	if f.role == dimension || f.role == constant {
		f.values, f.many = applied(e, args)
		for _, v := range f.values {
			f.nullable = f.nullable || v == nil
		}
	}
	for _, a := range args {
		f.nullable = f.nullable || a.nullable
	}
	return f
}

func (d *decider) origins(e plan.Expr, in *relation) []origin {
	var out []origin
	seen := map[origin]bool{}
	for _, i := range plan.Columns(e) {
		if i >= len(in.cols) {
			continue
		}
		for _, o := range in.cols[i].from {
			if !seen[o] {
				seen[o] = true
				out = append(out, o)
			}
		}
	}
	return out
}

// applied are the values of a function of arguments whose values are known; nil when they are too many or not known.
func applied(e *plan.Call, args []fact) (values []any, many bool) {
	rows := [][]any{nil}
	for _, a := range args {
		if a.values == nil {
			return nil, a.many
		}
		if len(rows)*len(a.values) > maxValues {
			return nil, true
		}
		var longer [][]any
		for _, head := range rows {
			for _, v := range a.values {
				longer = append(longer, append(append([]any{}, head...), v))
			}
		}
		rows = longer
	}
	call := &plan.Call{Op: e.Op, T: e.T}
	for i, a := range e.Args {
		call.Args = append(call.Args, &plan.Col{Index: i, T: a.Type()})
	}
	var out []any
	for _, row := range rows {
		out = append(out, eval.Value(call, row))
	}
	return distinct(out), false
}

func distinct(values []any) []any {
	var out []any
	seen := map[string]bool{}
	for _, v := range values {
		key := fmt.Sprintf("%T:%v", v, v)
		if !seen[key] {
			seen[key] = true
			out = append(out, v)
		}
	}
	return out
}

func (d *decider) deriveCase(e *plan.Case, in *relation) fact {
	var out fact
	first := true
	add := func(then plan.Expr) {
		f := d.derive(then, in)
		if f.isUnit() {
			d.identifierUse(then.Place(), f)
			f = fact{role: bad}
		}
		if d.prefixed(then, f) {
			f = fact{role: bad}
		}
		if first {
			out, first = f, false
			return
		}
		out = d.either(then, out, f)
	}
	for _, w := range e.Whens {
		d.condition(w.Cond, in)
		add(w.Then)
	}
	add(e.Else)
	if in.kind == afterRel {
		return fact{role: released}
	}
	out.from = d.origins(e, in)
	if out.role == constant { // labels and numbers that the query makes
		if e.T.Numeric() {
			out.role, out.grain = count, 1
		} else if out.role = dimension; e.T == plan.Boolean {
			out.role = flag
		}
	}
	return out
}

// either is a value that is one of two, the second of which is e; refused when no use suits both.
func (d *decider) either(e plan.Expr, a, b fact) fact {
	out, ok := hull(a, b)
	if !ok {
		return d.columnUse(e, b, "may not stand beside a "+a.roleName()+" in one value")
	}
	return out
}

func (d *decider) deriveCast(e *plan.Cast, in *relation) fact {
	f := d.derive(e.Arg, in)
	switch f.role {
	case bad, released:
		return f
	case identifier, nullableUnit:
		d.identifierUse(e.Span, f)
		return fact{role: bad}
	case measure, count:
		if !e.T.Numeric() {
			if f.role == measure || e.T != plan.Varchar {
				return d.columnUse(e.Arg, f, "may not be cast to "+string(e.T))
			}
			f.role = dimension
		} else if f.role == measure && (!e.Arg.Type().Whole() || e.T != plan.Double) {
			f.grain = 0 // what is rounded meets other steps than the grain's
		}
	case flag:
		if e.T.Numeric() {
			f.role, f.grain = count, 1
		}
	case moment:
		if !e.T.Temporal() {
			return d.columnUse(e.Arg, f, "may not be cast to "+string(e.T))
		}
	}
	f.bare = false
	if f.exact != "" && strip(e) == plan.Expr(e) {
		f.exact = mixture
	}
	if d.prefixed(e.Arg, f) {
		return fact{role: bad}
	}
	if f.values != nil {
		var out []any
		for _, v := range f.values {
			out = append(out, eval.Value(&plan.Cast{Arg: &plan.Const{Value: v}, T: e.T}, nil))
		}
		f.values = distinct(out)
		for _, v := range f.values {
			f.nullable = f.nullable || v == nil
		}
	}
	return f
}

func (d *decider) columnUse(e plan.Expr, f fact, why string) fact {
	d.refuse(refusal.ColumnUse, e.Place(), f.from, "role: "+f.roleName(), fmt.Sprintf("The %s %s %s.", f.roleName(), f.name(), why), f.hint())
	return fact{role: bad}
}

func (f fact) roleName() string {
	switch f.role {
	case dimension:
		return "dimension"
	case measure:
		return "measure"
	case moment:
		return "time"
	case flag:
		return "condition"
	case count:
		return "count"
	case constant:
		return "constant"
	}
	return "value"
}

// hint says where an expression of this kind may stand.
func (f fact) hint() string {
	switch f.role {
	case dimension:
		if f.prefix > 0 {
			return fmt.Sprintf("Use left(%s, %d).", f.name(), f.prefix)
		}
		return "Group by it, or compare it with =, <>, IN or LIKE 'prefix%'."
	case measure:
		return "Aggregate it with sum, avg, quantile_cont or stddev."
	case moment:
		return "Use it as a key at its grain, date_trunc('" + f.unit + "', " + f.name() + "), or compare it with dates."
	case count:
		return "Compare it with numbers, group by it, or aggregate it."
	}
	return "Compare it, or use it in a CASE."
}

// prefixed refuses a text that may only be used through left(x, n).
func (d *decider) prefixed(e plan.Expr, f fact) bool {
	if f.role != dimension || f.prefix == 0 {
		return false
	}
	d.refuse(refusal.ColumnUse, e.Place(), f.from, fmt.Sprintf("prefix: %d", f.prefix),
		fmt.Sprintf("The column %s is used through its first %d characters only.", f.name(), f.prefix), fmt.Sprintf("Use left(%s, %d).", f.name(), f.prefix))
	return true
}
