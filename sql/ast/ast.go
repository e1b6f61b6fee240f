// Package ast is the part of the DuckDB dialect that Concordat reads, as a tree with the place of every node in the text.
//
// Invariant: what has no type here can not be said.
//
// Sees: metadata
package ast

import "concordat.dev/sql/refusal"

// Span is a range of bytes of the text.
type Span = refusal.Span

// Query is a Select or a Union.
type Query interface{ Place() Span }

// Select is one SELECT with what stands around it.
type Select struct {
	Span
	With     []CTE
	Distinct bool
	Items    []Item
	From     Table // nil: none
	Where    Expr  // nil: none
	GroupBy  []Expr
	GroupAll bool
	Having   Expr
	Qualify  Expr
	Order    []Order
	OrderAll bool // ORDER BY ALL
	Limit    *Limit
}

// Union is UNION ALL of two queries.
type Union struct {
	Span
	With        []CTE
	Left, Right Query
	Order       []Order
	Limit       *Limit
}

// Place is where the query stands.
func (q *Select) Place() Span { return q.Span }

// Place is where the query stands.
func (q *Union) Place() Span { return q.Span }

// CTE is a named query of a WITH.
type CTE struct {
	Name    string
	Columns []string
	Query   Query
}

// Item is an expression of a SELECT list.
type Item struct {
	Expr  Expr
	Alias string
}

// Order is a key of ORDER BY. NULLs come last unless NullsFirst, as in DuckDB.
type Order struct {
	Expr       Expr
	Descending bool
	NullsFirst bool
}

// Limit has constants only.
type Limit struct {
	Span
	Count  int64 // -1: none
	Offset int64
}

// Table is what stands in FROM.
type Table interface{ Place() Span }

// Base is a dataset or a CTE by name, with what the text writes in front of it.
type Base struct {
	Span
	Catalog, Schema, Name, Alias string
	Columns                      []string
}

// Derived is a subquery in FROM.
type Derived struct {
	Span
	Query   Query
	Alias   string
	Columns []string
}

// JoinKind is INNER or LEFT, or a CROSS that a comma or CROSS JOIN writes (an inner join without ON).
type JoinKind string

// The kinds of joins in a text.
const (
	Inner JoinKind = "inner"
	Left  JoinKind = "left"
	Semi  JoinKind = "semi"
	Anti  JoinKind = "anti"
	Cross JoinKind = "cross"
)

// Join joins two tables by On or Using.
type Join struct {
	Span
	Kind        JoinKind
	Left, Right Table
	On          Expr
	Using       []string
}

// Place is where the table stands.
func (t *Base) Place() Span { return t.Span }

// Place is where the table stands.
func (t *Derived) Place() Span { return t.Span }

// Place is where the table stands.
func (t *Join) Place() Span { return t.Span }

// Expr is an expression.
type Expr interface{ Place() Span }

// Column is a reference by one to four names.
type Column struct {
	Span
	Names []string
}

// Star is * or relation.*.
type Star struct {
	Span
	Relation string
}

// Const is a literal: nil, bool, int64, float64, string. Decimal says that a float64 was written with a point.
type Const struct {
	Span
	Value any
}

// Call is a function, an operator (by its symbol) or an aggregate.
type Call struct {
	Span
	Name     string // lower case; operators: + - * / || ~~ !~~ = <> < <= > >= and or not is_null is_not_null in not_in coalesce
	Args     []Expr
	Distinct bool
	Filter   Expr
	Operator bool
}

// Case is CASE WHEN … THEN … ELSE … END.
type Case struct {
	Span
	Whens []When
	Else  Expr // never nil: NULL without ELSE
}

// When is one branch of a Case.
type When struct{ Cond, Then Expr }

// Cast is CAST(… AS type) or ::type.
type Cast struct {
	Span
	Arg  Expr
	Type string // lower case DuckDB name: integer, double, varchar, date, timestamp, …
}

// Window is a window function. Frame is the default (range to the current row, or all without ORDER BY), or Rows from Start to End.
type Window struct {
	Span
	Name      string
	Args      []Expr
	Partition []Expr
	Order     []Order
	Frame     string // "" for the default, else canonical text such as "rows between unbounded preceding and current row"
	Filter    Expr
}

// Exists is EXISTS (query).
type Exists struct {
	Span
	Query Query
}

// InQuery is expr IN (query).
type InQuery struct {
	Span
	Arg   Expr
	Query Query
}

// Interval is INTERVAL n unit: months, days or microseconds.
type Interval struct {
	Span
	Count int64
	Unit  string // year, quarter, month, week, day, hour, minute, second
}

// Place is where the node stands.
func (e *Column) Place() Span { return e.Span }

// Place is where the node stands.
func (e *Star) Place() Span { return e.Span }

// Place is where the node stands.
func (e *Const) Place() Span { return e.Span }

// Place is where the node stands.
func (e *Call) Place() Span { return e.Span }

// Place is where the node stands.
func (e *Case) Place() Span { return e.Span }

// Place is where the node stands.
func (e *Cast) Place() Span { return e.Span }

// Place is where the node stands.
func (e *Window) Place() Span { return e.Span }

// Place is where the node stands.
func (e *Exists) Place() Span { return e.Span }

// Place is where the node stands.
func (e *InQuery) Place() Span { return e.Span }

// Place is where the node stands.
func (e *Interval) Place() Span { return e.Span }

// Bad stands where something was refused, so that the rest of the text can still be judged. It is an expression and a table.
type Bad struct{ Span }

// Place is where the node stands.
func (e *Bad) Place() Span { return e.Span }
