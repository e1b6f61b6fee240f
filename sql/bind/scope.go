package bind

import (
	"slices"
	"strings"

	"concordat.dev/sql/ast"
	"concordat.dev/sql/plan"
	"concordat.dev/sql/refusal"
)

// named is a column that a name may mean.
type named struct {
	catalog, schema, table string // as the text may qualify it; empty: unqualified only
	name                   string
	index                  int
	t                      plan.Type
	merged                 bool // the right side of USING: only a qualified name means it
}

// scope is the columns that names may mean in one place, and the scope around it for a correlated subquery.
type scope struct {
	columns []named
	open    bool // an opaque relation is among them: unknown names are not refused
}

func (s *scope) shifted(by int) []named {
	out := append([]named(nil), s.columns...)
	for i := range out {
		out[i].index += by
	}
	return out
}

// context is where an expression stands.
type context struct {
	scope    *scope
	env      *environment
	aliases  map[string]ast.Expr // SELECT aliases that names may fall back to
	resolved func(ast.Expr) plan.Expr
	inside   map[string]bool // aliases being expanded
}

// find resolves a name. Found tells whether exactly one column has it; the count tells why not.
func (s *scope) find(names []string) (col named, count int) {
	want := names[len(names)-1]
	for _, c := range s.columns {
		if !strings.EqualFold(c.name, want) || !c.behind(names[:len(names)-1]) {
			continue
		}
		if count++; count == 1 {
			col = c
		}
	}
	return col, count
}

// behind tells whether the column may stand behind the names that a text writes in front of it.
func (c named) behind(front []string) bool {
	of := [...]string{c.catalog, c.schema, c.table}
	if len(front) == 0 {
		return !c.merged
	}
	return len(front) <= len(of) && slices.EqualFunc(front, of[len(of)-len(front):], strings.EqualFold)
}

func (b *binder) column(e *ast.Column, c context) plan.Expr {
	col, count := c.scope.find(e.Names)
	switch {
	case count == 1:
		return &plan.Col{Span: e.Span, Index: col.index, Name: e.Names[len(e.Names)-1], T: col.t}
	case count > 1:
		b.refuse(refusal.UnknownColumn, e.Span, "Write the relation in front: alias."+e.Names[len(e.Names)-1]+".", "The name %s means more than one column.", strings.Join(e.Names, "."))
		return &plan.Bad{Span: e.Span}
	}
	if len(e.Names) == 1 {
		key := strings.ToLower(e.Names[0])
		if alias, ok := c.aliases[key]; ok && !c.inside[key] {
			inner := c
			inner.inside = map[string]bool{key: true}
			for k := range c.inside {
				inner.inside[k] = true
			}
			return b.expr(alias, inner)
		}
	}
	if !c.scope.open {
		b.unknownColumn(e, c.scope)
	}
	return &plan.Bad{Span: e.Span}
}

func (b *binder) unknownColumn(e *ast.Column, s *scope) {
	var known []string
	for _, c := range s.columns {
		known = append(known, c.name)
	}
	suggestion := "The manifest's policies list the columns."
	if hint := instead(strings.ToLower(e.Names[0])); strings.HasPrefix(hint, "Write the date") {
		suggestion = hint
	}
	if n := near(e.Names[len(e.Names)-1], known); n != "" {
		suggestion = "Did you mean " + n + "?"
	}
	b.refused.Add(refusal.Refusal{Code: refusal.UnknownColumn, Span: e.Span, Column: e.Names[len(e.Names)-1], Rule: "language",
		Message: "There is no column " + strings.Join(e.Names, ".") + " here.", Suggestion: suggestion})
}

// star are the columns that * or relation.* stands for.
func (b *binder) star(e *ast.Star, s *scope) []plan.Expr {
	var out []plan.Expr
	if b.nodes += len(s.columns); b.nodes > maxNodes {
		return nil
	}
	for _, c := range s.columns {
		if c.merged && e.Relation == "" || e.Relation != "" && !strings.EqualFold(c.table, e.Relation) {
			continue
		}
		out = append(out, &plan.Col{Span: e.Span, Index: c.index, Name: c.name, T: c.t, Starred: true})
	}
	if len(out) == 0 && !s.open {
		b.refuse(refusal.UnknownRelation, e.Span, "Write * after a relation of FROM.", "There is no relation %s here.", e.Relation)
	}
	return out
}
