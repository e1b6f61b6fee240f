package plan

// Type is a type of the language.
type Type string

// The types. Null is the type of a bare NULL, Interval only stands beside a time.
const (
	Null      Type = "null"
	Boolean   Type = "boolean"
	Integer   Type = "integer"
	Bigint    Type = "bigint"
	Double    Type = "double"
	Varchar   Type = "varchar"
	Date      Type = "date"
	Timestamp Type = "timestamp"
	Interval  Type = "interval"
)

// Numeric holds for the types that arithmetic takes.
func (t Type) Numeric() bool { return t == Integer || t == Bigint || t == Double }

// Whole holds for integers.
func (t Type) Whole() bool { return t == Integer || t == Bigint }

// Temporal holds for dates and timestamps.
func (t Type) Temporal() bool { return t == Date || t == Timestamp }

// Expr is a scalar expression over the columns of one relation.
type Expr interface {
	Type() Type
	Place() Span
}

// Col is the column at Index of the input. Name is what the text called it, for messages; Starred says that * named it, not the text.
type Col struct {
	Span
	Index   int
	Name    string
	T       Type
	Starred bool
}

// Const is a literal: nil, bool, int64, float64, string, and time.Time for dates and timestamps.
type Const struct {
	Span
	Value any
	T     Type
}

// Step is an INTERVAL constant: Count times Unit.
type Step struct {
	Span
	Count int64
	Unit  string // year … second
}

// Call applies an operator or function. The operators: = <> < <= > >= and or not is_null in (first argument against the constants
// that follow) like (prefix% pattern) + - * / neg abs round floor ceil least greatest coalesce left lower upper trim
// date_trunc date_diff date_part, and clamp (argument, low, high), which only decisions write.
type Call struct {
	Span
	Op   string
	Args []Expr
	T    Type
}

// Case is CASE WHEN … END; Else is never nil.
type Case struct {
	Span
	Whens []When
	Else  Expr
	T     Type
}

// When is a branch of a Case.
type When struct{ Cond, Then Expr }

// Cast is a CAST that gives NULL where the value has no such form (TRY_CAST).
type Cast struct {
	Span
	Arg Expr
	T   Type
}

// Bad stands where something was refused.
type Bad struct{ Span }

// Type is the type of the expression.
func (e *Col) Type() Type { return e.T }

// Type is the type of the expression.
func (e *Const) Type() Type { return e.T }

// Type is the type of the expression.
func (e *Step) Type() Type { return Interval }

// Type is the type of the expression.
func (e *Call) Type() Type { return e.T }

// Type is the type of the expression.
func (e *Case) Type() Type { return e.T }

// Type is the type of the expression.
func (e *Cast) Type() Type { return e.T }

// Type is the type of the expression.
func (e *Bad) Type() Type { return Null }

// Place is where the expression stands.
func (e *Col) Place() Span { return e.Span }

// Place is where the expression stands.
func (e *Const) Place() Span { return e.Span }

// Place is where the expression stands.
func (e *Step) Place() Span { return e.Span }

// Place is where the expression stands.
func (e *Call) Place() Span { return e.Span }

// Place is where the expression stands.
func (e *Case) Place() Span { return e.Span }

// Place is where the expression stands.
func (e *Cast) Place() Span { return e.Span }

// Place is where the expression stands.
func (e *Bad) Place() Span { return e.Span }

// Children are the direct parts of an expression.
func Children(e Expr) []Expr {
	switch e := e.(type) {
	case *Call:
		return e.Args
	case *Cast:
		return []Expr{e.Arg}
	case *Case:
		var out []Expr
		for _, w := range e.Whens {
			out = append(out, w.Cond, w.Then)
		}
		return append(out, e.Else)
	}
	return nil
}

// Walk visits an expression and its parts, parents first, until visit says no.
func Walk(e Expr, visit func(Expr) bool) {
	if e == nil || !visit(e) {
		return
	}
	for _, c := range Children(e) {
		Walk(c, visit)
	}
}

// Map rebuilds an expression with each part replaced, children first.
func Map(e Expr, replace func(Expr) Expr) Expr {
	switch n := e.(type) {
	case *Call:
		c := *n
		c.Args = make([]Expr, len(n.Args))
		for i, a := range n.Args {
			c.Args[i] = Map(a, replace)
		}
		return replace(&c)
	case *Cast:
		c := *n
		c.Arg = Map(n.Arg, replace)
		return replace(&c)
	case *Case:
		c := *n
		c.Whens = make([]When, len(n.Whens))
		for i, w := range n.Whens {
			c.Whens[i] = When{Map(w.Cond, replace), Map(w.Then, replace)}
		}
		c.Else = Map(n.Else, replace)
		return replace(&c)
	}
	return replace(e)
}

// Substitute puts expressions in the place of columns: column i becomes with[i].
func Substitute(e Expr, with []Expr) Expr {
	return Map(e, func(e Expr) Expr {
		if c, ok := e.(*Col); ok {
			r := with[c.Index]
			if inner, ok := r.(*Col); ok { // keep the place and the name of the use
				return &Col{Span: c.Span, Index: inner.Index, Name: c.Name, T: inner.T, Starred: c.Starred}
			}
			return r
		}
		return e
	})
}

// Shift adds to the index of every column.
func Shift(e Expr, by int) Expr {
	return Map(e, func(e Expr) Expr {
		if c, ok := e.(*Col); ok {
			s := *c
			s.Index += by
			return &s
		}
		return e
	})
}

// Columns are the indexes of the columns that an expression reads, each once, ascending by first use.
func Columns(e Expr) []int {
	var out []int
	seen := map[int]bool{}
	Walk(e, func(e Expr) bool {
		if c, ok := e.(*Col); ok && !seen[c.Index] {
			seen[c.Index] = true
			out = append(out, c.Index)
		}
		return true
	})
	return out
}

// Conjuncts splits a condition at its top-level ANDs.
func Conjuncts(e Expr) []Expr {
	if c, ok := e.(*Call); ok && c.Op == "and" {
		var out []Expr
		for _, a := range c.Args {
			out = append(out, Conjuncts(a)...)
		}
		return out
	}
	if e == nil {
		return nil
	}
	return []Expr{e}
}

// And joins conditions; nil for none.
func And(list []Expr) Expr {
	switch len(list) {
	case 0:
		return nil
	case 1:
		return list[0]
	}
	c := &Call{Op: "and", Args: list, T: Boolean}
	for _, e := range list {
		c.Span = c.Cover(e.Place())
	}
	return c
}
