// Package answer is the JSON object that a query gives, to the command line, the web and the wire alike.
//
// Invariant: lists are never null in JSON; Rows and Intervals have one entry a column; nothing here tells how many groups were withheld.
//
// Sees: plaintext rows of releases (aggregates with noise), never rows of datasets
package answer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"concordat.dev/protocol/canon"
)

// Verdict is the outcome of a query.
type Verdict string

// The verdicts (PRIVACY.md section 8). With Explained, Released means: would be executed.
const (
	Released Verdict = "released"
	Refused  Verdict = "refused"
	Failed   Verdict = "failed"
)

// ExitCode is the exit code of the command line: 0 released, 3 refused, 1 all else.
func (v Verdict) ExitCode() int {
	switch v {
	case Released:
		return 0
	case Refused:
		return 3
	default:
		return 1
	}
}

// ColumnKind says what a column of the answer holds.
type ColumnKind string

// The kinds: a group key, an aggregate with noise, or arithmetic over released values.
const (
	Key       ColumnKind = "key"
	Aggregate ColumnKind = "aggregate"
	Derived   ColumnKind = "derived"
)

// Answer is the one object that `--format json` prints.
type Answer struct {
	Verdict   Verdict   `json:"verdict"`
	QueryID   string    `json:"query_id"`
	Explained bool      `json:"explained,omitempty"` // judged and priced only; no data was touched
	Refusals  []Refusal `json:"refusals"`
	Columns   []Column  `json:"columns"`
	// Rows hold null, bool, number or string. Integers beyond 2^53-1 and decimals are strings; dates are "2006-01-02", timestamps RFC 3339.
	Rows [][]any `json:"rows"`
	// Intervals holds, for each row and column, the 95 % interval of the value, or null for keys and where none can be told.
	Intervals [][]*Interval `json:"intervals"`
	// Expected is set by explain: for each column the 95 % interval around the true value ([-34, 34]), or null.
	Expected         []*Interval `json:"expected_intervals,omitempty"`
	Mechanism        string      `json:"mechanism"` // differential_privacy | threshold | "" when refused before it was known
	WithheldPossible bool        `json:"withheld_possible"`
	Price            []Price     `json:"price"`
	Receipt          *ReceiptRef `json:"receipt"` // null in the sandbox, for refusals and explanations
	Notes            []string    `json:"notes"`   // what the reader must know, from plan and policy alone: bounds that can bite, assumptions
	Failure          *Failure    `json:"failure,omitempty"`
	// Rowless says of an explanation that the answer has no rows whatever is released, as with LIMIT 0. It stays inside the coordinator.
	Rowless bool `json:"-"`
}

// Column is one column of the result. Type is the SQL type in lower case.
type Column struct {
	Name string     `json:"name"`
	Type string     `json:"type"`
	Kind ColumnKind `json:"kind"`
}

// Interval is [low, high], both inclusive.
type Interval [2]float64

// Price is what one owner's namespace pays. Pointers are null where they do not apply (threshold has no rho left, differential
// privacy no queries) or where the ledger has not been asked.
type Price struct {
	Owner            string   `json:"owner"`
	Namespace        string   `json:"namespace"`
	Rho              float64  `json:"rho"`
	RemainingRho     *float64 `json:"remaining_rho"` // after this query, in the period and for the lifetime, whichever is less
	EpsilonSpent     *float64 `json:"epsilon_spent"` // at the policy's delta, over the lifetime, this query included
	Queries          int64    `json:"queries,omitempty"`
	RemainingQueries *int64   `json:"remaining_queries,omitempty"`
	AboutMore        *int64   `json:"about_more,omitempty"` // about so many more queries like this one
}

// ReceiptRef names the receipt of a release and its leaf in the log.
type ReceiptRef struct {
	ID       string `json:"id"`
	LogIndex int64  `json:"log_index"`
}

// Failure is the one constant message of a failed query; Incident finds it in the worker's log.
type Failure struct {
	Message  string `json:"message"`
	Incident string `json:"incident"`
}

// Result is the part of an answer that a receipt binds by digest.
type Result struct {
	Columns          []Column      `json:"columns"`
	Rows             [][]any       `json:"rows"`
	Intervals        [][]*Interval `json:"intervals"`
	Mechanism        string        `json:"mechanism"`
	WithheldPossible bool          `json:"withheld_possible"`
	Notes            []string      `json:"notes"`
}

// Result takes the bound part of the answer.
func (a Answer) Result() Result {
	return Result{
		Columns: list(a.Columns), Rows: list(a.Rows), Intervals: list(a.Intervals), Mechanism: a.Mechanism,
		WithheldPossible: a.WithheldPossible, Notes: list(a.Notes),
	}
}

// Marshal writes the result as canonical JSON: the bytes whose digest the receipt binds.
func (r Result) Marshal() ([]byte, error) { return canon.Marshal(r) }

// MarshalJSON writes empty lists instead of null.
func (a Answer) MarshalJSON() ([]byte, error) {
	type plain Answer
	p := plain(a)
	p.Refusals, p.Columns, p.Rows = list(a.Refusals), list(a.Columns), list(a.Rows)
	p.Intervals, p.Price, p.Notes = list(a.Intervals), list(a.Price), list(a.Notes)
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(p); err != nil {
		return nil, fmt.Errorf("write answer: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// MaxSize is the size of the JSON of an answer that Parse reads.
const MaxSize = 64 << 20

// Parse reads an answer; numbers in Rows are json.Number, so that no digit is lost. Unknown fields are refused.
func Parse(b []byte) (Answer, error) {
	if len(b) > MaxSize {
		return Answer{}, fmt.Errorf("read answer: %d bytes, at most %d", len(b), MaxSize)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	d.DisallowUnknownFields()
	var a Answer
	if err := d.Decode(&a); err != nil {
		return Answer{}, fmt.Errorf("read answer: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Answer{}, errors.New("read answer: bytes after the object")
	}
	return a, nil
}

func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
