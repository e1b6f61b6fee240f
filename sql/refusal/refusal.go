// Package refusal is the value that says why a query may not run: every reason, each with the place in the text, what the rule
// is and what to write instead. A refusal is not an error: it is the product's answer.
//
// Invariant: a list holds each reason once, and tells them in the order of the text.
//
// Sees: metadata (and pieces of the analyst's own SQL)
package refusal

import "sort"

// Code names a reason (PRIVACY.md section 8).
type Code string

// The codes that a text, its plan and the policies can give, in the order of PRIVACY.md section 8. The others of that section are the
// coordinator's to give, of what it knows without the text: they stand in protocol/answer alone.
const (
	NotOneSelect        Code = "not_one_select"
	UnsupportedSyntax   Code = "unsupported_syntax"
	UnknownRelation     Code = "unknown_relation"
	UnknownColumn       Code = "unknown_column"
	HiddenColumn        Code = "hidden_column"
	IdentifierUse       Code = "identifier_use"
	ColumnUse           Code = "column_use"
	Grain               Code = "grain"
	NotAggregated       Code = "not_aggregated"
	AggregateNotAllowed Code = "aggregate_not_allowed"
	JoinNotOnUnit       Code = "join_not_on_unit"
	NamespaceMismatch   Code = "namespace_mismatch"
	JoinRequired        Code = "join_required"
	JoinBlocked         Code = "join_blocked"
	AntiOverlap         Code = "anti_overlap"
	UnitLost            Code = "unit_lost"
	BoundsMissing       Code = "bounds_missing"
	LimitExceeded       Code = "limit_exceeded"
)

// Span is a range of bytes of the SQL text, end exclusive.
type Span struct {
	Start int `json:"start"`
	End   int `json:"end"`
}

// Cover is the smallest span that holds both; an empty span counts for nothing.
func (s Span) Cover(o Span) Span {
	switch {
	case s.End <= s.Start:
		return o
	case o.End <= o.Start:
		return s
	}
	return Span{min(s.Start, o.Start), max(s.End, o.End)}
}

// Refusal is one reason.
type Refusal struct {
	Code       Code   `json:"code"`
	Owner      string `json:"owner,omitempty"`
	Dataset    string `json:"dataset,omitempty"`
	Column     string `json:"column,omitempty"`
	Rule       string `json:"rule,omitempty"` // the rule of the policy or of PRIVACY.md
	Span       Span   `json:"span"`
	Message    string `json:"message"`
	Suggestion string `json:"suggestion,omitempty"`
}

// List collects refusals; the zero value is ready to use. Equal reasons are kept once.
type List struct {
	all []Refusal
}

// maxRefusals bounds an answer; a text with more reasons has had enough of them.
const maxRefusals = 50

// Add keeps a reason.
func (l *List) Add(r Refusal) {
	if len(l.all) >= maxRefusals {
		return
	}
	for _, have := range l.all {
		if have.Code == r.Code && have.Span == r.Span && have.Column == r.Column && have.Owner == r.Owner {
			return
		}
	}
	l.all = append(l.all, r)
}

// Empty says that nothing was refused.
func (l *List) Empty() bool { return len(l.all) == 0 }

// All are the reasons in the order of the text.
func (l *List) All() []Refusal {
	out := append([]Refusal(nil), l.all...)
	sort.SliceStable(out, func(i, j int) bool { return out[i].Span.Start < out[j].Span.Start })
	return out
}
