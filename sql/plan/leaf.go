package plan

import "slices"

// leaf says that a call compares: what a condition is made of.
func leaf(op string) bool {
	switch op {
	case "=", "<>", "<", "<=", ">", ">=", "in", "like", "is_null":
		return true
	}
	return false
}

// Forcing rebuilds plans with one comparison taken away: the isolation test of threshold mode (PRIVACY.md R10). A comparison, or a
// condition that is no comparison (a column that is true or false), is replaced by true and by false; of a list of constants each is
// left out as well, since x IN (1, 2) is x = 1 OR x = 2; and of conditions side by side, all that read one column together, since
// each could stand for the others.
type Forcing struct {
	Exempt map[Expr]bool // conditions that are not forced: the equalities of units, and whose data made a row
	target int           // -1: count only
	seen   int
}

// Variants counts the plans that Variant makes of a bounded plan, over all conditions of filters, joins, FILTERs and CASE, inner
// queries included.
func (f *Forcing) Variants(b *Bounded) int {
	f.target, f.seen = -1, 0
	f.bounded(b)
	return f.seen
}

// Variant is the plan with one condition taken away.
func (f *Forcing) Variant(b *Bounded, i int) *Bounded {
	f.target, f.seen = i, 0
	return f.bounded(b)
}

// force is what stands in the place of a condition in this variant; nil leaves it.
func (f *Forcing) force(e Expr) Expr {
	at := f.target - f.seen
	f.seen += 2
	if at == 0 || at == 1 {
		return &Const{Span: e.Place(), Value: at == 0, T: Boolean}
	}
	c, ok := e.(*Call)
	if !ok || c.Op != "in" || len(c.Args) < 3 {
		return nil
	}
	f.seen += len(c.Args) - 1
	if at -= 2; at < 0 || at >= len(c.Args)-1 {
		return nil
	}
	less := *c
	less.Args = append(append([]Expr{c.Args[0]}, c.Args[1:1+at]...), c.Args[2+at:]...)
	return &less
}

// condition is an expression that decides: what it is made of by AND, OR and NOT is forced part by part.
func (f *Forcing) condition(e Expr) Expr {
	if e == nil || f.Exempt[e] {
		return e
	}
	c, isCall := e.(*Call)
	_, isConst := e.(*Const)
	if isConst || isCall && (leaf(c.Op) || junctions[c.Op]) {
		return f.expr(e)
	}
	if forced := f.force(e); forced != nil {
		return forced
	}
	return f.expr(e)
}

var junctions = map[string]bool{"and": true, "or": true, "not": true}

// conditions forces each of a list of which all must hold (neutral: true), or one (neutral: false).
func (f *Forcing) conditions(list []Expr, neutral bool) []Expr {
	out := make([]Expr, len(list))
	for i, e := range list {
		out[i] = f.condition(e)
	}
	for _, column := range f.shared(list) {
		if f.seen++; f.seen-1 != f.target {
			continue
		}
		for i, e := range list {
			if !f.Exempt[e] && slices.Contains(Columns(e), column) {
				out[i] = &Const{Span: e.Place(), Value: neutral, T: Boolean}
			}
		}
	}
	return out
}

// shared are the columns that more than one of a list of conditions reads.
func (f *Forcing) shared(list []Expr) []int {
	var once, out []int
	for _, e := range list {
		if f.Exempt[e] {
			continue
		}
		for _, i := range Columns(e) {
			switch {
			case slices.Contains(out, i):
			case slices.Contains(once, i):
				out = append(out, i)
			default:
				once = append(once, i)
			}
		}
	}
	return out
}

func (f *Forcing) bounded(b *Bounded) *Bounded {
	out := *b
	out.Input = f.relation(b.Input)
	out.Keys = f.all(b.Keys)
	out.Sums = append([]Sum{}, b.Sums...)
	for i := range out.Sums {
		out.Sums[i].Arg, out.Sums[i].Filter = f.expr(out.Sums[i].Arg), f.condition(out.Sums[i].Filter)
	}
	return &out
}

func (f *Forcing) expr(e Expr) Expr {
	if e == nil || f.Exempt[e] {
		return e
	}
	switch n := e.(type) {
	case *Call:
		c := *n
		if junctions[n.Op] {
			c.Args = f.conditions(n.Args, n.Op != "or")
			return &c
		}
		if leaf(n.Op) {
			if forced := f.force(n); forced != nil {
				return forced
			}
			// the conditions of a CASE that is compared, and comparisons that are compared, are forced one by one as well
		}
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
			c.Whens[i] = When{f.condition(w.Cond), f.expr(w.Then)}
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
		return &Filter{Input: f.relation(r.Input), Conds: f.conditions(r.Conds, true)}
	case *Project:
		return &Project{Input: f.relation(r.Input), Exprs: f.all(r.Exprs), Names: r.Names}
	case *Join:
		j := *r
		j.Left, j.Right, j.On = f.relation(r.Left), f.relation(r.Right), f.conditions(r.On, true)
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
			a.Aggs[i].Arg, a.Aggs[i].Filter = f.expr(a.Aggs[i].Arg), f.condition(a.Aggs[i].Filter)
		}
		return &a
	case *Window:
		w := &Window{Input: f.relation(r.Input), Funcs: append([]WindowFunc{}, r.Funcs...)}
		for i := range w.Funcs {
			w.Funcs[i].Args, w.Funcs[i].Filter = f.all(w.Funcs[i].Args), f.condition(w.Funcs[i].Filter)
		}
		return w
	}
	return r
}
