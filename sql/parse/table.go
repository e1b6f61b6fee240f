package parse

import (
	"strings"

	"concordat.dev/sql/ast"
	"concordat.dev/sql/refusal"
)

// table decodes what stands in FROM; nil when nothing does, a Bad when it was refused.
func (d *decoder) table(o object) ast.Table {
	kind := o.text("type")
	if kind == "" || kind == "EMPTY" || kind == "EMPTY_FROM" {
		return nil
	}
	if t := d.source(o, kind); t != nil {
		return t
	}
	return &ast.Bad{Span: d.src.all()}
}

func (d *decoder) source(o object, kind string) ast.Table {
	if d.depth++; d.depth > maxDepth {
		d.unsupported(refusal.Span{}, "A query nested this deeply")
		return nil
	}
	defer func() { d.depth-- }()
	location := o.location()
	switch kind {
	case "BASE_TABLE":
		return d.base(o, location)
	case "SUBQUERY":
		return d.derived(o, location)
	case "JOIN":
		return d.join(o)
	case "TABLE_FUNCTION":
		span := d.src.call(max(location, o.object("function").location()))
		d.unsupported(span, "The table function "+o.object("function").text("function_name"), "Read a dataset of the manifest by its name.")
	case "EXPRESSION_LIST":
		d.unsupported(d.src.find("values"), "VALUES")
	case "SHOW_REF":
		d.refused.Add(refusal.Refusal{Code: refusal.NotOneSelect, Span: d.src.all(), Rule: "one statement",
			Message: "A query is exactly one SELECT; DESCRIBE, SHOW and SUMMARIZE are not.", Suggestion: "The schema is in the manifest's policies."})
		d.unsupported(d.src.all(), "DESCRIBE, SHOW or SUMMARIZE", "The schema is in the manifest's policies.")
	case "PIVOT":
		d.unsupported(d.src.find("pivot"), "PIVOT", "Group by the column, or count with FILTER for each of its values.")
	default:
		span, _ := d.src.token(location)
		d.unsupported(span, words(kind))
	}
	return nil
}

func (d *decoder) base(o object, location int) ast.Table {
	t := &ast.Base{
		Span: d.src.name(location), Catalog: o.text("catalog_name"), Schema: o.text("schema_name"), Name: o.text("table_name"),
		Alias: o.text("alias"), Columns: o.texts("column_name_alias"),
	}
	if o.has("sample") {
		d.unsupported(d.sample(), "TABLESAMPLE")
	}
	d.finish(o, t.Span)
	return t
}

func (d *decoder) derived(o object, location int) ast.Table {
	t := &ast.Derived{Alias: o.text("alias"), Columns: o.texts("column_name_alias")}
	if i, ok := d.src.at[location]; ok && d.src.tokens[i].kind == '(' {
		t.Span = refusal.Span{Start: location, End: d.src.tokens[d.src.closing(i)].end}
	} else {
		t.Span = d.src.all()
	}
	if o.has("sample") {
		d.unsupported(d.sample(), "SAMPLE")
	}
	t.Query = d.inner(o.object("subquery"), t.Span)
	d.finish(o, t.Span)
	if t.Query == nil {
		return nil
	}
	if t.Span == d.src.all() {
		t.Span = d.parenthesised(t.Query.Place())
	}
	return t
}

// parenthesised is a range with the parentheses around it.
func (d *decoder) parenthesised(span refusal.Span) refusal.Span {
	i, ok := d.src.index(span.Start)
	if !ok || i == 0 || d.src.tokens[i-1].kind != '(' {
		return span
	}
	return refusal.Span{Start: d.src.tokens[i-1].start, End: d.src.tokens[d.src.closing(i-1)].end}
}

func (d *decoder) join(o object) ast.Table {
	location := o.location()
	left, right := d.table(o.object("left")), d.table(o.object("right"))
	var span refusal.Span
	if left != nil && right != nil {
		span = left.Place().Cover(right.Place())
	}
	t := &ast.Join{Left: left, Right: right, Using: o.texts("using_columns"), On: d.optional(o, "condition")}
	if t.On != nil {
		span = span.Cover(t.On.Place())
	}
	if i, ok := d.src.index(span.End); ok && len(t.Using) > 0 {
		for ; i+1 < len(d.src.tokens); i++ { // past the alias of the right side
			if d.src.word(i) == "using" && d.src.tokens[i+1].kind == '(' {
				span.End = d.src.tokens[d.src.closing(i+1)].end
				break
			}
		}
	}
	t.Span = span
	word, _ := d.src.token(location)
	if word.End == 0 {
		word = span
	}
	kind, form := o.text("join_type"), o.text("ref_type")
	switch {
	case form == "CROSS":
		t.Kind = ast.Cross
	case form != "REGULAR":
		d.unsupported(d.keyword(strings.ToLower(form), word), form+" JOIN", "Use JOIN … ON the identifiers of one namespace.")
		return nil
	case kind == "INNER":
		t.Kind = ast.Inner
	case kind == "LEFT":
		t.Kind = ast.Left
	case kind == "SEMI":
		t.Kind = ast.Semi
	case kind == "ANTI":
		t.Kind = ast.Anti
	default:
		d.unsupported(d.keyword(strings.ToLower(kind), word), kind+" JOIN", "Use INNER JOIN, LEFT JOIN or EXISTS.")
		return nil
	}
	d.finish(o, span)
	if left == nil || right == nil {
		return nil
	}
	return t
}

// keyword is the place of a word, else the given place.
func (d *decoder) keyword(word string, otherwise refusal.Span) refusal.Span {
	if word == "outer" {
		word = "full"
	}
	if span := d.src.find(word); span != d.src.all() {
		return span
	}
	return otherwise
}
