package decide_test

import (
	"fmt"

	"concordat.dev/policies/decide"
	"concordat.dev/protocol/document"
	"concordat.dev/sql/plan"
)

// leaks looks through an accepted plan for columns where they may not stand, knowing nothing of how decide judges: it follows every
// column from the scans upwards and looks at the expressions of each node.
func leaks(r *decide.Release, policies map[string]*document.Policy) []string {
	l := &lineage{policies: policies}
	cols := l.relation(r.Bounded.Input)
	if len(cols[r.Bounded.Unit]) == 0 {
		l.say("the unit has no origin")
	}
	for o := range cols[r.Bounded.Unit] {
		if o.role != "identifier" {
			l.say("the unit is %s", o.name)
		}
	}
	for _, k := range r.Bounded.Keys {
		l.value("a key", k, cols)
		l.raw("a key", k, cols)
	}
	for _, s := range r.Bounded.Sums {
		if s.Arg != nil {
			l.value("a sum", s.Arg, cols)
		}
		if s.Filter != nil && !nullTest(s.Filter) {
			l.value("a FILTER", s.Filter, cols)
		}
	}
	return l.found
}

// nullTest is what counts the units of a nullable side.
func nullTest(e plan.Expr) bool {
	for _, c := range plan.Conjuncts(e) {
		if not, ok := c.(*plan.Call); ok && not.Op == "not" {
			if inner, ok := not.Args[0].(*plan.Call); ok && inner.Op == "is_null" {
				return true
			}
		}
	}
	return false
}

type source struct {
	name, role string
	prefix     bool // usable through left(x, n)
}

type taint map[source]bool

// fromText is what the query itself puts among the values of a column.
var fromText = source{name: "the query", role: "text"}

// compared says that rows of a unit are told apart, or put in order, by columns as they are: nothing stands beside a measure, an
// identifier or a prefix column with which its values would be compared.
func (l *lineage) compared(where string, e plan.Expr, cols []taint) {
	t := l.of(e, cols)
	if c, ok := e.(*plan.Call); ok && c.Op == "left" || identifiers(t) {
		return
	}
	var precise []string
	for s := range t {
		if s.role == "measure" || s.role == "identifier" || s.prefix {
			precise = append(precise, s.name)
		}
	}
	if len(precise) > 1 || len(precise) == 1 && t[fromText] {
		l.say("%s compares %v with other values", where, precise)
	}
}

type lineage struct {
	policies map[string]*document.Policy
	found    []string
}

func (l *lineage) say(format string, args ...any) {
	l.found = append(l.found, fmt.Sprintf(format, args...))
}

func (l *lineage) of(e plan.Expr, cols []taint) taint {
	out := taint{}
	add := func(e plan.Expr, measures bool) {
		for _, i := range plan.Columns(e) {
			for s := range cols[i] {
				if s.role == "measure" && !measures {
					s.role = "dimension"
				}
				out[s] = true
			}
		}
	}
	merge := func(e plan.Expr) {
		for s := range l.of(e, cols) {
			out[s] = true
		}
	}
	switch n := e.(type) {
	case *plan.Const:
		if n.Value != nil {
			out[fromText] = true
		}
	case *plan.Case: // what decides is no value
		for _, w := range n.Whens {
			add(w.Cond, false)
			merge(w.Then)
		}
		merge(n.Else)
	case *plan.Call:
		switch n.Op {
		case "coalesce":
			for _, a := range n.Args {
				merge(a)
			}
		case "+", "-", "*", "/", "neg", "abs", "round", "ceil", "least", "greatest":
			add(e, true)
			out[fromText] = true
		case "floor", "=", "<>", "<", "<=", ">", ">=", "in", "like", "is_null", "and", "or", "not": // bins and conditions are at the grain
			add(e, false)
		default:
			add(e, true)
		}
	default:
		add(e, true)
	}
	return out
}

// value says that an expression reads no hidden column, no identifier (IS NULL apart), and no prefix column but through left.
func (l *lineage) value(where string, e plan.Expr, cols []taint) {
	plan.Walk(e, func(e plan.Expr) bool {
		if c, ok := e.(*plan.Call); ok && (c.Op == "left" || c.Op == "is_null") {
			for s := range l.of(e, cols) {
				if s.role == "hidden" || s.role == "identifier" && c.Op == "left" {
					l.say("%s reads %s", where, s.name)
				}
			}
			return false
		}
		if c, ok := e.(*plan.Col); ok {
			for s := range cols[c.Index] {
				if s.role == "hidden" || s.role == "identifier" || s.prefix {
					l.say("%s reads %s", where, s.name)
				}
			}
		}
		return true
	})
}

// raw says that a key is no measure's value: only conditions and bins of measures are.
func (l *lineage) raw(where string, e plan.Expr, cols []taint) {
	switch e := e.(type) {
	case *plan.Col:
		for s := range cols[e.Index] {
			if s.role == "measure" {
				l.say("%s is the measure %s", where, s.name)
			}
		}
	case *plan.Case:
		for _, w := range e.Whens {
			l.raw(where, w.Then, cols)
		}
		l.raw(where, e.Else, cols)
	case *plan.Call:
		switch e.Op {
		case "+", "-", "*", "neg", "abs", "round", "ceil", "least", "greatest", "coalesce":
			for _, a := range e.Args {
				l.raw(where, a, cols)
			}
		}
	}
}

func (l *lineage) relation(r plan.Relation) []taint {
	switch r := r.(type) {
	case *plan.Scan:
		return l.scan(r)
	case *plan.Filter:
		cols := l.relation(r.Input)
		for _, c := range r.Conds {
			l.value("a filter", c, cols)
		}
		return cols
	case *plan.Project:
		cols, out := l.relation(r.Input), []taint(nil)
		for _, e := range r.Exprs {
			if _, bare := e.(*plan.Col); !bare {
				l.value("a projection", e, cols)
			}
			out = append(out, l.of(e, cols))
		}
		return out
	case *plan.Join:
		return l.join(r)
	case *plan.Union:
		out := l.relation(r.Parts[0])
		for _, p := range r.Parts[1:] {
			for i, t := range l.relation(p) {
				for s := range t {
					out[i][s] = true
				}
			}
		}
		return out
	case *plan.Aggregate:
		return l.aggregate(r)
	case *plan.Window:
		cols := l.relation(r.Input)
		out := append([]taint{}, cols...)
		for _, f := range r.Funcs {
			t := taint{}
			for _, a := range f.Args {
				l.value("a window", a, cols)
				t = l.of(a, cols)
			}
			for _, e := range f.Partition {
				l.compared("PARTITION BY", e, cols)
			}
			for _, k := range f.Order {
				l.compared("ORDER BY", k.Expr, cols)
			}
			if f.Func == "count" || f.Func == "row_number" || f.Func == "rank" || f.Func == "dense_rank" {
				t = taint{}
			}
			out = append(out, t)
		}
		return out
	}
	l.say("a %T below the release", r)
	return nil
}

func (l *lineage) scan(r *plan.Scan) []taint {
	p := l.policies[r.Dataset]
	var out []taint
	for _, c := range r.Columns {
		column := p.Columns[c.Name]
		role := column.Role
		if p.Unit.None && role != "hidden" {
			role = "dimension"
		}
		out = append(out, taint{{r.Dataset + "." + c.Name, role, column.Prefix > 0}: true})
	}
	return out
}

func (l *lineage) join(r *plan.Join) []taint {
	left, right := l.relation(r.Left), l.relation(r.Right)
	both := append(append([]taint{}, left...), right...)
	for _, e := range r.On {
		if c, ok := e.(*plan.Call); ok && c.Op == "=" {
			a, b := l.of(c.Args[0], both), l.of(c.Args[1], both)
			if identifiers(a) && identifiers(b) {
				continue
			}
		}
		l.value("a join", e, both)
	}
	if r.Kind == plan.Semi || r.Kind == plan.Anti {
		return left
	}
	return both
}

func identifiers(t taint) bool {
	for s := range t {
		if s.role != "identifier" {
			return false
		}
	}
	return len(t) > 0
}

func (l *lineage) aggregate(r *plan.Aggregate) []taint {
	cols := l.relation(r.Input)
	var out []taint
	holds := false
	for _, k := range r.Keys {
		t := l.of(k, cols)
		if _, bare := k.(*plan.Col); bare && identifiers(t) {
			holds = true
		} else {
			l.value("an inner key", k, cols)
			l.raw("an inner key", k, cols)
		}
		out = append(out, t)
	}
	if !holds {
		l.say("an aggregation below the release forgets the unit")
	}
	for _, a := range r.Aggs {
		t := taint{}
		if a.Func == "count_distinct" {
			l.compared("count(DISTINCT)", a.Arg, cols)
		}
		if a.Arg != nil && a.Func != "count_distinct" {
			l.value("an inner aggregate", a.Arg, cols)
			t = l.of(a.Arg, cols)
		}
		if a.Filter != nil {
			l.value("an inner FILTER", a.Filter, cols)
		}
		if a.Func == "count" || a.Func == "count_distinct" {
			t = taint{}
		}
		out = append(out, t)
	}
	return out
}
