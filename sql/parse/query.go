package parse

import (
	"fmt"
	"strconv"
	"strings"

	"concordat.dev/sql/ast"
	"concordat.dev/sql/refusal"
)

// decoder turns DuckDB's tree into package ast.
type decoder struct {
	src     *source
	refused *refusal.List
	depth   int
}

// maxDepth bounds the nesting of queries and expressions.
const maxDepth = 200

func (d *decoder) unsupported(span refusal.Span, what string, suggestion ...string) {
	if span.End <= span.Start {
		span = d.src.all()
	}
	if len(suggestion) == 0 {
		suggestion = []string{"Leave it out; docs/LANGUAGE.md lists what can be written."}
	}
	d.refused.Add(refusal.Refusal{Code: refusal.UnsupportedSyntax, Span: span, Rule: "language",
		Message: what + " is not part of the language.", Suggestion: strings.Join(suggestion, " ")})
}

// finish refuses what a node says beyond what was read of it.
func (d *decoder) finish(o object, span refusal.Span) {
	for _, key := range o.rest() {
		if key == "sample" {
			span = d.sample()
		}
		d.unsupported(span, strings.ToUpper(key[:1])+key[1:])
	}
}

func (d *decoder) sample() refusal.Span {
	if span := d.src.find("tablesample"); span != d.src.all() {
		return refusal.Span{Start: span.Start, End: d.src.all().End}
	}
	span := d.src.find("sample")
	return refusal.Span{Start: span.Start, End: d.src.all().End}
}

func (d *decoder) statements(o object) ast.Query {
	if o.truth("error") {
		d.parseError(o)
		return nil
	}
	list := o.list("statements")
	if len(list) != 1 {
		span := d.src.all()
		for _, t := range d.src.tokens {
			if t.kind == ';' && t.end < span.End {
				span.Start = t.start
				break
			}
		}
		d.refused.Add(refusal.Refusal{Code: refusal.NotOneSelect, Span: span, Rule: "one statement",
			Message:    fmt.Sprintf("A query is exactly one SELECT; this text has %d statements.", len(list)),
			Suggestion: "Send each statement as a query of its own."})
		return nil
	}
	d.finish(o, d.src.all())
	statement := newObject(list[0])
	node := statement.object("node")
	statement.any("named_param_map")
	d.finish(statement, d.src.all())
	return d.query(node, d.src.all())
}

func (d *decoder) parseError(o object) {
	span, message := d.src.all(), o.text("error_message")
	if at, err := strconv.Atoi(o.text("position")); err == nil {
		if t, ok := d.src.token(at); ok {
			span = t
		}
	}
	syntax := o.text("error_type") == "parser"
	first := ""
	if len(d.src.tokens) > 0 {
		first = d.src.word(0)
	}
	if first == "select" || first == "with" || first == "from" {
		if !syntax {
			d.unsupported(span, "A construct of this query")
			return
		}
		if strings.HasPrefix(message, "NameListToString") { // what DuckDB says to a relation of four names
			d.unsupported(span, "A relation's name of more than three parts", "Write owner.dataset, or \"collaboration\".owner.dataset.")
			return
		}
		d.refused.Add(refusal.Refusal{Code: refusal.UnsupportedSyntax, Span: span, Rule: "language",
			Message: "The text is not valid SQL: " + message + ".", Suggestion: "Check the text at the marked place."})
		return
	}
	d.refused.Add(refusal.Refusal{Code: refusal.NotOneSelect, Span: d.src.all(), Rule: "one statement",
		Message: "A query is exactly one SELECT.", Suggestion: "Write SELECT … FROM … GROUP BY …."})
}

func (d *decoder) query(o object, span refusal.Span) ast.Query {
	if d.depth++; d.depth > maxDepth {
		d.unsupported(span, "A query nested this deeply")
		return nil
	}
	defer func() { d.depth-- }()
	switch kind := o.text("type"); kind {
	case "SELECT_NODE":
		return d.selectNode(o, span)
	case "SET_OPERATION_NODE":
		return d.union(o, span)
	case "RECURSIVE_CTE_NODE":
		d.unsupported(d.src.find("recursive"), "WITH RECURSIVE", "Write WITH without RECURSIVE.")
	case "":
		return nil
	default:
		d.unsupported(span, words(kind))
	}
	return nil
}

func words(kind string) string {
	return strings.ReplaceAll(strings.TrimSuffix(kind, "_NODE"), "_", " ")
}

func (d *decoder) selectNode(o object, span refusal.Span) ast.Query {
	q := &ast.Select{Span: span, With: d.with(o)}
	for _, item := range o.list("select_list") {
		node := newObject(item)
		alias := node.text("alias")
		q.Items = append(q.Items, ast.Item{Expr: d.expr(node), Alias: alias})
	}
	q.From = d.table(o.object("from_table"))
	q.Where = d.optional(o, "where_clause")
	q.GroupBy = d.exprs(o.list("group_expressions"))
	q.Having = d.optional(o, "having")
	q.Qualify = d.optional(o, "qualify")
	d.grouping(o, q)
	d.modifiers(o, q)
	if o.has("sample") {
		d.unsupported(d.sample(), "SAMPLE")
	}
	d.finish(o, span)
	if own := d.extent(q); own.End > own.Start && own != d.src.all() {
		q.Span = own
	}
	return q
}

// extent is where a SELECT stands, from its word to the end of its last part.
func (d *decoder) extent(q *ast.Select) refusal.Span {
	var span refusal.Span
	add := func(e ast.Expr) {
		if e != nil {
			span = span.Cover(e.Place())
		}
	}
	for _, it := range q.Items {
		add(it.Expr)
	}
	for _, e := range append(append([]ast.Expr{}, q.GroupBy...), q.Where, q.Having, q.Qualify) {
		add(e)
	}
	for _, o := range q.Order {
		add(o.Expr)
	}
	if q.From != nil {
		span = span.Cover(q.From.Place())
	}
	if q.Limit != nil {
		span = span.Cover(q.Limit.Span)
	}
	i, ok := d.src.index(span.Start)
	if !ok {
		return refusal.Span{}
	}
	for j := i; j >= 0; j-- {
		if d.src.word(j) == "select" {
			span.Start = d.src.tokens[j].start
			break
		}
	}
	return span
}

func (d *decoder) grouping(o object, q *ast.Select) {
	switch handling := o.text("aggregate_handling"); handling {
	case "STANDARD_HANDLING", "":
	case "FORCE_AGGREGATES":
		q.GroupAll = true
	default:
		d.unsupported(q.Span, "This form of GROUP BY")
	}
	sets := o.list("group_sets")
	if len(sets) > 1 {
		span := d.src.find("rollup")
		for _, word := range []string{"grouping", "cube"} {
			if s := d.src.find(word); s != d.src.all() {
				span = s
			}
		}
		d.unsupported(span, "GROUPING SETS, ROLLUP or CUBE", "Ask for each grouping in a query of its own.")
	}
}

func (d *decoder) modifiers(o object, q *ast.Select) {
	for _, m := range o.list("modifiers") {
		node := newObject(m)
		switch kind := node.text("type"); kind {
		case "ORDER_MODIFIER":
			q.Order, q.OrderAll = d.orders(node.list("orders"))
		case "LIMIT_MODIFIER":
			q.Limit = d.limit(node)
		case "DISTINCT_MODIFIER":
			if node.has("distinct_on_targets") {
				d.unsupported(d.src.find("distinct"), "DISTINCT ON", "Number the rows of each unit with row_number() and keep the first.")
			}
			q.Distinct = true
		case "LIMIT_PERCENT_MODIFIER":
			node.any("limit")
			node.any("offset")
			d.unsupported(d.src.find("limit"), "LIMIT in percent", "Write LIMIT with a number of rows.")
		default:
			d.unsupported(q.Span, words(kind))
		}
		d.finish(node, q.Span)
	}
}

func (d *decoder) orders(list []any) (out []ast.Order, all bool) {
	for _, v := range list {
		node := newObject(v)
		key := node.object("expression")
		order := ast.Order{Descending: node.text("type") == "DESCENDING", NullsFirst: node.text("null_order") == "NULLS FIRST"}
		d.finish(node, d.src.all())
		if key.text("class") == "STAR" {
			all = true
			continue
		}
		order.Expr = d.expr(key)
		out = append(out, order)
	}
	return out, all
}

func (d *decoder) limit(o object) *ast.Limit {
	l := &ast.Limit{Count: -1, Span: d.src.find("limit")}
	for _, field := range []struct {
		key string
		to  *int64
	}{{"limit", &l.Count}, {"offset", &l.Offset}} {
		if !o.has(field.key) {
			continue
		}
		e := d.expr(o.object(field.key))
		c, ok := e.(*ast.Const)
		n, isInt := int64(0), false
		if ok {
			n, isInt = c.Value.(int64)
			l.Span = l.Cover(c.Span)
		}
		if !isInt || n < 0 {
			d.unsupported(l.Span, "LIMIT or OFFSET that is not a number")
			continue
		}
		*field.to = n
	}
	return l
}

func (d *decoder) union(o object, span refusal.Span) ast.Query {
	if o.text("setop_type") != "UNION" || !o.truth("setop_all") {
		word := strings.ToLower(o.text("setop_type"))
		d.unsupported(d.src.find(word), strings.ToUpper(word)+" without ALL", "UNION ALL of per-unit queries is accepted.")
	}
	q := &ast.Union{Span: span, With: d.with(o)}
	q.Left, q.Right = d.query(o.object("left"), span), d.query(o.object("right"), span)
	holder := &ast.Select{Span: span}
	d.modifiers(o, holder)
	q.Order, q.Limit = holder.Order, holder.Limit
	if holder.Distinct || holder.OrderAll {
		d.unsupported(span, "This modifier of a UNION")
	}
	d.finish(o, span)
	if q.Left == nil || q.Right == nil {
		return nil
	}
	return q
}

func (d *decoder) with(o object) []ast.CTE {
	var out []ast.CTE
	ctes := o.object("cte_map")
	for _, v := range ctes.list("map") {
		entry := newObject(v)
		body := entry.object("value")
		body.any("materialized") // a hint, not a meaning
		cte := ast.CTE{Name: entry.text("key"), Columns: body.texts("aliases")}
		span := d.cteSpan(cte.Name)
		cte.Query = d.inner(body.object("query"), span)
		d.finish(body, span)
		d.finish(entry, span)
		out = append(out, cte)
	}
	d.finish(ctes, d.src.all())
	return out
}

// inner decodes the statement of a subquery.
func (d *decoder) inner(o object, span refusal.Span) ast.Query {
	q := d.query(o.object("node"), span)
	o.any("named_param_map")
	d.finish(o, span)
	return q
}

// cteSpan is name [(columns)] AS (query), found by its name in front of AS.
func (d *decoder) cteSpan(name string) refusal.Span {
	for i := range d.src.tokens {
		t := d.src.tokens[i]
		if !strings.EqualFold(strings.Trim(d.src.text[t.start:t.end], `"`), name) {
			continue
		}
		j := i + 1
		if j < len(d.src.tokens) && d.src.tokens[j].kind == '(' {
			j = d.src.closing(j) + 1
		}
		if d.src.word(j) != "as" {
			continue
		}
		for j < len(d.src.tokens) && d.src.tokens[j].kind != '(' {
			j++
		}
		if j < len(d.src.tokens) {
			return refusal.Span{Start: t.start, End: d.src.tokens[d.src.closing(j)].end}
		}
	}
	return d.src.all()
}
