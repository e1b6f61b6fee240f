// Package plan is the typed form of one query: relations over datasets, with every name resolved to a column by its position.
// A plan is what is judged, priced and executed; its digest is the same for two texts that mean the same to the planner.
//
// Invariant: nothing of a plan depends on names that the text gave; two plans of one digest compute the same columns.
//
// Sees: metadata
package plan

import "concordat.dev/sql/refusal"

// Span is a range of bytes of the text.
type Span = refusal.Span

// Column is a column of a relation.
type Column struct {
	Name string
	Type Type
}

// Relation is a node of a plan. The expressions of a node read the columns of its input; those of a join read the left columns and
// then the right ones.
type Relation interface {
	Schema() []Column
	Place() Span
	Inputs() []Relation
}

// Scan reads a dataset, all of its columns in the order of their names.
type Scan struct {
	Span
	Dataset string
	Columns []Column
}

// Filter keeps the rows for which every condition is true.
type Filter struct {
	Input Relation
	Conds []Expr
}

// Project computes one row from each.
type Project struct {
	Input Relation
	Exprs []Expr
	Names []string
}

// JoinKind is the kind of a join.
type JoinKind string

// The kinds of joins. Semi and Anti keep rows of the left that have, or do not have, a match; their schema is the left one.
const (
	Inner JoinKind = "inner"
	Left  JoinKind = "left"
	Semi  JoinKind = "semi"
	Anti  JoinKind = "anti"
)

// Join pairs the rows of two relations for which every condition of On is true.
type Join struct {
	Span
	Kind        JoinKind
	Left, Right Relation
	On          []Expr
}

// Union is UNION ALL.
type Union struct {
	Span
	Parts []Relation
}

// Aggregate groups by Keys: its columns are the keys, then the aggregates. Distinct says that the text wrote DISTINCT.
type Aggregate struct {
	Span
	Input    Relation
	Keys     []Expr
	Aggs     []Agg
	Names    []string
	Distinct bool
}

// Agg is one aggregate function. Func: count (Arg nil for count(*)), count_distinct, sum, avg, min, max, quantile, stddev_samp,
// stddev_pop, var_samp, var_pop.
type Agg struct {
	Span
	Func     string
	Arg      Expr
	Filter   Expr
	Quantile float64
	T        Type
}

// Window adds one column for each function to its input.
type Window struct {
	Input Relation
	Funcs []WindowFunc
}

// WindowFunc is a window function. Func: row_number, rank, dense_rank, lag, lead, first_value, count, sum, min, max, avg.
type WindowFunc struct {
	Span
	Func      string
	Args      []Expr
	Partition []Expr
	Order     []OrderKey
	Frame     string // "" the default, else the frame's text
	Filter    Expr
	T         Type
}

// OrderKey is a key of an order; NULLs last unless NullsFirst.
type OrderKey struct {
	Expr       Expr
	Descending bool
	NullsFirst bool
}

// Sort orders rows, Limit cuts them.
type Sort struct {
	Input Relation
	Keys  []OrderKey
}

// Limit keeps Count rows (all when -1) behind the first Offset.
type Limit struct {
	Span
	Input         Relation
	Count, Offset int64
}

// Opaque stands for a relation that was refused: nothing is known of its columns.
type Opaque struct{ Span }

// Released is the leaf that takes the place of the release in the part of a plan above it.
type Released struct{ Columns []Column }

// Schema are the columns of the relation.
func (r *Scan) Schema() []Column { return r.Columns }

// Schema are the columns of the relation.
func (r *Filter) Schema() []Column { return r.Input.Schema() }

// Schema are the columns of the relation.
func (r *Project) Schema() []Column {
	out := make([]Column, len(r.Exprs))
	for i, e := range r.Exprs {
		out[i] = Column{r.Names[i], e.Type()}
	}
	return out
}

// Schema are the columns of the relation.
func (r *Join) Schema() []Column {
	if r.Kind == Semi || r.Kind == Anti {
		return r.Left.Schema()
	}
	return append(append([]Column{}, r.Left.Schema()...), r.Right.Schema()...)
}

// Schema are the columns of the relation.
func (r *Union) Schema() []Column { return r.Parts[0].Schema() }

// Schema are the columns of the relation.
func (r *Aggregate) Schema() []Column {
	var out []Column
	for i, k := range r.Keys {
		out = append(out, Column{r.Names[i], k.Type()})
	}
	for i, a := range r.Aggs {
		out = append(out, Column{r.Names[len(r.Keys)+i], a.T})
	}
	return out
}

// Schema are the columns of the relation.
func (r *Window) Schema() []Column {
	out := append([]Column{}, r.Input.Schema()...)
	for _, f := range r.Funcs {
		out = append(out, Column{f.Func, f.T})
	}
	return out
}

// Schema are the columns of the relation.
func (r *Sort) Schema() []Column { return r.Input.Schema() }

// Schema are the columns of the relation.
func (r *Limit) Schema() []Column { return r.Input.Schema() }

// Schema are the columns of the relation.
func (r *Opaque) Schema() []Column { return nil }

// Schema are the columns of the relation.
func (r *Released) Schema() []Column { return r.Columns }

// Inputs are the relations that it reads.
func (r *Scan) Inputs() []Relation { return nil }

// Inputs are the relations that it reads.
func (r *Filter) Inputs() []Relation { return []Relation{r.Input} }

// Inputs are the relations that it reads.
func (r *Project) Inputs() []Relation { return []Relation{r.Input} }

// Inputs are the relations that it reads.
func (r *Join) Inputs() []Relation { return []Relation{r.Left, r.Right} }

// Inputs are the relations that it reads.
func (r *Union) Inputs() []Relation { return r.Parts }

// Inputs are the relations that it reads.
func (r *Aggregate) Inputs() []Relation { return []Relation{r.Input} }

// Inputs are the relations that it reads.
func (r *Window) Inputs() []Relation { return []Relation{r.Input} }

// Inputs are the relations that it reads.
func (r *Sort) Inputs() []Relation { return []Relation{r.Input} }

// Inputs are the relations that it reads.
func (r *Limit) Inputs() []Relation { return []Relation{r.Input} }

// Inputs are the relations that it reads.
func (r *Opaque) Inputs() []Relation { return nil }

// Inputs are the relations that it reads.
func (r *Released) Inputs() []Relation { return nil }

// Place is where the relation stands.
func (r *Scan) Place() Span { return r.Span }

// Place is where the relation stands.
func (r *Filter) Place() Span { return r.Input.Place() }

// Place is where the relation stands.
func (r *Project) Place() Span { return r.Input.Place() }

// Place is where the relation stands.
func (r *Join) Place() Span { return r.Span }

// Place is where the relation stands.
func (r *Union) Place() Span { return r.Span }

// Place is where the relation stands.
func (r *Aggregate) Place() Span { return r.Span }

// Place is where the relation stands.
func (r *Window) Place() Span { return r.Input.Place() }

// Place is where the relation stands.
func (r *Sort) Place() Span { return r.Input.Place() }

// Place is where the relation stands.
func (r *Limit) Place() Span { return r.Span }

// Place is where the relation stands.
func (r *Opaque) Place() Span { return r.Span }

// Place is where the relation stands.
func (r *Released) Place() Span { return Span{} }

// Scans are the dataset ids that a plan reads, each once, in order of first use.
func Scans(r Relation) []string {
	var out []string
	seen := map[string]bool{}
	var visit func(Relation)
	visit = func(r Relation) {
		if s, ok := r.(*Scan); ok && !seen[s.Dataset] {
			seen[s.Dataset] = true
			out = append(out, s.Dataset)
		}
		for _, in := range r.Inputs() {
			visit(in)
		}
	}
	visit(r)
	return out
}
