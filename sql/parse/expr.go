package parse

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"concordat.dev/sql/ast"
	"concordat.dev/sql/refusal"
)

func (d *decoder) optional(o object, key string) ast.Expr {
	if !o.has(key) {
		return nil
	}
	return d.expr(o.object(key))
}

func (d *decoder) exprs(list []any) []ast.Expr {
	var out []ast.Expr
	for _, v := range list {
		out = append(out, d.expr(newObject(v)))
	}
	return out
}

// expr decodes one expression; a Bad when it was refused, never nil.
func (d *decoder) expr(o object) ast.Expr {
	before := len(d.refused.All())
	if e := d.node(o); e != nil {
		return e
	}
	span := d.src.all()
	if all := d.refused.All(); len(all) > before {
		span = all[before].Span
	}
	return &ast.Bad{Span: span}
}

func (d *decoder) node(o object) ast.Expr {
	if d.depth++; d.depth > maxDepth {
		d.unsupported(refusal.Span{}, "An expression nested this deeply")
		return nil
	}
	defer func() { d.depth-- }()
	o.any("alias")
	class, kind, location := o.text("class"), o.text("type"), o.location()
	switch class {
	case "COLUMN_REF":
		e := &ast.Column{Span: d.src.name(location), Names: o.texts("column_names")}
		d.finish(o, e.Span)
		return e
	case "STAR":
		return d.star(o, location)
	case "CONSTANT":
		return d.constant(o, location)
	case "FUNCTION":
		return d.function(o, location)
	case "OPERATOR":
		return d.operator(o, kind, location)
	case "COMPARISON":
		return d.comparison(o, kind)
	case "CONJUNCTION":
		return d.conjunction(o, kind)
	case "BETWEEN":
		return d.between(o)
	case "CASE":
		return d.caseWhen(o, location)
	case "CAST":
		return d.cast(o, location)
	case "WINDOW":
		return d.window(o, kind, location)
	case "SUBQUERY":
		return d.subquery(o, location)
	}
	span := d.src.call(location)
	what := map[string]string{"PARAMETER": "A parameter", "LAMBDA": "A lambda", "COLLATE": "COLLATE", "POSITIONAL_REFERENCE": "A positional reference"}[class]
	if what == "" {
		what = words(kind)
	}
	if class == "PARAMETER" {
		d.unsupported(span, what, "Write the value into the text: a question with another value is another question, with a price of its own.")
		return nil
	}
	d.unsupported(span, what)
	return nil
}

func (d *decoder) star(o object, location int) ast.Expr {
	e := &ast.Star{Relation: o.text("relation_name")}
	if t, ok := d.src.token(location); ok {
		e.Span = t
	} else {
		e.Span = d.src.find("*")
	}
	if o.truth("columns") {
		d.unsupported(d.src.find("columns"), "COLUMNS(…)")
		return nil
	}
	d.finish(o, e.Span)
	return e
}

func (d *decoder) constant(o object, location int) ast.Expr {
	span, _ := d.src.token(location)
	if i, ok := d.src.at[location]; ok && d.src.tokens[i].kind == '-' && i+1 < len(d.src.tokens) {
		span.End = d.src.tokens[i+1].end
	}
	value := o.object("value")
	kind := value.object("type")
	id := kind.text("id")
	d.finish(o, span)
	raw, null := value.any("value"), value.truth("is_null")
	info := kind.object("type_info")
	scale := info.any("scale")
	info.any("width")
	if info.text("type"); info.text("alias") != "" || len(info.list("modifiers")) > 0 {
		d.unsupported(span, "A constant of a type of one's own")
	}
	for _, part := range []object{value, kind, info} {
		d.finish(part, span)
	}
	if null {
		return &ast.Const{Span: span}
	}
	switch id {
	case "BOOLEAN":
		b, _ := raw.(bool)
		return &ast.Const{Span: span, Value: b}
	case "VARCHAR":
		s, ok := raw.(string)
		if ok {
			return &ast.Const{Span: span, Value: s}
		}
	case "INTEGER", "BIGINT", "SMALLINT", "TINYINT":
		if n, ok := raw.(json.Number); ok {
			if i, err := n.Int64(); err == nil {
				return &ast.Const{Span: span, Value: i}
			}
		}
	case "DOUBLE", "FLOAT":
		if n, ok := raw.(json.Number); ok {
			if f, err := n.Float64(); err == nil && !math.IsInf(f, 0) {
				return &ast.Const{Span: span, Value: f}
			}
		}
	case "DECIMAL":
		if f, ok := decimal(raw, scale); ok {
			return &ast.Const{Span: span, Value: f}
		}
	}
	d.unsupported(span, "A constant of this type or size")
	return nil
}

// decimal is the double nearest to a decimal constant, which the tree holds as an integer and a scale.
func decimal(raw, scale any) (float64, bool) {
	n, ok1 := raw.(json.Number)
	s, ok2 := scale.(json.Number)
	if !ok1 || !ok2 {
		return 0, false
	}
	f, err := strconv.ParseFloat(n.String()+"e-"+s.String(), 64)
	return f, err == nil && !math.IsInf(f, 0)
}

func (d *decoder) conjunction(o object, kind string) ast.Expr {
	name := "and"
	if kind == "CONJUNCTION_OR" {
		name = "or"
	}
	return d.apply(name, o, d.exprs(o.list("children")), refusal.Span{})
}

// apply makes a call of an operator whose place is that of its parts.
func (d *decoder) apply(name string, o object, args []ast.Expr, span refusal.Span) ast.Expr {
	for _, a := range args {
		span = span.Cover(a.Place())
	}
	d.finish(o, span)
	return &ast.Call{Span: span, Name: name, Args: args, Operator: true}
}

var comparisons = map[string]string{
	"COMPARE_EQUAL": "=", "COMPARE_NOTEQUAL": "<>", "COMPARE_LESSTHAN": "<", "COMPARE_GREATERTHAN": ">",
	"COMPARE_LESSTHANOREQUALTO": "<=", "COMPARE_GREATERTHANOREQUALTO": ">=",
}

func (d *decoder) comparison(o object, kind string) ast.Expr {
	o.location()
	args := d.exprs([]any{o.any("left"), o.any("right")})
	name, ok := comparisons[kind]
	if !ok {
		var span refusal.Span
		for _, a := range args {
			span = span.Cover(a.Place())
		}
		d.unsupported(span, strings.ToUpper(strings.ReplaceAll(strings.TrimPrefix(kind, "COMPARE_"), "_", " ")), "Use =, <>, <, <=, > or >=, and IS NULL.")
		return nil
	}
	return d.apply(name, o, args, refusal.Span{})
}

// between is input >= lower AND input <= upper: one meaning, one plan.
func (d *decoder) between(o object) ast.Expr {
	args := d.exprs([]any{o.any("input"), o.any("lower"), o.any("upper")})
	span := args[0].Place().Cover(args[2].Place())
	d.finish(o, span)
	low := &ast.Call{Span: span, Name: ">=", Args: []ast.Expr{args[0], args[1]}, Operator: true}
	high := &ast.Call{Span: span, Name: "<=", Args: []ast.Expr{args[0], args[2]}, Operator: true}
	return &ast.Call{Span: span, Name: "and", Args: []ast.Expr{low, high}, Operator: true}
}

func (d *decoder) operator(o object, kind string, location int) ast.Expr {
	children := o.list("children")
	own, _ := d.src.token(location)
	names := map[string]string{
		"OPERATOR_NOT": "not", "OPERATOR_IS_NULL": "is_null", "OPERATOR_IS_NOT_NULL": "is_not_null",
		"COMPARE_IN": "in", "COMPARE_NOT_IN": "not_in", "OPERATOR_COALESCE": "coalesce",
	}
	name, ok := names[kind]
	if !ok {
		what := words(strings.TrimPrefix(kind, "OPERATOR_"))
		if kind == "GROUPING_FUNCTION" {
			what = "GROUPING(…)"
		}
		d.exprs(children)
		d.unsupported(d.src.call(location), what)
		return nil
	}
	args := d.exprs(children)
	switch name {
	case "coalesce":
		own = d.src.call(location)
	case "in", "not_in":
		// the list ends with the parenthesis behind the last constant
		last := args[len(args)-1].Place().End
		if i, ok := d.src.index(last); ok && d.src.tokens[i].kind == ')' {
			own = own.Cover(refusal.Span{Start: last, End: d.src.tokens[i].end})
		}
	case "is_null", "is_not_null":
		own = d.isNull(args[0].Place(), own)
	}
	return d.apply(name, o, args, own)
}

// isNull is the place of IS [NOT] NULL behind an expression.
func (d *decoder) isNull(arg, own refusal.Span) refusal.Span {
	i, ok := d.src.index(arg.End)
	for ok && i < len(d.src.tokens) && d.src.tokens[i].kind == ')' {
		i++
	}
	for ; ok && i < len(d.src.tokens); i++ {
		switch d.src.word(i) {
		case "is", "not", "null", "isnull", "notnull":
			own = own.Cover(refusal.Span{Start: arg.End, End: d.src.tokens[i].end})
			continue
		}
		break
	}
	return own
}

func (d *decoder) caseWhen(o object, location int) ast.Expr {
	e := &ast.Case{Span: d.src.through(location, "case", "end")}
	for _, v := range o.list("case_checks") {
		check := newObject(v)
		when, then := d.expr(check.object("when_expr")), d.expr(check.object("then_expr"))
		d.finish(check, e.Span)
		e.Whens = append(e.Whens, ast.When{Cond: when, Then: then})
	}
	e.Else = d.optional(o, "else_expr")
	d.finish(o, e.Span)
	if e.Else == nil {
		return nil
	}
	return e
}

// castTypes are the types that CAST may name (PRIVACY.md R12), by the parser's name.
var castTypes = map[string]string{
	"BOOLEAN": "boolean", "TINYINT": "integer", "SMALLINT": "integer", "INTEGER": "integer", "BIGINT": "bigint", "HUGEINT": "bigint",
	"FLOAT": "double", "DOUBLE": "double", "VARCHAR": "varchar", "DATE": "date", "TIMESTAMP": "timestamp",
}

func (d *decoder) cast(o object, location int) ast.Expr {
	arg := d.expr(o.object("child"))
	kind := o.object("cast_type")
	id := kind.text("id")
	o.truth("try_cast")
	span := arg.Place()
	if i, ok := d.src.at[location]; ok {
		switch d.src.word(i) {
		case "cast", "try_cast":
			span = d.src.call(location)
		default:
			span = span.Cover(refusal.Span{Start: d.src.tokens[i].start, End: d.src.tokens[i].end})
			if i+1 < len(d.src.tokens) && d.src.tokens[i].kind == ':' {
				span.End = d.src.tokens[i+1].end
			}
		}
	} else if span.Start > 0 { // DATE '…' and TIMESTAMP '…'
		if i, ok := d.src.index(span.Start); ok && i > 0 && (d.src.word(i-1) == "date" || d.src.word(i-1) == "timestamp") {
			span.Start = d.src.tokens[i-1].start
		}
	}
	name, ok := castTypes[id]
	if !ok {
		suggestion := "Cast to boolean, integer, bigint, double, varchar, date or timestamp."
		switch id {
		case "INTERVAL":
			suggestion = "Write a number and a unit: INTERVAL 7 DAY."
		case "DECIMAL":
			suggestion = "Cast to double."
		}
		d.unsupported(span, "A CAST to "+strings.ToLower(id), suggestion)
		return nil
	}
	d.finish(kind, span)
	d.finish(o, span)
	if c, isConst := arg.(*ast.Const); isConst && name == "boolean" {
		switch c.Value { // TRUE and FALSE
		case "t":
			return &ast.Const{Span: span, Value: true}
		case "f":
			return &ast.Const{Span: span, Value: false}
		}
	}
	return &ast.Cast{Span: span, Arg: arg, Type: name}
}

func (d *decoder) subquery(o object, location int) ast.Expr {
	span, _ := d.src.token(location)
	if i, ok := d.src.at[location]; ok {
		for i < len(d.src.tokens) && d.src.tokens[i].kind != '(' {
			i++
		}
		if i < len(d.src.tokens) {
			span.End = d.src.tokens[d.src.closing(i)].end
		}
	}
	kind := o.text("subquery_type")
	child := d.optional(o, "child")
	comparison := o.text("comparison_type")
	query := d.inner(o.object("subquery"), span)
	if child != nil {
		span = span.Cover(child.Place())
	}
	d.finish(o, span)
	switch {
	case query == nil:
		return nil
	case kind == "EXISTS":
		return &ast.Exists{Span: span, Query: query}
	case kind == "ANY" && comparison == "COMPARE_EQUAL" && child != nil:
		return &ast.InQuery{Span: span, Arg: child, Query: query}
	case kind == "SCALAR":
		d.unsupported(span, "A scalar subquery", "Join the datasets on their identifiers instead.")
	default:
		d.unsupported(span, "This form of subquery", "Use EXISTS, or IN with the identifier.")
	}
	return nil
}
