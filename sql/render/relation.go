package render

import (
	"fmt"
	"sort"
	"strings"

	"concordat.dev/sql/plan"
)

// Table is where the engine keeps a dataset: its name, printed, and the columns that it holds, printed. Raw has the times as they
// were stored, where Columns has them at their grain.
type Table struct {
	Name    string
	Columns map[string]string
	Raw     map[string]string
}

// Tables tells where each dataset is, by id.
type Tables map[string]Table

// needs are the columns of a relation that its reader uses; raw ones are also wanted as stored.
type needs struct {
	cols map[int]bool
	raw  map[int]bool
}

func newNeeds() needs { return needs{map[int]bool{}, map[int]bool{}} }

func (n needs) of(list ...plan.Expr) {
	for _, e := range list {
		for _, i := range plan.Columns(e) {
			n.cols[i] = true
		}
	}
}

func (n needs) sorted(m map[int]bool) []int {
	var out []int
	for i := range m {
		out = append(out, i)
	}
	sort.Ints(out)
	return out
}

// printer prints relations as nested subqueries; column i of a relation is called c<i>, as stored r<i>.
type printer struct {
	tables Tables
	alias  int
}

func (p *printer) name() string {
	p.alias++
	return fmt.Sprintf("t%d", p.alias)
}

func qualified(alias string) column {
	return func(i int) string { return fmt.Sprintf("%s.c%d", alias, i) }
}

// pass lists the needed columns of an input under their own names.
func pass(alias string, n needs) []string {
	var out []string
	for _, i := range n.sorted(n.cols) {
		out = append(out, fmt.Sprintf("%s.c%d", alias, i))
	}
	for _, i := range n.sorted(n.raw) {
		out = append(out, fmt.Sprintf("%s.r%d", alias, i))
	}
	return out
}

func selectList(items []string) string {
	if len(items) == 0 {
		return "1"
	}
	return strings.Join(items, ", ")
}

func conditions(list []plan.Expr, col column) string {
	parts := make([]string, len(list))
	for i, c := range list {
		parts[i] = expr(c, col)
	}
	return strings.Join(parts, " AND ")
}

func (p *printer) relation(r plan.Relation, n needs) string {
	switch r := r.(type) {
	case *plan.Scan:
		return p.scan(r, n)
	case *plan.Filter:
		return p.filter(r, n)
	case *plan.Project:
		return p.project(r, n)
	case *plan.Join:
		return p.join(r, n)
	case *plan.Union:
		var parts []string
		for _, part := range r.Parts {
			parts = append(parts, p.relation(part, needs{n.cols, map[int]bool{}}))
		}
		return p.withoutRaw(strings.Join(parts, " UNION ALL "), n)
	case *plan.Aggregate:
		return p.withoutRaw(p.aggregate(r, n), n)
	case *plan.Window:
		return p.window(r, n)
	}
	return "SELECT 1 WHERE FALSE"
}

// withoutRaw answers a wish for stored values above a relation that only has values at their grain.
func (p *printer) withoutRaw(query string, n needs) string {
	if len(n.raw) == 0 {
		return query
	}
	a := p.name()
	items := pass(a, needs{n.cols, nil})
	for _, i := range n.sorted(n.raw) {
		items = append(items, fmt.Sprintf("%s.c%d AS r%d", a, i, i))
	}
	return fmt.Sprintf("SELECT %s FROM (%s) %s", selectList(items), query, a)
}

func (p *printer) scan(r *plan.Scan, n needs) string {
	table := p.tables[r.Dataset]
	var items []string
	for _, i := range n.sorted(n.cols) {
		items = append(items, fmt.Sprintf("%s AS c%d", table.Columns[r.Columns[i].Name], i))
	}
	for _, i := range n.sorted(n.raw) {
		name := r.Columns[i].Name
		stored, ok := table.Raw[name]
		if !ok {
			stored = table.Columns[name]
		}
		items = append(items, fmt.Sprintf("%s AS r%d", stored, i))
	}
	return fmt.Sprintf("SELECT %s FROM %s", selectList(items), table.Name)
}

func (p *printer) filter(r *plan.Filter, n needs) string {
	in := newNeeds()
	copyNeeds(in, n)
	in.of(r.Conds...)
	a := p.name()
	return fmt.Sprintf("SELECT %s FROM (%s) %s WHERE %s", selectList(pass(a, n)), p.relation(r.Input, in), a, conditions(r.Conds, qualified(a)))
}

func copyNeeds(to, from needs) {
	for i := range from.cols {
		to.cols[i] = true
	}
	for i := range from.raw {
		to.raw[i] = true
	}
}

func (p *printer) project(r *plan.Project, n needs) string {
	in := newNeeds()
	a := p.name()
	var items []string
	for _, i := range n.sorted(n.cols) {
		in.of(r.Exprs[i])
	}
	for _, i := range n.sorted(n.raw) {
		if c, ok := r.Exprs[i].(*plan.Col); ok {
			in.raw[c.Index] = true
		} else {
			in.of(r.Exprs[i])
		}
	}
	input := p.relation(r.Input, in)
	for _, i := range n.sorted(n.cols) {
		items = append(items, fmt.Sprintf("%s AS c%d", expr(r.Exprs[i], qualified(a)), i))
	}
	for _, i := range n.sorted(n.raw) {
		if c, ok := r.Exprs[i].(*plan.Col); ok {
			items = append(items, fmt.Sprintf("%s.r%d AS r%d", a, c.Index, i))
		} else {
			items = append(items, fmt.Sprintf("%s AS r%d", expr(r.Exprs[i], qualified(a)), i))
		}
	}
	return fmt.Sprintf("SELECT %s FROM (%s) %s", selectList(items), input, a)
}

func (p *printer) join(r *plan.Join, n needs) string {
	width := len(r.Left.Schema())
	left, right := newNeeds(), newNeeds()
	all := newNeeds()
	copyNeeds(all, n)
	all.of(r.On...)
	for i := range all.cols {
		if i < width {
			left.cols[i] = true
		} else {
			right.cols[i-width] = true
		}
	}
	for i := range all.raw {
		if i < width {
			left.raw[i] = true
		} else {
			right.raw[i-width] = true
		}
	}
	la, ra := p.name(), p.name()
	ls, rs := p.relation(r.Left, left), p.relation(r.Right, right)
	col := func(i int) string {
		if i < width {
			return fmt.Sprintf("%s.c%d", la, i)
		}
		return fmt.Sprintf("%s.c%d", ra, i-width)
	}
	var items []string
	for _, i := range n.sorted(n.cols) {
		items = append(items, fmt.Sprintf("%s AS c%d", col(i), i))
	}
	for _, i := range n.sorted(n.raw) {
		items = append(items, fmt.Sprintf("%s AS r%d", strings.Replace(col(i), ".c", ".r", 1), i))
	}
	word := map[plan.JoinKind]string{plan.Inner: "JOIN", plan.Left: "LEFT JOIN", plan.Semi: "SEMI JOIN", plan.Anti: "ANTI JOIN"}[r.Kind]
	return fmt.Sprintf("SELECT %s FROM (%s) %s %s (%s) %s ON %s", selectList(items), ls, la, word, rs, ra, conditions(r.On, col))
}

func (p *printer) aggregate(r *plan.Aggregate, n needs) string {
	in := newNeeds()
	in.of(r.Keys...)
	a := p.name()
	var items, keys []string
	for _, agg := range r.Aggs {
		if agg.Arg != nil {
			in.of(agg.Arg)
		}
		if agg.Filter != nil {
			in.of(agg.Filter)
		}
	}
	input := p.relation(r.Input, in)
	for i, k := range r.Keys {
		printed := expr(k, qualified(a))
		keys = append(keys, printed)
		if n.cols[i] {
			items = append(items, fmt.Sprintf("%s AS c%d", printed, i))
		}
	}
	for j, agg := range r.Aggs {
		if i := len(r.Keys) + j; n.cols[i] {
			items = append(items, fmt.Sprintf("%s AS c%d", aggregate(agg, qualified(a)), i))
		}
	}
	return fmt.Sprintf("SELECT %s FROM (%s) %s GROUP BY %s", selectList(items), input, a, strings.Join(keys, ", "))
}

func aggregate(a plan.Agg, col column) string {
	arg := "*"
	if a.Arg != nil {
		arg = expr(a.Arg, col)
	}
	var out string
	switch a.Func {
	case "count_distinct":
		out = "count(DISTINCT " + arg + ")"
	case "sum":
		out = "sum(" + arg + ")"
	default:
		out = a.Func + "(" + arg + ")"
	}
	if a.Filter != nil {
		out += " FILTER (WHERE " + expr(a.Filter, col) + ")"
	}
	if a.Func == "sum" && a.T.Whole() {
		out = "TRY_CAST(" + out + " AS BIGINT)"
	}
	return out
}
