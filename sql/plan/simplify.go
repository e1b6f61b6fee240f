package plan

import (
	"math"
	"sort"
)

// flipped is the comparison that holds when the sides are swapped; negated the one that holds when it does not (NULLs stay NULL).
var (
	flipped = map[string]string{"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
	negated = map[string]string{"=": "<>", "<>": "=", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}
)

// Simplify gives an expression its one form: negations at the leaves, comparisons with the constant on the right, integers compared by
// < and >= only, commutative arguments in order, equal alternatives as IN. The meaning stays, NULLs included.
func Simplify(e Expr) Expr {
	return Map(e, func(e Expr) Expr {
		c, ok := e.(*Call)
		if !ok {
			return e
		}
		switch c.Op {
		case "not":
			return negate(c)
		case "and", "or":
			return junction(c)
		case "in":
			return membership(c)
		case "+", "*":
			return commutative(c)
		}
		if _, comparison := flipped[c.Op]; comparison {
			return compare(c)
		}
		return e
	})
}

func negate(c *Call) Expr {
	inner, ok := c.Args[0].(*Call)
	if !ok {
		return c
	}
	switch {
	case inner.Op == "not":
		return inner.Args[0]
	case negated[inner.Op] != "":
		n := *inner
		n.Op = negated[inner.Op]
		return compare(&n)
	case inner.Op == "and" || inner.Op == "or":
		n := &Call{Span: inner.Span, Op: "or", T: Boolean}
		if inner.Op == "or" {
			n.Op = "and"
		}
		for _, a := range inner.Args {
			n.Args = append(n.Args, Simplify(&Call{Span: a.Place(), Op: "not", Args: []Expr{a}, T: Boolean}))
		}
		return junction(n)
	}
	return c
}

func compare(c *Call) Expr {
	out := *c
	if len(c.Args) != 2 {
		return c
	}
	_, leftConst := c.Args[0].(*Const)
	_, rightConst := c.Args[1].(*Const)
	swap := leftConst && !rightConst
	if leftConst == rightConst {
		swap = Fingerprint(c.Args[1]) < Fingerprint(c.Args[0])
	}
	if swap {
		out.Op, out.Args = flipped[c.Op], []Expr{c.Args[1], c.Args[0]}
	}
	k, isConst := out.Args[1].(*Const)
	n, isInt := int64(0), false
	if isConst {
		n, isInt = k.Value.(int64)
	}
	if isInt && out.Args[0].Type().Whole() && n < math.MaxInt64 && (out.Op == "<=" || out.Op == ">") {
		next := &Const{Span: k.Span, Value: n + 1, T: k.T}
		out.Args = []Expr{out.Args[0], next}
		out.Op = map[string]string{"<=": "<", ">": ">="}[out.Op]
	}
	return &out
}

func junction(c *Call) Expr {
	var flat []Expr
	for _, a := range c.Args {
		if inner, ok := a.(*Call); ok && inner.Op == c.Op {
			flat = append(flat, inner.Args...)
		} else {
			flat = append(flat, a)
		}
	}
	if c.Op == "or" {
		flat = alternatives(flat)
	} else {
		flat = exclusions(flat)
	}
	flat = ordered(flat, true)
	if len(flat) == 1 {
		return flat[0]
	}
	out := *c
	out.Args = flat
	return &out
}

// alternatives joins x = 1 OR x IN (2, 3) to x IN (1, 2, 3).
func alternatives(list []Expr) []Expr {
	var out []Expr
	at := map[string]*Call{}
	for _, e := range list {
		c, ok := e.(*Call)
		if !ok || c.Op != "in" && c.Op != "=" || len(c.Args) < 2 {
			out = append(out, e)
			continue
		}
		if _, isConst := c.Args[1].(*Const); !isConst {
			out = append(out, e)
			continue
		}
		key := Fingerprint(c.Args[0])
		if have, ok := at[key]; ok {
			have.Args, have.Span = append(have.Args, c.Args[1:]...), have.Cover(c.Span)
			continue
		}
		in := &Call{Span: c.Span, Op: "in", Args: append([]Expr{}, c.Args...), T: Boolean}
		at[key] = in
		out = append(out, in)
	}
	for i, e := range out {
		if c, ok := e.(*Call); ok && c.Op == "in" {
			out[i] = membership(c)
		}
	}
	return out
}

// exclusions joins x <> 1 AND x NOT IN (2, 3) to NOT x IN (1, 2, 3).
func exclusions(list []Expr) []Expr {
	var out []Expr
	at := map[string]int{}
	for _, e := range list {
		in := excluded(e)
		if in == nil {
			out = append(out, e)
			continue
		}
		key := Fingerprint(in.Args[0])
		i, have := at[key]
		if !have {
			at[key] = len(out)
			out = append(out, e)
			continue
		}
		other := excluded(out[i])
		in.Args, in.Span = append(in.Args, other.Args[1:]...), in.Cover(other.Span)
		all := membership(in)
		out[i] = Simplify(&Call{Span: in.Span, Op: "not", Args: []Expr{all}, T: Boolean})
	}
	return out
}

// excluded reads x <> constant and x NOT IN (constants) as a new x IN (constants); nil when it is neither.
func excluded(e Expr) *Call {
	c, ok := e.(*Call)
	if !ok {
		return nil
	}
	if c.Op == "not" {
		if c, ok = c.Args[0].(*Call); !ok || c.Op != "in" {
			return nil
		}
	} else if c.Op != "<>" {
		return nil
	}
	for _, a := range c.Args[1:] {
		if _, isConst := a.(*Const); !isConst {
			return nil
		}
	}
	return &Call{Span: e.Place(), Op: "in", Args: append([]Expr{}, c.Args...), T: Boolean}
}

func membership(c *Call) Expr {
	list := ordered(append([]Expr{}, c.Args[1:]...), true)
	if len(list) == 1 {
		return &Call{Span: c.Span, Op: "=", Args: []Expr{c.Args[0], list[0]}, T: Boolean}
	}
	out := *c
	out.Args = append([]Expr{c.Args[0]}, list...)
	return &out
}

func commutative(c *Call) Expr {
	if len(c.Args) != 2 || c.Args[1].Type() == Interval {
		return c
	}
	out := *c
	out.Args = ordered(append([]Expr{}, c.Args...), false)
	return &out
}

func ordered(list []Expr, unique bool) []Expr {
	prints := make(map[Expr]string, len(list))
	for _, e := range list {
		prints[e] = Fingerprint(e)
	}
	sort.SliceStable(list, func(i, j int) bool { return prints[list[i]] < prints[list[j]] })
	if !unique {
		return list
	}
	var out []Expr
	for i, e := range list {
		if i == 0 || prints[e] != prints[list[i-1]] {
			out = append(out, e)
		}
	}
	return out
}
