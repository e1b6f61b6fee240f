package parse

import (
	"strings"

	"concordat.dev/sql/ast"
	"concordat.dev/sql/refusal"
)

func (d *decoder) function(o object, location int) ast.Expr {
	name := strings.ToLower(o.text("function_name"))
	if s := o.text("schema"); s != "" && s != "main" || o.text("catalog") != "" {
		d.unsupported(d.src.call(location), "A function of a schema")
		return nil
	}
	if interval := d.interval(o, name, location); interval != nil {
		return interval
	}
	operator := o.truth("is_operator")
	args := d.exprs(o.list("children"))
	var span refusal.Span
	if operator {
		span, _ = d.src.token(location)
	} else {
		span = d.src.call(location)
	}
	for _, a := range args {
		span = span.Cover(a.Place())
	}
	e := &ast.Call{Span: span, Name: name, Args: args, Operator: operator, Distinct: o.truth("distinct"), Filter: d.optional(o, "filter")}
	if o.has("order_bys") {
		d.unsupported(span, "ORDER BY inside an aggregate")
	}
	d.finish(o, span)
	if name == "count_star" {
		e.Name = "count"
	}
	return e
}

var intervals = map[string]string{
	"to_years": "year", "to_quarters": "quarter", "to_months": "month", "to_weeks": "week", "to_days": "day",
	"to_hours": "hour", "to_minutes": "minute", "to_seconds": "second",
}

// interval recognises the shape that the parser gives INTERVAL n UNIT, and no other (PRIVACY.md R12): to_days(CAST(trunc(CAST(n AS DOUBLE))
// AS INTEGER)), where the parser made up cast and trunc, which have no place in the text. Seconds are not cut to integers.
func (d *decoder) interval(o object, name string, location int) ast.Expr {
	unit, ok := intervals[name]
	if !ok {
		return nil
	}
	inner, ok := only(o)
	if !ok {
		return nil
	}
	shape := []object{o, inner}
	if unit != "second" {
		if !madeUp(inner, "CAST") || !castTo(inner, "INTEGER", "BIGINT") {
			return nil
		}
		trunc := inner.object("child")
		if !madeUp(trunc, "FUNCTION") || trunc.text("function_name") != "trunc" {
			return nil
		}
		if inner, ok = only(trunc); !ok {
			return nil
		}
		shape = append(shape, trunc, inner)
	}
	if inner.text("class") != "CAST" || !castTo(inner, "DOUBLE") {
		return nil
	}
	number := inner.object("child")
	if number.text("class") != "CONSTANT" || number.location() != location {
		return nil
	}
	c, _ := d.expr(number).(*ast.Const)
	if c == nil {
		return nil
	}
	count, ok := wholeNumber(c.Value)
	if !ok || count > 1<<31 || count < -(1<<31) {
		return nil
	}
	span := c.Span
	if t, ok := d.src.token(location); ok {
		span = span.Cover(t)
	}
	if i, ok := d.src.index(c.Start); ok && i > 0 && d.src.word(i-1) == "interval" {
		span.Start = d.src.tokens[i-1].start
		if i+1 < len(d.src.tokens) && strings.HasPrefix(d.src.word(i+1), unit) {
			span.End = d.src.tokens[i+1].end
		}
	}
	for _, node := range shape {
		for _, key := range []string{"alias", "class", "type", "query_location", "function_name", "children", "child", "cast_type"} {
			node.any(key)
		}
		d.finish(node, span)
	}
	return &ast.Interval{Span: span, Count: count, Unit: unit}
}

// only is the one argument of a function.
func only(o object) (object, bool) {
	list := o.list("children")
	if len(list) != 1 {
		return object{}, false
	}
	return newObject(list[0]), true
}

func madeUp(o object, class string) bool { return o.text("class") == class && o.location() < 0 }

func castTo(o object, ids ...string) bool {
	kind := o.object("cast_type")
	id := kind.text("id")
	if len(kind.rest()) > 0 {
		return false
	}
	for _, want := range ids {
		if id == want {
			return true
		}
	}
	return false
}

func wholeNumber(v any) (int64, bool) {
	switch v := v.(type) {
	case int64:
		return v, true
	case string:
		var n int64
		if v == "" || len(v) > 10 {
			return 0, false
		}
		for i := 0; i < len(v); i++ {
			if !digit(v[i]) {
				return 0, false
			}
			n = n*10 + int64(v[i]-'0')
		}
		return n, true
	}
	return 0, false
}

// frames are the window frames of the language. The default with ORDER BY runs to the current row and its peers.
func frame(start, end string, ordered bool) (string, bool) {
	switch {
	case start == "UNBOUNDED_PRECEDING" && (end == "CURRENT_ROW_RANGE" || !ordered && end == "UNBOUNDED_FOLLOWING"):
		return "", true
	case start == "UNBOUNDED_PRECEDING" && end == "CURRENT_ROW_ROWS":
		return "rows between unbounded preceding and current row", true
	case start == "UNBOUNDED_PRECEDING" && end == "UNBOUNDED_FOLLOWING":
		return "rows between unbounded preceding and unbounded following", true
	}
	return "", false
}

func (d *decoder) window(o object, kind string, location int) ast.Expr {
	span := d.src.call(location)
	name := strings.ToLower(o.text("function_name"))
	if name == "" || kind != "WINDOW_AGGREGATE" {
		name = strings.ToLower(strings.TrimPrefix(kind, "WINDOW_"))
		if name == "rank_dense" {
			name = "dense_rank"
		}
	}
	e := &ast.Window{Span: span, Name: name, Partition: d.exprs(o.list("partitions"))}
	e.Args = d.exprs(o.list("children"))
	for _, key := range []string{"offset_expr", "default_expr"} { // lag and lead
		if o.has(key) {
			e.Args = append(e.Args, d.expr(o.object(key)))
		}
	}
	e.Order, _ = d.orders(o.list("orders"))
	e.Filter = d.optional(o, "filter_expr")
	var ok bool
	e.Frame, ok = frame(o.text("start"), o.text("end"), len(e.Order) > 0)
	if !ok || o.has("start_expr") || o.has("end_expr") {
		d.unsupported(span, "This window frame", "Leave the frame out, or write ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW.")
		o.any("start_expr")
		o.any("end_expr")
	}
	if exclude := o.text("exclude_clause"); exclude != "" && exclude != "NO_OTHER" {
		d.unsupported(span, "EXCLUDE in a window")
	}
	if name == "count_star" {
		e.Name = "count"
	}
	o.text("schema")
	d.finish(o, span)
	return e
}
