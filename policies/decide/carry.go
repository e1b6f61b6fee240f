package decide

import (
	"sort"

	"concordat.dev/sql/plan"
)

// partial are the owners whose data made some rows of a relation and not others: their units may be fewer than those of a cell, so they
// are counted by themselves (PRIVACY.md section 6).
func partial(in *relation) []string {
	var out []string
	for o := range in.owners {
		if !in.certain[o] {
			out = append(out, o)
		}
	}
	sort.Strings(out)
	return out
}

// carried is a relation rebuilt so that each row tells whose data made it.
type carried struct {
	rel   plan.Relation
	cols  []plan.Expr          // the columns that it had before, over rel
	flags map[string]plan.Expr // by owner, over rel: true where the owner's data made the row
}

// carrier rebuilds plans for owners who have a part of a union.
type carrier struct {
	*decider
	owners []string
}

func constantFlag(v bool) plan.Expr { return &plan.Const{Value: v, T: plan.Boolean} }

func isFlag(e plan.Expr, v bool) bool {
	c, ok := e.(*plan.Const)
	return ok && c.Value == v
}

func columnsOf(r plan.Relation, n int) []plan.Expr {
	var out []plan.Expr
	for i, c := range r.Schema()[:n] {
		out = append(out, &plan.Col{Index: i, Name: c.Name, T: c.Type})
	}
	return out
}

func (c *carrier) relation(r plan.Relation) carried {
	switch r := r.(type) {
	case *plan.Filter:
		in := c.relation(r.Input)
		in.rel = &plan.Filter{Input: in.rel, Conds: c.all(r.Conds, in.cols)}
		return in
	case *plan.Project:
		in := c.relation(r.Input)
		return c.project(in, c.all(r.Exprs, in.cols), r.Names, nil)
	case *plan.Join:
		return c.join(r)
	case *plan.Union:
		return c.union(r)
	case *plan.Aggregate:
		return c.aggregate(r)
	case *plan.Window:
		return c.window(r)
	}
	out := carried{rel: r, cols: columnsOf(r, len(r.Schema())), flags: map[string]plan.Expr{}}
	s, isScan := r.(*plan.Scan)
	for _, o := range c.owners {
		p := c.policies[datasetOf(s, isScan)]
		out.flags[o] = constantFlag(p != nil && !p.Unit.None && p.Owner == o)
	}
	return out
}

func datasetOf(s *plan.Scan, isScan bool) string {
	if !isScan {
		return ""
	}
	return s.Dataset
}

// all puts the rebuilt columns into expressions; what is exempt from the isolation test stays so.
func (c *carrier) all(list, cols []plan.Expr) []plan.Expr {
	out := make([]plan.Expr, len(list))
	for i, e := range list {
		out[i] = plan.Substitute(e, cols)
		if c.exempt[e] {
			c.exempt[out[i]] = true
		}
	}
	return out
}

// project computes the given columns and behind them the flags that are not the same for every row, or that every demands.
func (c *carrier) project(in carried, exprs []plan.Expr, names []string, every map[string]bool) carried {
	p := &plan.Project{Input: in.rel, Exprs: exprs, Names: names}
	out := carried{flags: map[string]plan.Expr{}}
	for _, o := range c.owners {
		f := in.flags[o]
		if _, same := f.(*plan.Const); same && !every[o] {
			out.flags[o] = f
			continue
		}
		p.Exprs, p.Names = append(p.Exprs[:len(p.Exprs):len(p.Exprs)], f), append(p.Names[:len(p.Names):len(p.Names)], "")
		out.flags[o] = &plan.Col{Index: len(p.Exprs) - 1, T: plan.Boolean}
	}
	out.rel, out.cols = p, columnsOf(p, len(exprs))
	return out
}

func (c *carrier) join(r *plan.Join) carried {
	left, right := c.relation(r.Left), c.relation(r.Right)
	width := len(left.rel.Schema())
	both := append([]plan.Expr{}, left.cols...)
	for _, e := range right.cols {
		both = append(both, plan.Shift(e, width))
	}
	out := carried{rel: &plan.Join{Span: r.Span, Kind: r.Kind, Left: left.rel, Right: right.rel, On: c.all(r.On, both)}, cols: both, flags: map[string]plan.Expr{}}
	if r.Kind == plan.Semi || r.Kind == plan.Anti {
		out.cols = left.cols
	}
	for _, o := range c.owners {
		f, g := left.flags[o], right.flags[o]
		switch {
		case r.Kind == plan.Inner:
			f = either(f, plan.Shift(g, width))
		case r.Kind == plan.Semi && isFlag(g, true):
			f = g
		}
		out.flags[o] = f
		c.exempt[f] = true
	}
	return out
}

// either is true where one of two flags is.
func either(a, b plan.Expr) plan.Expr {
	switch {
	case isFlag(a, true) || isFlag(b, false):
		return a
	case isFlag(b, true) || isFlag(a, false):
		return b
	}
	return &plan.Call{Op: "or", Args: []plan.Expr{a, b}, T: plan.Boolean}
}

func (c *carrier) union(r *plan.Union) carried {
	parts := make([]carried, len(r.Parts))
	differ := map[string]bool{}
	for i, p := range r.Parts {
		parts[i] = c.relation(p)
		for _, o := range c.owners {
			f := parts[i].flags[o]
			_, same := f.(*plan.Const)
			differ[o] = differ[o] || !same || plan.Fingerprint(f) != plan.Fingerprint(parts[0].flags[o])
		}
	}
	u := &plan.Union{Span: r.Span}
	var out carried
	for i, p := range parts {
		out = c.project(p, p.cols, columnNames(r.Parts[i]), differ)
		u.Parts = append(u.Parts, out.rel)
	}
	out.rel = u
	return out
}

func columnNames(r plan.Relation) []string {
	var out []string
	for _, c := range r.Schema() {
		out = append(out, c.Name)
	}
	return out
}

func (c *carrier) aggregate(r *plan.Aggregate) carried {
	in := c.relation(r.Input)
	a := &plan.Aggregate{Span: r.Span, Input: in.rel, Keys: c.all(r.Keys, in.cols), Distinct: r.Distinct, Names: append([]string{}, r.Names...)}
	for _, agg := range r.Aggs {
		a.Aggs = append(a.Aggs, c.agg(agg, in.cols))
	}
	n := len(a.Keys) + len(a.Aggs)
	out := carried{rel: a, flags: map[string]plan.Expr{}}
	for _, o := range c.owners {
		if _, same := in.flags[o].(*plan.Const); same {
			out.flags[o] = in.flags[o]
			continue
		}
		a.Aggs, a.Names, a.Distinct = append(a.Aggs, plan.Agg{Func: "max", Arg: in.flags[o], T: plan.Boolean}), append(a.Names, ""), false
		out.flags[o] = &plan.Col{Index: len(a.Keys) + len(a.Aggs) - 1, T: plan.Boolean}
	}
	out.cols = columnsOf(a, n)
	return out
}

func (c *carrier) agg(a plan.Agg, cols []plan.Expr) plan.Agg {
	if a.Arg != nil {
		a.Arg = plan.Substitute(a.Arg, cols)
	}
	if a.Filter != nil {
		a.Filter = plan.Substitute(a.Filter, cols)
	}
	return a
}

func (c *carrier) window(r *plan.Window) carried {
	in := c.relation(r.Input)
	w := &plan.Window{Input: in.rel}
	width := len(in.rel.Schema())
	out := carried{cols: append([]plan.Expr{}, in.cols...), flags: in.flags}
	for i, f := range r.Funcs {
		f.Args, f.Partition = c.all(f.Args, in.cols), c.all(f.Partition, in.cols)
		f.Order = append([]plan.OrderKey{}, f.Order...)
		for k := range f.Order {
			f.Order[k].Expr = plan.Substitute(f.Order[k].Expr, in.cols)
		}
		if f.Filter != nil {
			f.Filter = plan.Substitute(f.Filter, in.cols)
		}
		w.Funcs = append(w.Funcs, f)
		out.cols = append(out.cols, &plan.Col{Index: width + i, Name: f.Func, T: f.T})
	}
	out.rel = w
	return out
}
