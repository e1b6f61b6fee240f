package answer

// Code names the reason of a refusal.
type Code string

// The codes of PRIVACY.md section 8.
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
	BudgetExhausted     Code = "budget_exhausted"
	NotPermitted        Code = "not_permitted"
	ManifestInactive    Code = "manifest_inactive"
	DatasetMissing      Code = "dataset_missing"
)

// Refusal is one reason why a query was not run, with the place in the SQL and what to do instead.
type Refusal struct {
	Code       Code   `json:"code"`
	Owner      string `json:"owner"`
	Dataset    string `json:"dataset"`
	Column     string `json:"column"`
	Rule       string `json:"rule"` // the field of the policy, or the section of PRIVACY.md
	Span       *Span  `json:"span"` // null where no place in the text is to blame
	Message    string `json:"message"`
	Suggestion string `json:"suggestion"`
}

// Span is a half-open range of bytes in the SQL text.
type Span struct {
	Start int `json:"start"`
	End   int `json:"end"`
}
