package eval

import (
	"fmt"
	"sort"

	"concordat.dev/sql/plan"
)

// Row is a row with the number of the source row it came from; what is computed above a release keeps rows one to one.
type Row struct {
	Values []any
	From   int
}

// Source gives the rows of a leaf: a Scan or a Released.
type Source func(plan.Relation) [][]any

// Grained is a value in a row that expressions see at its grain, while windows partition and order by what was stored (PRIVACY.md R4).
type Grained struct{ Seen, Stored any }

func seen(v any) any {
	if g, ok := v.(Grained); ok {
		return g.Seen
	}
	return v
}

// stored is the value of a bare column as it was stored, of anything else as it is seen.
func stored(e plan.Expr, row []any) any {
	if c, ok := e.(*plan.Col); ok {
		if g, ok := row[c.Index].(Grained); ok {
			return g.Stored
		}
	}
	return Value(e, row)
}

// carried is the value of an expression in the next row: a bare column takes both of its values along.
func carried(e plan.Expr, row []any) any {
	if c, ok := e.(*plan.Col); ok {
		return row[c.Index]
	}
	return Value(e, row)
}

// Relation computes the rows of a plan.
func Relation(r plan.Relation, source Source) []Row {
	switch r := r.(type) {
	case *plan.Filter:
		var out []Row
		for _, row := range Relation(r.Input, source) {
			if True(r.Conds, row.Values) {
				out = append(out, row)
			}
		}
		return out
	case *plan.Project:
		out := Relation(r.Input, source)
		for i, row := range out {
			values := make([]any, len(r.Exprs))
			for j, e := range r.Exprs {
				values[j] = carried(e, row.Values)
			}
			out[i].Values = values
		}
		return out
	case *plan.Join:
		return join(r, source)
	case *plan.Union:
		var out []Row
		for _, p := range r.Parts {
			out = append(out, Relation(p, source)...)
		}
		for _, row := range out {
			for i, v := range row.Values {
				row.Values[i] = seen(v)
			}
		}
		return out
	case *plan.Aggregate:
		return aggregate(r, source)
	case *plan.Window:
		return window(r, Relation(r.Input, source))
	case *plan.Sort:
		return Sort(Relation(r.Input, source), r.Keys)
	case *plan.Limit:
		return limit(Relation(r.Input, source), r)
	}
	var out []Row
	for i, values := range source(r) {
		out = append(out, Row{values, i})
	}
	return out
}

func limit(rows []Row, l *plan.Limit) []Row {
	from := min(l.Offset, int64(len(rows)))
	rows = rows[from:]
	if l.Count >= 0 {
		rows = rows[:min(l.Count, int64(len(rows)))]
	}
	return rows
}

// Sort orders rows, those that tie as they stood.
func Sort(rows []Row, keys []plan.OrderKey) []Row {
	out := append([]Row{}, rows...)
	sort.SliceStable(out, func(i, j int) bool { return before(keys, out[i].Values, out[j].Values) })
	return out
}

func before(keys []plan.OrderKey, a, b []any) bool {
	return compareBy(keys, a, b) < 0
}

func compareBy(keys []plan.OrderKey, a, b []any) int {
	for _, k := range keys {
		x, y := stored(k.Expr, a), stored(k.Expr, b)
		if (x == nil) != (y == nil) {
			if (x == nil) == k.NullsFirst {
				return -1
			}
			return 1
		}
		c := Order(x, y)
		if k.Descending {
			c = -c
		}
		if c != 0 {
			return c
		}
	}
	return 0
}

func join(r *plan.Join, source Source) []Row {
	left, right := Relation(r.Left, source), Relation(r.Right, source)
	width := len(r.Right.Schema())
	var out []Row
	for _, l := range left {
		matched := false
		for _, m := range right {
			both := append(append([]any{}, l.Values...), m.Values...)
			if !True(r.On, both) {
				continue
			}
			matched = true
			if r.Kind == plan.Inner || r.Kind == plan.Left {
				out = append(out, Row{both, l.From})
			} else {
				break
			}
		}
		switch {
		case r.Kind == plan.Left && !matched:
			out = append(out, Row{append(append([]any{}, l.Values...), make([]any, width)...), l.From})
		case r.Kind == plan.Semi && matched, r.Kind == plan.Anti && !matched:
			out = append(out, l)
		}
	}
	return out
}

// groupKey names the group of a row: NULLs are equal.
func groupKey(exprs []plan.Expr, row []any, value func(plan.Expr, []any) any) (string, []any) {
	values := make([]any, len(exprs))
	text := ""
	for i, e := range exprs {
		values[i] = value(e, row)
		text += fmt.Sprintf("%T:%v\x00", values[i], values[i])
	}
	return text, values
}

func aggregate(r *plan.Aggregate, source Source) []Row {
	type group struct {
		keys []any
		rows [][]any
	}
	groups := map[string]*group{}
	var order []string
	for _, row := range Relation(r.Input, source) {
		name, keys := groupKey(r.Keys, row.Values, Value)
		g := groups[name]
		if g == nil {
			g = &group{keys: keys}
			groups[name], order = g, append(order, name)
		}
		g.rows = append(g.rows, row.Values)
	}
	var out []Row
	for i, name := range order {
		values := append([]any{}, groups[name].keys...)
		for _, a := range r.Aggs {
			values = append(values, Aggregate(a, groups[name].rows))
		}
		out = append(out, Row{values, i})
	}
	return out
}

// Aggregate computes one of the aggregates that exist per unit: count, count_distinct, sum, avg, min, max.
func Aggregate(a plan.Agg, rows [][]any) any {
	var values []any
	for _, row := range rows {
		if a.Filter != nil && Value(a.Filter, row) != true {
			continue
		}
		var v any = true
		if a.Arg != nil {
			v = Value(a.Arg, row)
		}
		if v != nil {
			values = append(values, v)
		}
	}
	switch a.Func {
	case "count":
		return int64(len(values))
	case "count_distinct":
		seen := map[string]bool{}
		for _, v := range values {
			seen[fmt.Sprintf("%T:%v", v, v)] = true
		}
		return int64(len(seen))
	}
	if len(values) == 0 {
		return nil
	}
	switch a.Func {
	case "min", "max":
		best := values[0]
		for _, v := range values[1:] {
			if c := Order(v, best); c < 0 && a.Func == "min" || c > 0 && a.Func == "max" {
				best = v
			}
		}
		return best
	}
	return total(a, values)
}
