package render

import (
	"sort"

	"concordat.dev/sql/plan"
)

// needs are the columns of a relation that its reader uses: as expressions see them (cols), times as they were stored (raw), texts as
// the codes of a dictionary where the engine has one (code). Codes are equal, and in order, where their texts are.
type needs struct {
	cols map[int]bool
	raw  map[int]bool
	code map[int]bool
}

func newNeeds() needs { return needs{map[int]bool{}, map[int]bool{}, map[int]bool{}} }

func (n needs) of(list ...plan.Expr) {
	for _, e := range list {
		for _, i := range plan.Columns(e) {
			n.cols[i] = true
		}
	}
}

// stored asks for expressions over a relation as PARTITION BY and ORDER BY of an inner window read them (PRIVACY.md R4).
func (n needs) stored(t Tables, in plan.Relation, list ...plan.Expr) {
	for _, e := range list {
		if c, ok := e.(*plan.Col); ok && c.T.Temporal() {
			n.raw[c.Index] = true
		} else {
			n.coded(t, in, e)
		}
	}
}

// coded asks for expressions over a relation that are only compared with themselves: keys of groups.
func (n needs) coded(t Tables, in plan.Relation, list ...plan.Expr) {
	for _, e := range list {
		if c, ok := e.(*plan.Col); ok && t.coded(in, c.Index) {
			n.code[c.Index] = true
		} else {
			n.of(e)
		}
	}
}

// coded says that a column of a relation is a column of a dataset for which the engine has codes.
func (t Tables) coded(r plan.Relation, i int) bool {
	switch r := r.(type) {
	case *plan.Scan:
		_, ok := t[r.Dataset].Codes[r.Columns[i].Name]
		return ok
	case *plan.Filter:
		return t.coded(r.Input, i)
	case *plan.Project:
		c, ok := r.Exprs[i].(*plan.Col)
		return ok && t.coded(r.Input, c.Index)
	case *plan.Window:
		return i < len(r.Input.Schema()) && t.coded(r.Input, i)
	case *plan.Aggregate:
		if i < len(r.Keys) {
			c, ok := r.Keys[i].(*plan.Col)
			return ok && t.coded(r.Input, c.Index)
		}
	case *plan.Join:
		if width := len(r.Left.Schema()); i >= width {
			return t.coded(r.Right, i-width)
		}
		return t.coded(r.Left, i)
	}
	return false
}

func (n needs) copy() needs {
	out := newNeeds()
	for i := range n.cols {
		out.cols[i] = true
	}
	for i := range n.raw {
		out.raw[i] = true
	}
	for i := range n.code {
		out.code[i] = true
	}
	return out
}

// any are the columns wanted in one form or another.
func (n needs) any() map[int]bool {
	out := n.copy().cols
	for i := range n.raw {
		out[i] = true
	}
	for i := range n.code {
		out[i] = true
	}
	return out
}

func sorted(m map[int]bool) []int {
	out := make([]int, 0, len(m))
	for i := range m {
		out = append(out, i)
	}
	sort.Ints(out)
	return out
}

// below tells what a relation needs of each of its inputs so that its reader has what it needs.
func (t Tables) below(r plan.Relation, n needs) []needs {
	switch r := r.(type) {
	case *plan.Filter:
		in := n.copy()
		in.of(r.Conds...)
		return []needs{in}
	case *plan.Project:
		in := newNeeds()
		for i := range n.cols {
			in.of(r.Exprs[i])
		}
		for i := range n.raw {
			in.stored(t, r.Input, r.Exprs[i])
		}
		for i := range n.code {
			in.coded(t, r.Input, r.Exprs[i])
		}
		return []needs{in}
	case *plan.Join:
		return belowJoin(r, n)
	case *plan.Union:
		seen := n.copy()
		for i := range n.raw {
			seen.cols[i] = true
		}
		clear(seen.raw)
		out := make([]needs, len(r.Parts))
		for i := range out {
			out[i] = seen
		}
		return out
	case *plan.Aggregate:
		in := newNeeds()
		in.coded(t, r.Input, r.Keys...)
		for _, a := range r.Aggs {
			in.of(a.Arg, a.Filter)
		}
		return []needs{in}
	case *plan.Window:
		width := len(r.Input.Schema())
		in := needs{upTo(n.cols, width), upTo(n.raw, width), upTo(n.code, width)}
		for _, f := range r.Funcs {
			in.of(f.Args...)
			in.of(f.Filter)
			in.stored(t, r.Input, f.Partition...)
			for _, k := range f.Order {
				in.stored(t, r.Input, k.Expr)
			}
		}
		return []needs{in}
	}
	return nil
}

func belowJoin(r *plan.Join, n needs) []needs {
	width := len(r.Left.Schema())
	left, right := newNeeds(), newNeeds()
	all := n.copy()
	all.of(r.On...)
	split := func(from, left, right map[int]bool) {
		for i := range from {
			if i < width {
				left[i] = true
			} else {
				right[i-width] = true
			}
		}
	}
	split(all.cols, left.cols, right.cols)
	split(all.raw, left.raw, right.raw)
	split(all.code, left.code, right.code)
	return []needs{left, right}
}

func upTo(m map[int]bool, width int) map[int]bool {
	out := map[int]bool{}
	for i := range m {
		if i < width {
			out[i] = true
		}
	}
	return out
}

// wanted are the columns of Input that a bounded plan reads.
func (t Tables) wanted(b *plan.Bounded) needs {
	n := newNeeds()
	n.cols[b.Unit] = true
	n.coded(t, b.Input, b.Keys...)
	for _, s := range b.Sums {
		n.of(s.Arg, s.Filter)
	}
	return n
}

// Settle appends to the order of each window whose result depends on the order of rows that tie the columns that the plan reads, as
// tie-breakers (PRIVACY.md R2). Rows that still tie do not differ in anything that is read, so that a result never depends on the order
// of rows in memory. What is printed of a plan is printed of the settled plan.
func Settle(b *plan.Bounded) *plan.Bounded {
	out := *b
	out.Input = settle(b.Input, Tables{}.wanted(b))
	return &out
}

func settle(r plan.Relation, n needs) plan.Relation {
	in := Tables{}.below(r, n)
	switch r := r.(type) {
	case *plan.Filter:
		c := *r
		c.Input = settle(r.Input, in[0])
		return &c
	case *plan.Project:
		c := *r
		c.Input = settle(r.Input, in[0])
		return &c
	case *plan.Join:
		c := *r
		c.Left, c.Right = settle(r.Left, in[0]), settle(r.Right, in[1])
		return &c
	case *plan.Union:
		c := *r
		c.Parts = nil
		for i, p := range r.Parts {
			c.Parts = append(c.Parts, settle(p, in[i]))
		}
		return &c
	case *plan.Aggregate:
		c := *r
		c.Input = settle(r.Input, in[0])
		return &c
	case *plan.Window:
		return settleWindow(r, in[0])
	}
	return r
}

// sensitive are the functions whose value depends on the order of rows that tie.
var sensitive = map[string]bool{"row_number": true, "lag": true, "lead": true, "first_value": true}

func settleWindow(r *plan.Window, in needs) plan.Relation {
	schema := r.Input.Schema()
	read := in.any()
	out := &plan.Window{Input: settle(r.Input, in)}
	for _, f := range r.Funcs {
		if sensitive[f.Func] || len(f.Order) > 0 && f.Frame != "" {
			f.Order = append([]plan.OrderKey{}, f.Order...)
			for _, i := range sorted(read) {
				if c := (&plan.Col{Index: i, Name: schema[i].Name, T: schema[i].Type}); !placed(f, c) {
					f.Order = append(f.Order, plan.OrderKey{Expr: c})
				}
			}
		}
		out.Funcs = append(out.Funcs, f)
	}
	return out
}

// placed says that a column already decides: it is in the partition or the order by itself.
func placed(f plan.WindowFunc, c *plan.Col) bool {
	for _, e := range f.Partition {
		if p, ok := e.(*plan.Col); ok && p.Index == c.Index {
			return true
		}
	}
	for _, k := range f.Order {
		if p, ok := k.Expr.(*plan.Col); ok && p.Index == c.Index {
			return true
		}
	}
	return false
}
