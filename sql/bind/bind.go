// Package bind resolves the names of a text against the datasets of a manifest and gives each expression its type: text's tree
// to plan. It knows schemas, no policies: what a column may be used for is decided elsewhere.
//
// Invariant: every column of the plan exists; what could not be resolved is a Bad or Opaque node and a refusal.
//
// Sees: metadata
package bind

import (
	"fmt"
	"sort"
	"strings"

	"concordat.dev/sql/ast"
	"concordat.dev/sql/plan"
	"concordat.dev/sql/refusal"
)

// Catalog is what a text may name.
type Catalog struct {
	Name     string                   // of the collaboration; a text may write it in front of a dataset's name, as standard clients do
	Datasets map[string][]plan.Column // the schema of each dataset that the manifest names, columns in the order of their names
}

// MaxRelations is the most datasets that one query reads, each use counted (PRIVACY.md R6).
const MaxRelations = 8

// maxNodes bounds the size of a plan's expressions: aliases that are used twice are copied.
const maxNodes = 20000

// maxQueries bounds how often queries are bound: a CTE that is used twice is bound twice.
const maxQueries = 200

type binder struct {
	catalog   Catalog
	refused   *refusal.List
	relations int
	nodes     int
	queries   int
	deepest   int
	depth     int
}

// Bind makes a plan. The refusals are added to refused; the plan is as complete as the text allows and only valid when none was.
func Bind(q ast.Query, catalog Catalog, refused *refusal.List) plan.Relation {
	b := &binder{catalog: catalog, refused: refused}
	r := b.query(q, nil, true)
	if b.relations > MaxRelations {
		refused.Add(refusal.Refusal{Code: refusal.LimitExceeded, Span: q.Place(), Rule: "relations",
			Message:    fmt.Sprintf("The query reads datasets more than %d times.", MaxRelations),
			Suggestion: "Join fewer datasets, or name a subquery once and use it once."})
	}
	if b.nodes > maxNodes || b.queries > maxQueries || b.deepest > 100 {
		refused.Add(refusal.Refusal{Code: refusal.LimitExceeded, Span: q.Place(), Rule: "plan size",
			Message: "The query is too large, or nested too deeply.", Suggestion: "Use fewer nested subqueries, aliases and constants."})
	}
	return r
}

func (b *binder) exceeded() bool {
	return b.relations > MaxRelations || b.nodes > maxNodes || b.queries > maxQueries || b.depth > 100
}

func (b *binder) refuse(code refusal.Code, span refusal.Span, suggestion, format string, args ...any) {
	b.refused.Add(refusal.Refusal{Code: code, Span: span, Rule: "language", Message: fmt.Sprintf(format, args...), Suggestion: suggestion})
}

// environment is what names mean inside a query: its WITH and those around it.
type environment struct {
	outer *environment
	name  string
	query ast.Query
	names []string
}

func (e *environment) lookup(name string) *environment {
	for ; e != nil; e = e.outer {
		if strings.EqualFold(e.name, name) {
			return e
		}
	}
	return nil
}

func (b *binder) query(q ast.Query, env *environment, top bool) plan.Relation {
	b.queries++
	b.depth++
	defer func() { b.depth-- }()
	if b.deepest = max(b.deepest, b.depth); b.exceeded() {
		return &plan.Opaque{Span: q.Place()}
	}
	switch q := q.(type) {
	case *ast.Select:
		env = withs(q.With, env)
		return b.selects(q, env, top)
	case *ast.Union:
		return b.union(q, withs(q.With, env), top)
	}
	return &plan.Opaque{}
}

func withs(list []ast.CTE, env *environment) *environment {
	for _, cte := range list {
		env = &environment{outer: env, name: cte.Name, query: cte.Query, names: cte.Columns}
	}
	return env
}

func (b *binder) union(q *ast.Union, env *environment, top bool) plan.Relation {
	left, right := b.query(q.Left, env, false), b.query(q.Right, env, false)
	if opaque(left) || opaque(right) {
		return &plan.Opaque{Span: q.Span}
	}
	u := &plan.Union{Span: q.Span}
	for _, part := range []plan.Relation{left, right} {
		if inner, ok := part.(*plan.Union); ok {
			u.Parts = append(u.Parts, inner.Parts...)
		} else {
			u.Parts = append(u.Parts, part)
		}
	}
	if !b.alignUnion(u) {
		return &plan.Opaque{Span: q.Span}
	}
	var out plan.Relation = u
	s := &scope{}
	for i, c := range u.Schema() {
		s.columns = append(s.columns, named{name: c.Name, index: i, t: c.Type})
	}
	if len(q.Order) > 0 && (top || q.Limit != nil) {
		sorted := &plan.Sort{Input: out}
		for _, o := range q.Order {
			e := b.position(o.Expr, s)
			if e == nil {
				e = b.expr(o.Expr, context{scope: s, env: env})
			}
			sorted.Keys = append(sorted.Keys, plan.OrderKey{Expr: e, Descending: o.Descending, NullsFirst: o.NullsFirst})
		}
		out = sorted
	}
	return limit(out, q.Limit)
}

// alignUnion casts the columns of the parts to one type each.
func (b *binder) alignUnion(u *plan.Union) bool {
	first := u.Parts[0].Schema()
	types := make([]plan.Type, len(first))
	for i, c := range first {
		types[i] = c.Type
	}
	for _, part := range u.Parts[1:] {
		schema := part.Schema()
		if len(schema) != len(first) {
			b.refuse(refusal.UnsupportedSyntax, u.Span, "Give both sides of UNION ALL the same columns.", "The parts of UNION ALL have %d and %d columns.", len(first), len(schema))
			return false
		}
		for i, c := range schema {
			t, ok := common(types[i], c.Type)
			if !ok {
				b.refuse(refusal.UnsupportedSyntax, u.Span, "CAST one of them.", "Column %d of UNION ALL is %s on one side and %s on the other.", i+1, types[i], c.Type)
				return false
			}
			types[i] = t
		}
	}
	for p, part := range u.Parts {
		schema := part.Schema()
		project := &plan.Project{Input: part}
		changed := false
		for i, c := range schema {
			var e plan.Expr = &plan.Col{Span: u.Span, Index: i, Name: c.Name, T: c.Type, Starred: true}
			if c.Type != types[i] {
				e, changed = &plan.Cast{Span: u.Span, Arg: e, T: types[i]}, true
			}
			project.Exprs, project.Names = append(project.Exprs, e), append(project.Names, first[i].Name)
		}
		if changed {
			u.Parts[p] = project
		}
	}
	return true
}

func limit(r plan.Relation, l *ast.Limit) plan.Relation {
	if l == nil || l.Count < 0 && l.Offset == 0 {
		return r
	}
	return &plan.Limit{Span: l.Span, Input: r, Count: l.Count, Offset: l.Offset}
}

func opaque(r plan.Relation) bool {
	_, is := r.(*plan.Opaque)
	return is
}

// near is a known name that looks like a misspelt one, for suggestions.
func near(name string, known []string) string {
	best, score := "", 3
	sorted := append([]string(nil), known...)
	sort.Strings(sorted)
	for _, k := range sorted {
		if d := distance(strings.ToLower(name), strings.ToLower(k)); d < score {
			best, score = k, d
		}
	}
	return best
}

// distance is the Levenshtein distance of two short names.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		prev := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			prev, row[j] = row[j], min(row[j]+1, row[j-1]+1, prev+cost)
		}
	}
	return row[len(b)]
}
