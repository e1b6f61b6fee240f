package bind

import (
	"regexp"
	"strings"

	"concordat.dev/sql/ast"
	"concordat.dev/sql/plan"
	"concordat.dev/sql/refusal"
)

// fileName recognises what DuckDB would read as a file.
var fileName = regexp.MustCompile(`(?i)\.(csv|tsv|txt|json|jsonl|ndjson|parquet|arrow|db|duckdb|gz|zst)$`)

// from binds what stands in FROM of the query within.
func (b *binder) from(t ast.Table, env *environment, within refusal.Span) (plan.Relation, *scope) {
	switch t := t.(type) {
	case *ast.Base:
		return b.base(t, env)
	case *ast.Derived:
		r := b.query(t.Query, env, false)
		return r, b.rename(r, "", t.Alias, t.Columns, t.Span)
	case *ast.Join:
		return b.join(t, env)
	case *ast.Bad:
		return &plan.Opaque{Span: t.Span}, &scope{open: true}
	}
	b.refuse(refusal.NotAggregated, within, "Write FROM with a dataset of the manifest.", "The query reads no dataset.")
	return &plan.Opaque{}, &scope{open: true}
}

func (b *binder) base(t *ast.Base, env *environment) (plan.Relation, *scope) {
	if b.relations > 4*MaxRelations {
		return &plan.Opaque{Span: t.Span}, &scope{open: true}
	}
	alias := t.Alias
	if alias == "" {
		alias = t.Name
	}
	if t.Schema == "" {
		if cte := env.lookup(t.Name); cte != nil {
			r := b.query(cte.query, cte.outer, false)
			names := t.Columns
			if len(names) == 0 {
				names = cte.names
			}
			return r, b.rename(r, "", alias, names, t.Span)
		}
	}
	id, columns := b.dataset(t)
	if columns != nil {
		b.relations++
		r := &plan.Scan{Span: t.Span, Dataset: id, Columns: columns}
		s := b.rename(r, t.Schema, alias, t.Columns, t.Span)
		for i := range s.columns {
			s.columns[i].catalog = b.catalog.Name
		}
		return r, s
	}
	if t.Catalog != "" && !strings.EqualFold(t.Catalog, b.catalog.Name) {
		b.refuse(refusal.UnknownRelation, t.Span, "Write "+id+", or name the other collaboration in the request: by the option --collaboration, or a client's header concordat-collaboration.",
			"The query is asked of the collaboration %s, not of %s.", b.catalog.Name, t.Catalog)
		return &plan.Opaque{Span: t.Span}, &scope{open: true}
	}
	var known []string
	for k := range b.catalog.Datasets {
		known = append(known, k)
	}
	suggestion := "Read a dataset of the manifest: its name is owner.dataset."
	if n := near(id, known); n != "" {
		suggestion = "Did you mean " + n + "?"
	}
	if strings.ContainsAny(t.Name, `/\:*`) || fileName.MatchString(t.Name) {
		b.refuse(refusal.UnsupportedSyntax, t.Span, suggestion, "A file name as a table is not part of the language.")
	}
	b.refuse(refusal.UnknownRelation, t.Span, suggestion, "There is no dataset %s in the signed manifest.", id)
	return &plan.Opaque{Span: t.Span}, &scope{open: true}
}

// dataset is the id of the dataset that a table names, as the manifest writes it, and its columns; nil columns when there is none. What stands in
// front of owner.dataset is the collaboration. It may also stand in front of a dataset whose name is one word.
func (b *binder) dataset(t *ast.Base) (id string, columns []plan.Column) {
	id = t.Name
	if t.Schema != "" {
		id = t.Schema + "." + t.Name
	}
	if t.Catalog != "" && !strings.EqualFold(t.Catalog, b.catalog.Name) {
		return id, nil
	}
	if known, columns := b.lookup(id); columns != nil {
		return known, columns
	}
	if t.Catalog == "" && t.Schema != "" && strings.EqualFold(t.Schema, b.catalog.Name) {
		if known, columns := b.lookup(t.Name); columns != nil {
			return known, columns
		}
	}
	return id, nil
}

// lookup finds a dataset by its id, in any case of its letters.
func (b *binder) lookup(id string) (known string, columns []plan.Column) {
	for known, columns := range b.catalog.Datasets {
		if strings.EqualFold(known, id) {
			return known, columns
		}
	}
	return "", nil
}

// rename gives the columns of a relation the names by which the text around it knows them.
func (b *binder) rename(r plan.Relation, schema, alias string, names []string, span refusal.Span) *scope {
	s := &scope{open: opaque(r)}
	columns := r.Schema()
	if len(names) > len(columns) && !s.open {
		b.refuse(refusal.UnsupportedSyntax, span, "Name at most as many columns as there are.", "%d names are given to %d columns.", len(names), len(columns))
	}
	for i, c := range columns {
		name := c.Name
		if i < len(names) {
			name = names[i]
		}
		s.columns = append(s.columns, named{schema: schema, table: alias, name: name, index: i, t: c.Type})
	}
	return s
}

func (b *binder) join(t *ast.Join, env *environment) (plan.Relation, *scope) {
	left, ls := b.from(t.Left, env, t.Span)
	right, rs := b.from(t.Right, env, t.Span)
	width := len(left.Schema())
	both := &scope{columns: append(append([]named(nil), ls.columns...), rs.shifted(width)...), open: ls.open || rs.open}
	j := &plan.Join{Span: t.Span, Left: left, Right: right, Kind: plan.JoinKind(t.Kind)}
	if t.Kind == ast.Cross {
		b.refuse(refusal.UnsupportedSyntax, t.Span, "Write JOIN … ON with the identifiers of one namespace.", "A join without a condition (a comma or CROSS JOIN) is not part of the language.")
		j.Kind = plan.Inner
	}
	for _, name := range t.Using {
		if e := b.using(name, ls, rs, both, width, t); e != nil {
			j.On = append(j.On, e)
		}
	}
	if t.On != nil {
		j.On = append(j.On, plan.Conjuncts(b.condition(t.On, context{scope: both, env: env}))...)
	}
	if opaque(left) || opaque(right) {
		return &plan.Opaque{Span: t.Span}, both
	}
	if j.Kind == plan.Semi || j.Kind == plan.Anti {
		return j, ls
	}
	return j, both
}

// using is equality of the columns that share a name; the right one is then known by its qualified name only.
func (b *binder) using(name string, ls, rs, both *scope, width int, t *ast.Join) plan.Expr {
	l, nl := ls.find([]string{name})
	r, nr := rs.find([]string{name})
	if nl != 1 || nr != 1 {
		if !both.open {
			b.refused.Add(refusal.Refusal{Code: refusal.UnknownColumn, Span: t.Span, Column: name, Rule: "language",
				Message: "USING needs the column " + name + " once on each side.", Suggestion: "Write ON with the columns' full names."})
		}
		return nil
	}
	for i := range both.columns {
		if both.columns[i].index == r.index+width {
			both.columns[i].merged = true
		}
	}
	return b.compare("=", t.Span,
		&plan.Col{Span: t.Span, Index: l.index, Name: l.name, T: l.t},
		&plan.Col{Span: t.Span, Index: r.index + width, Name: r.name, T: r.t})
}
