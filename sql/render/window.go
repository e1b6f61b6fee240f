package render

import (
	"fmt"
	"strings"

	"concordat.dev/sql/plan"
)

// window prints window functions. PARTITION BY and ORDER BY read values as they were stored (PRIVACY.md R4); where rows would tie,
// the columns that are used anyway decide, so that a result never depends on the order of rows in memory (R2).
func (p *printer) window(r *plan.Window, n needs) string {
	width := len(r.Input.Schema())
	in := newNeeds()
	for i := range n.cols {
		if i < width {
			in.cols[i] = true
		}
	}
	for i := range n.raw {
		if i < width {
			in.raw[i] = true
		}
	}
	for _, f := range r.Funcs {
		in.of(f.Args...)
		if f.Filter != nil {
			in.of(f.Filter)
		}
		for _, e := range append(append([]plan.Expr{}, f.Partition...), orderExprs(f.Order)...) {
			if c, ok := e.(*plan.Col); ok {
				in.raw[c.Index] = true
			} else {
				in.of(e)
			}
		}
	}
	a := p.name()
	input := p.relation(r.Input, in)
	var items []string
	for _, i := range n.sorted(n.cols) {
		if i < width {
			items = append(items, fmt.Sprintf("%s.c%d", a, i))
			continue
		}
		items = append(items, fmt.Sprintf("%s AS c%d", windowFunc(r.Funcs[i-width], a, in), i))
	}
	for _, i := range n.sorted(n.raw) {
		if i < width {
			items = append(items, fmt.Sprintf("%s.r%d", a, i))
		} else {
			items = append(items, fmt.Sprintf("%s AS r%d", windowFunc(r.Funcs[i-width], a, in), i))
		}
	}
	return fmt.Sprintf("SELECT %s FROM (%s) %s", selectList(items), input, a)
}

func orderExprs(keys []plan.OrderKey) []plan.Expr {
	var out []plan.Expr
	for _, k := range keys {
		out = append(out, k.Expr)
	}
	return out
}

// stored prints a column as it was stored, anything else at its grain.
func stored(e plan.Expr, alias string) string {
	if c, ok := e.(*plan.Col); ok {
		return fmt.Sprintf("%s.r%d", alias, c.Index)
	}
	return expr(e, qualified(alias))
}

// sensitive are the functions whose value depends on the order of rows that tie.
var sensitive = map[string]bool{"row_number": true, "lag": true, "lead": true, "first_value": true}

func windowFunc(f plan.WindowFunc, alias string, in needs) string {
	col := qualified(alias)
	args := list(f.Args, col)
	if f.Func == "count" && len(args) == 0 {
		args = []string{"*"}
	}
	var partition, order []string
	placed := map[string]bool{}
	for _, e := range f.Partition {
		partition = append(partition, stored(e, alias))
		placed[stored(e, alias)] = true
	}
	for _, k := range f.Order {
		s := stored(k.Expr, alias)
		placed[s] = true
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
	if sensitive[f.Func] || len(f.Order) > 0 && f.Frame != "" {
		for _, i := range in.sorted(in.raw) {
			if s := fmt.Sprintf("%s.r%d", alias, i); !placed[s] {
				order = append(order, s)
			}
		}
		for _, i := range in.sorted(in.cols) {
			if s := fmt.Sprintf("%s.c%d", alias, i); !in.raw[i] {
				order = append(order, s)
			}
		}
	}
	over := "PARTITION BY " + strings.Join(partition, ", ")
	if len(order) > 0 {
		over += " ORDER BY " + strings.Join(order, ", ")
	}
	if f.Frame != "" {
		over += " " + strings.ToUpper(f.Frame)
	}
	filter := ""
	if f.Filter != nil {
		filter = " FILTER (WHERE " + expr(f.Filter, col) + ")"
	}
	printed := f.Func + "(" + strings.Join(args, ", ") + ")" + filter + " OVER (" + over + ")"
	if f.Func == "sum" && f.T.Whole() {
		return "TRY_CAST(" + printed + " AS BIGINT)"
	}
	return printed
}
