package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"sort"
)

// Normalise gives a plan its one form: projections dissolved into what reads them, filters above joins, conditions, keys and
// aggregates in order. The rows stay the same; the columns of the root too.
func Normalise(r Relation) Relation {
	return tidy(lift(r))
}

// Digest names a plan: two texts that Normalise to the same plan have the same one.
func Digest(r Relation) string {
	sum := sha256.Sum256([]byte("concordat.dev/plan/v1\n" + Text(r)))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// shape is a relation with the projection and the filter that stand above it, taken off: rows are those of base that meet conds, and
// exprs computes the columns from base's columns.
type shape struct {
	base  Relation
	conds []Expr
	exprs []Expr
	names []string
}

func plain(r Relation) shape {
	s := shape{base: r}
	for i, c := range r.Schema() {
		s.exprs = append(s.exprs, &Col{Index: i, Name: c.Name, T: c.Type, Starred: true}) // passed on, not asked for
		s.names = append(s.names, c.Name)
	}
	return s
}

// lift rebuilds a relation without projections and filters below joins, aggregates and windows.
func lift(r Relation) Relation {
	return restore(dissolve(r))
}

func restore(s shape) Relation {
	out := filtered(s)
	if identity(s.exprs, len(s.base.Schema())) && sameNames(s.names, out.Schema()) {
		return out
	}
	return &Project{Input: out, Exprs: s.exprs, Names: s.names}
}

func filtered(s shape) Relation {
	if len(s.conds) == 0 {
		return s.base
	}
	return &Filter{Input: s.base, Conds: s.conds}
}

func identity(exprs []Expr, width int) bool {
	if len(exprs) != width {
		return false
	}
	for i, e := range exprs {
		if c, ok := e.(*Col); !ok || c.Index != i {
			return false
		}
	}
	return true
}

func sameNames(names []string, schema []Column) bool {
	for i, n := range names {
		if schema[i].Name != n {
			return false
		}
	}
	return true
}

func substituteAll(list []Expr, with []Expr) []Expr {
	out := make([]Expr, len(list))
	for i, e := range list {
		out[i] = Substitute(e, with)
	}
	return out
}

func simplified(list []Expr, with []Expr) []Expr {
	out := substituteAll(list, with)
	for i, e := range out {
		out[i] = Simplify(e)
	}
	return out
}

func dissolve(r Relation) shape {
	switch r := r.(type) {
	case *Filter:
		s := dissolve(r.Input)
		s.conds = append(s.conds, substituteAll(r.Conds, s.exprs)...)
		return s
	case *Project:
		s := dissolve(r.Input)
		s.exprs, s.names = substituteAll(r.Exprs, s.exprs), r.Names
		return s
	case *Join:
		return dissolveJoin(r)
	case *Aggregate:
		return dissolveAggregate(r)
	case *Window:
		return dissolveWindow(r)
	case *Union:
		u := &Union{Span: r.Span}
		for _, p := range r.Parts {
			u.Parts = append(u.Parts, lift(p))
		}
		return plain(u)
	case *Sort:
		s := &Sort{Input: lift(r.Input), Keys: r.Keys}
		return plain(s)
	case *Limit:
		l := *r
		l.Input = lift(r.Input)
		return plain(&l)
	}
	return plain(r)
}

func dissolveJoin(r *Join) shape {
	left, right := dissolve(r.Left), dissolve(r.Right)
	if r.Kind == Left && (len(right.conds) > 0 || !onlyColumns(right.exprs)) {
		right = plain(restore(right)) // what is computed below the nullable side is NULL for rows without a match
	}
	width := len(left.base.Schema())
	both := append([]Expr{}, left.exprs...)
	for _, e := range right.exprs {
		both = append(both, Shift(e, width))
	}
	j := &Join{Span: r.Span, Kind: r.Kind, Left: left.base, Right: right.base, On: substituteAll(r.On, both)}
	out := shape{base: j, conds: left.conds, exprs: both, names: append(append([]string{}, left.names...), right.names...)}
	switch r.Kind {
	case Semi, Anti:
		for _, c := range right.conds {
			j.On = append(j.On, Shift(c, width))
		}
		out.exprs, out.names = left.exprs, left.names
	case Inner:
		for _, c := range right.conds {
			out.conds = append(out.conds, Shift(c, width))
		}
		j.On, out.conds = crossing(j.On, width, out.conds)
	}
	return out
}

// crossing splits the conditions of an inner join: equalities of something of the left with something of the right stay, the rest
// filters above.
func crossing(on []Expr, width int, conds []Expr) (stay, above []Expr) {
	above = append([]Expr{}, conds...)
	for _, e := range on {
		if c, ok := e.(*Call); ok && c.Op == "=" && side(c.Args[0], width)*side(c.Args[1], width) < 0 {
			stay = append(stay, e)
		} else {
			above = append(above, e)
		}
	}
	return stay, above
}

// side is -1 for an expression over the left columns, 1 over the right ones, 0 over both or none.
func side(e Expr, width int) int {
	out := 0
	for _, i := range Columns(e) {
		here := -1
		if i >= width {
			here = 1
		}
		if out != 0 && out != here {
			return 0
		}
		out = here
	}
	return out
}

func onlyColumns(exprs []Expr) bool {
	for _, e := range exprs {
		if _, ok := e.(*Col); !ok {
			return false
		}
	}
	return true
}

func dissolveAggregate(r *Aggregate) shape {
	s := dissolve(r.Input)
	a := &Aggregate{Span: r.Span, Input: filtered(s), Keys: substituteAll(r.Keys, s.exprs), Distinct: r.Distinct, Names: r.Names}
	for _, agg := range r.Aggs {
		if agg.Arg != nil {
			agg.Arg = Simplify(Substitute(agg.Arg, s.exprs))
		}
		if agg.Filter != nil {
			agg.Filter = Simplify(Substitute(agg.Filter, s.exprs))
		}
		a.Aggs = append(a.Aggs, agg)
	}
	for i := range a.Keys {
		a.Keys[i] = Simplify(a.Keys[i])
	}
	return sortedAggregate(a)
}

// sortedAggregate puts keys and aggregates in the order of their fingerprints, equal ones once; a projection gives the old order back.
func sortedAggregate(a *Aggregate) shape {
	keyText, aggPrint := func(i int) string { return Fingerprint(a.Keys[i]) }, func(i int) string { return aggText(a.Aggs[i]) }
	out := &Aggregate{Span: a.Span, Input: a.Input, Distinct: a.Distinct}
	at := make([]int, len(a.Keys)+len(a.Aggs))
	for i, from := range order(len(a.Keys), keyText) {
		if i == 0 || keyText(from) != Fingerprint(out.Keys[len(out.Keys)-1]) {
			out.Keys, out.Names = append(out.Keys, a.Keys[from]), append(out.Names, a.Names[from])
		}
		at[from] = len(out.Keys) - 1
	}
	for i, from := range order(len(a.Aggs), aggPrint) {
		if i == 0 || aggPrint(from) != aggText(out.Aggs[len(out.Aggs)-1]) {
			out.Aggs, out.Names = append(out.Aggs, a.Aggs[from]), append(out.Names, a.Names[len(a.Keys)+from])
		}
		at[len(a.Keys)+from] = len(out.Keys) + len(out.Aggs) - 1
	}
	s := shape{base: out}
	schema := out.Schema()
	for from, to := range at {
		s.exprs = append(s.exprs, &Col{Index: to, Name: a.Names[from], T: schema[to].Type})
		s.names = append(s.names, a.Names[from])
	}
	return s
}

func order(n int, print func(int) string) []int {
	out := make([]int, n)
	prints := make([]string, n)
	for i := range out {
		out[i], prints[i] = i, print(i)
	}
	sort.SliceStable(out, func(i, j int) bool { return prints[out[i]] < prints[out[j]] })
	return out
}

func dissolveWindow(r *Window) shape {
	s := dissolve(r.Input)
	w := &Window{Input: filtered(s)}
	width := len(s.base.Schema())
	out := shape{exprs: append([]Expr{}, s.exprs...), names: append([]string{}, s.names...)}
	for i, f := range r.Funcs {
		f.Args, f.Partition = simplified(f.Args, s.exprs), ordered(simplified(f.Partition, s.exprs), true)
		f.Order = append([]OrderKey{}, f.Order...)
		for k := range f.Order {
			f.Order[k].Expr = Simplify(Substitute(f.Order[k].Expr, s.exprs))
		}
		if f.Filter != nil {
			f.Filter = Simplify(Substitute(f.Filter, s.exprs))
		}
		w.Funcs = append(w.Funcs, f)
		out.exprs = append(out.exprs, &Col{Span: f.Span, Index: width + i, Name: f.Func, T: f.T})
		out.names = append(out.names, f.Func)
	}
	out.base = w
	return out
}

// tidy simplifies the conditions that lift left.
func tidy(r Relation) Relation {
	switch r := r.(type) {
	case *Filter:
		return &Filter{Input: tidy(r.Input), Conds: conditions(r.Conds)}
	case *Project:
		p := &Project{Input: tidy(r.Input), Names: r.Names}
		for _, e := range r.Exprs {
			p.Exprs = append(p.Exprs, Simplify(e))
		}
		return p
	case *Join:
		j := *r
		j.Left, j.Right, j.On = tidy(r.Left), tidy(r.Right), conditions(r.On)
		return &j
	case *Aggregate:
		a := *r
		a.Input = tidy(r.Input)
		return &a
	case *Window:
		return &Window{Input: tidy(r.Input), Funcs: r.Funcs}
	case *Union:
		u := &Union{Span: r.Span}
		for _, p := range r.Parts {
			u.Parts = append(u.Parts, tidy(p))
		}
		return u
	case *Sort:
		return &Sort{Input: tidy(r.Input), Keys: r.Keys}
	case *Limit:
		l := *r
		l.Input = tidy(r.Input)
		return &l
	}
	return r
}

func conditions(list []Expr) []Expr {
	var out []Expr
	for _, e := range list {
		out = append(out, Conjuncts(Simplify(e))...)
	}
	return ordered(exclusions(out), true)
}
