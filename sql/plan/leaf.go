package plan

// leaf says that a call compares: what a condition is made of.
func leaf(op string) bool {
	switch op {
	case "=", "<>", "<", "<=", ">", ">=", "in", "like", "is_null":
		return true
	}
	return false
}

// Forcing rebuilds plans with one comparison replaced by a constant: the isolation test of threshold mode (PRIVACY.md R10).
type Forcing struct {
	Exempt map[Expr]bool // comparisons that are not forced: the equalities of units
	target int           // -1: count only
	with   bool
	seen   int
}

// Leaves counts the comparisons of a bounded plan: of filters, joins, FILTERs and CASE conditions, inner queries included.
func (f *Forcing) Leaves(b *Bounded) int {
	f.target, f.seen = -1, 0
	f.bounded(b)
	return f.seen
}

// Force replaces comparison number i by true or false.
func (f *Forcing) Force(b *Bounded, i int, with bool) *Bounded {
	f.target, f.seen, f.with = i, 0, with
	return f.bounded(b)
}

func (f *Forcing) bounded(b *Bounded) *Bounded {
	out := *b
	out.Input = f.relation(b.Input)
	out.Keys = f.all(b.Keys)
	out.Sums = append([]Sum{}, b.Sums...)
	for i := range out.Sums {
		out.Sums[i].Arg, out.Sums[i].Filter = f.expr(out.Sums[i].Arg), f.expr(out.Sums[i].Filter)
	}
	return &out
}

func (f *Forcing) expr(e Expr) Expr {
	if e == nil || f.Exempt[e] {
		return e
	}
	switch n := e.(type) {
	case *Call:
		if leaf(n.Op) {
			f.seen++
			if f.seen-1 == f.target {
				return &Const{Span: n.Span, Value: f.with, T: Boolean}
			}
			// the conditions of a CASE that is compared, and comparisons that are compared, are forced one by one as well
		}
		c := *n
		c.Args = f.all(n.Args)
		return &c
	case *Cast:
		c := *n
		c.Arg = f.expr(n.Arg)
		return &c
	case *Case:
		c := *n
		c.Whens = make([]When, len(n.Whens))
		for i, w := range n.Whens {
			c.Whens[i] = When{f.expr(w.Cond), f.expr(w.Then)}
		}
		c.Else = f.expr(n.Else)
		return &c
	}
	return e
}

func (f *Forcing) all(list []Expr) []Expr {
	out := make([]Expr, len(list))
	for i, e := range list {
		out[i] = f.expr(e)
	}
	return out
}

func (f *Forcing) relation(r Relation) Relation {
	switch r := r.(type) {
	case *Filter:
		return &Filter{Input: f.relation(r.Input), Conds: f.all(r.Conds)}
	case *Project:
		return &Project{Input: f.relation(r.Input), Exprs: f.all(r.Exprs), Names: r.Names}
	case *Join:
		j := *r
		j.Left, j.Right, j.On = f.relation(r.Left), f.relation(r.Right), f.all(r.On)
		return &j
	case *Union:
		u := &Union{Span: r.Span}
		for _, p := range r.Parts {
			u.Parts = append(u.Parts, f.relation(p))
		}
		return u
	case *Aggregate:
		a := *r
		a.Input, a.Keys = f.relation(r.Input), f.all(r.Keys)
		a.Aggs = append([]Agg{}, r.Aggs...)
		for i := range a.Aggs {
			a.Aggs[i].Arg, a.Aggs[i].Filter = f.expr(a.Aggs[i].Arg), f.expr(a.Aggs[i].Filter)
		}
		return &a
	case *Window:
		w := &Window{Input: f.relation(r.Input), Funcs: append([]WindowFunc{}, r.Funcs...)}
		for i := range w.Funcs {
			w.Funcs[i].Args, w.Funcs[i].Filter = f.all(w.Funcs[i].Args), f.expr(w.Funcs[i].Filter)
		}
		return w
	}
	return r
}
