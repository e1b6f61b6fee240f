package render

import (
	"fmt"
	"strings"

	"concordat.dev/sql/eval"
	"concordat.dev/sql/plan"
)

// Table is where the engine keeps a dataset: its name, printed, and the columns that it holds, printed. Raw has the times as they
// were stored, where Columns has them at their grain; Codes has the codes of texts, where Columns has the texts. Heavy, if there is one,
// is a table of the units with more than one row: columns u and n, how many.
type Table struct {
	Name    string
	Columns map[string]string
	Raw     map[string]string
	Codes   map[string]string
	Heavy   string
}

// Tables tells where each dataset is, by id.
type Tables map[string]Table

// printer prints relations as nested subqueries; column i of a relation is called c<i>, as stored r<i>, as a code e<i>.
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
	for _, i := range sorted(n.cols) {
		out = append(out, fmt.Sprintf("%s.c%d", alias, i))
	}
	for _, i := range sorted(n.raw) {
		out = append(out, fmt.Sprintf("%s.r%d", alias, i))
	}
	for _, i := range sorted(n.code) {
		out = append(out, fmt.Sprintf("%s.e%d", alias, i))
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
		for i, part := range r.Parts {
			parts = append(parts, p.relation(part, p.tables.below(r, n)[i]))
		}
		return p.withoutRaw(strings.Join(parts, " UNION ALL "), n) // what its parts stored would compare with one another, and with constants
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
	items := pass(a, needs{n.cols, nil, n.code})
	for _, i := range sorted(n.raw) {
		items = append(items, fmt.Sprintf("%s.c%d AS r%d", a, i, i))
	}
	return fmt.Sprintf("SELECT %s FROM (%s) %s", selectList(items), query, a)
}

func (p *printer) scan(r *plan.Scan, n needs) string {
	table := p.tables[r.Dataset]
	var items []string
	for _, i := range sorted(n.cols) {
		items = append(items, fmt.Sprintf("%s AS c%d", table.Columns[r.Columns[i].Name], i))
	}
	for _, i := range sorted(n.raw) {
		name := r.Columns[i].Name
		stored, ok := table.Raw[name]
		if !ok {
			stored = table.Columns[name]
		}
		items = append(items, fmt.Sprintf("%s AS r%d", stored, i))
	}
	for _, i := range sorted(n.code) {
		name := r.Columns[i].Name
		code, ok := table.Codes[name]
		if !ok {
			code = table.Columns[name]
		}
		items = append(items, fmt.Sprintf("%s AS e%d", code, i))
	}
	return fmt.Sprintf("SELECT %s FROM %s", selectList(items), table.Name)
}

func (p *printer) filter(r *plan.Filter, n needs) string {
	a := p.name()
	return fmt.Sprintf("SELECT %s FROM (%s) %s WHERE %s", selectList(pass(a, n)), p.relation(r.Input, p.tables.below(r, n)[0]), a, conditions(r.Conds, qualified(a)))
}

func (p *printer) project(r *plan.Project, n needs) string {
	a := p.name()
	var items []string
	for _, i := range sorted(n.cols) {
		items = append(items, fmt.Sprintf("%s AS c%d", expr(r.Exprs[i], qualified(a)), i))
	}
	for _, i := range sorted(n.raw) {
		items = append(items, fmt.Sprintf("%s AS r%d", p.stored(r.Input, r.Exprs[i], a), i))
	}
	for _, i := range sorted(n.code) {
		items = append(items, fmt.Sprintf("%s AS e%d", p.coded(r.Input, r.Exprs[i], a), i))
	}
	return fmt.Sprintf("SELECT %s FROM (%s) %s", selectList(items), p.relation(r.Input, p.tables.below(r, n)[0]), a)
}

func (p *printer) join(r *plan.Join, n needs) string {
	width := len(r.Left.Schema())
	la, ra := p.name(), p.name()
	in := p.tables.below(r, n)
	ls, rs := p.relation(r.Left, in[0]), p.relation(r.Right, in[1])
	at := func(i int, letter string) string {
		if i < width {
			return fmt.Sprintf("%s.%s%d", la, letter, i)
		}
		return fmt.Sprintf("%s.%s%d", ra, letter, i-width)
	}
	var items []string
	for _, i := range sorted(n.cols) {
		items = append(items, fmt.Sprintf("%s AS c%d", at(i, "c"), i))
	}
	for _, i := range sorted(n.raw) {
		items = append(items, fmt.Sprintf("%s AS r%d", at(i, "r"), i))
	}
	for _, i := range sorted(n.code) {
		items = append(items, fmt.Sprintf("%s AS e%d", at(i, "e"), i))
	}
	word := map[plan.JoinKind]string{plan.Inner: "JOIN", plan.Left: "LEFT JOIN", plan.Semi: "SEMI JOIN", plan.Anti: "ANTI JOIN"}[r.Kind]
	on := conditions(r.On, func(i int) string { return at(i, "c") })
	return fmt.Sprintf("SELECT %s FROM (%s) %s %s (%s) %s ON %s", selectList(items), ls, la, word, rs, ra, on)
}

func (p *printer) aggregate(r *plan.Aggregate, n needs) string {
	a := p.name()
	col := qualified(a)
	var items, keys []string
	input := p.relation(r.Input, p.tables.below(r, n)[0])
	for i, k := range r.Keys {
		printed := p.coded(r.Input, k, a)
		keys = append(keys, printed)
		if n.code[i] {
			items = append(items, fmt.Sprintf("%s AS e%d", printed, i))
		}
		if p.tables.coded(r, i) {
			printed = "CAST(" + printed + " AS VARCHAR)"
		}
		if n.cols[i] || n.raw[i] {
			items = append(items, fmt.Sprintf("%s AS c%d", printed, i))
		}
	}
	for j, agg := range r.Aggs {
		i := len(r.Keys) + j
		if n.cols[i] || n.raw[i] {
			items = append(items, fmt.Sprintf("%s AS c%d", aggregate(agg, col), i))
		}
		if n.code[i] {
			items = append(items, fmt.Sprintf("%s AS e%d", aggregate(agg, col), i))
		}
	}
	return fmt.Sprintf("SELECT %s FROM (%s) %s GROUP BY %s", selectList(items), input, a, strings.Join(keys, ", "))
}

func aggregate(a plan.Agg, col column) string {
	tail := ""
	if a.Filter != nil {
		tail = " FILTER (WHERE " + expr(a.Filter, col) + ")"
	}
	return summary(a.Func, a.Arg, tail, col)
}

// summary prints an aggregate of the rows of one unit; tail is what follows each call: FILTER, OVER. Doubles are added up on a grid
// (eval.Grid): their sum must not depend on the order of rows.
func summary(name string, arg plan.Expr, tail string, col column) string {
	if arg == nil {
		return name + "(*)" + tail
	}
	printed := expr(arg, col)
	switch {
	case name == "count_distinct":
		return "count(DISTINCT " + printed + ")" + tail
	case name != "sum" && name != "avg":
		return name + "(" + printed + ")" + tail
	case arg.Type() == plan.Double:
		steps := fmt.Sprintf("CASE WHEN abs(%[1]s) < %[2]s THEN CAST(round(%[1]s * %[3]s) AS HUGEINT) END", printed, number(eval.MaxSummand), number(eval.Grid))
		total := fmt.Sprintf("CAST(sum(%s)%s AS DOUBLE) / %s", steps, tail, number(eval.Grid))
		if name == "avg" {
			total += fmt.Sprintf(" / count(%s)%s", steps, tail)
		}
		return "(" + total + ")"
	case name == "avg":
		return fmt.Sprintf("(CAST(sum(%[1]s)%[2]s AS DOUBLE) / count(%[1]s)%[2]s)", printed, tail)
	}
	return "TRY_CAST(sum(" + printed + ")" + tail + " AS BIGINT)"
}
