package render

import (
	"fmt"
	"strings"

	"concordat.dev/sql/plan"
)

// window prints window functions of a settled plan. PARTITION BY and ORDER BY read values as they were stored (PRIVACY.md R4).
func (p *printer) window(r *plan.Window, n needs) string {
	width := len(r.Input.Schema())
	a := p.name()
	input := p.relation(r.Input, p.tables.below(r, n)[0])
	var items []string
	for _, i := range sorted(n.cols) {
		if i < width {
			items = append(items, fmt.Sprintf("%s.c%d", a, i))
		} else {
			items = append(items, fmt.Sprintf("%s AS c%d", p.windowFunc(r.Input, r.Funcs[i-width], a), i))
		}
	}
	for _, i := range sorted(n.raw) {
		if i < width {
			items = append(items, fmt.Sprintf("%s.r%d", a, i))
		} else {
			items = append(items, fmt.Sprintf("%s AS r%d", p.windowFunc(r.Input, r.Funcs[i-width], a), i))
		}
	}
	for _, i := range sorted(n.code) {
		if i < width {
			items = append(items, fmt.Sprintf("%s.e%d", a, i))
		} else {
			items = append(items, fmt.Sprintf("%s AS e%d", p.windowFunc(r.Input, r.Funcs[i-width], a), i))
		}
	}
	return fmt.Sprintf("SELECT %s FROM (%s) %s", selectList(items), input, a)
}

// stored prints a time as it was stored, a text as its code, anything else as it is.
func (p *printer) stored(in plan.Relation, e plan.Expr, alias string) string {
	if c, ok := e.(*plan.Col); ok && c.T.Temporal() {
		return fmt.Sprintf("%s.r%d", alias, c.Index)
	}
	return p.coded(in, e, alias)
}

// coded prints a text of which there are codes as its code, anything else as it is.
func (p *printer) coded(in plan.Relation, e plan.Expr, alias string) string {
	if c, ok := e.(*plan.Col); ok && p.tables.coded(in, c.Index) {
		return fmt.Sprintf("%s.e%d", alias, c.Index)
	}
	return expr(e, qualified(alias))
}

func (p *printer) windowFunc(in plan.Relation, f plan.WindowFunc, alias string) string {
	col := qualified(alias)
	var partition, order []string
	for _, e := range f.Partition {
		partition = append(partition, p.stored(in, e, alias))
	}
	for _, k := range f.Order {
		s := p.stored(in, k.Expr, alias)
		if k.Descending {
			s += " DESC"
		}
		if k.NullsFirst {
			s += " NULLS FIRST"
		} else {
			s += " NULLS LAST"
		}
		order = append(order, s)
	}
	over := "PARTITION BY " + strings.Join(partition, ", ")
	if len(order) > 0 {
		over += " ORDER BY " + strings.Join(order, ", ")
	}
	if f.Frame != "" {
		over += " " + strings.ToUpper(f.Frame)
	}
	tail := " OVER (" + over + ")"
	if f.Filter != nil {
		tail = " FILTER (WHERE " + expr(f.Filter, col) + ")" + tail
	}
	switch f.Func {
	case "row_number", "rank", "dense_rank":
		return f.Func + "()" + tail
	case "lag", "lead", "first_value":
		return f.Func + "(" + strings.Join(list(f.Args, col), ", ") + ")" + tail
	}
	var arg plan.Expr
	if len(f.Args) > 0 {
		arg = f.Args[0]
	}
	return summary(f.Func, arg, tail, col)
}
