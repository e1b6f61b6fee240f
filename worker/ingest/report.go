package ingest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// shownErrors is how many errors are spelled out; the rest is counted.
const shownErrors = 20

// Report is what the owner, and nobody else, is told about an ingest. Errors of this package may be logged, a report may not: with
// Options.ShowValues, or in a file without a header, it holds values.
type Report struct {
	Dataset     string           `json:"dataset"`
	Accepted    bool             `json:"accepted"`
	Read        int64            `json:"read"`  // rows in the file, without the header
	Rows        int64            `json:"rows"`  // rows that stay
	Units       int64            `json:"units"` // different units among them
	Columns     []ColumnReport   `json:"columns"`
	Header      []string         `json:"header"`    // the names in the file's first record, at most 50
	Ignored     []string         `json:"ignored"`   // columns of the file that weren't read: hidden, or not in the policy
	Tolerated   int64            `json:"tolerated"` // bad rows that might be left out
	Dropped     Dropped          `json:"dropped"`
	Duplicates  int64            `json:"duplicates"` // rows of a unique dataset whose unit came before
	RowsPerUnit *RowsPerUnit     `json:"rows_per_unit,omitempty"`
	Identifiers *Identifiers     `json:"identifiers,omitempty"` // where the policy names two
	Errors      []RowError       `json:"errors"`                // the first 20 by row
	ErrorCounts map[string]int64 `json:"error_counts"`
}

// ColumnReport counts what became of one column's values in the rows that were fit, before the cap on rows of a unit.
type ColumnReport struct {
	Name        string `json:"name"`
	Type        string `json:"type"`
	Nulls       int64  `json:"nulls"`         // missing in the file
	OutOfDomain int64  `json:"out_of_domain"` // became NULL
	NotFinite   int64  `json:"not_finite"`    // became NULL
	OutOfBounds int64  `json:"out_of_bounds"` // kept, clamped by each query
}

// Dropped counts the rows that don't stay.
type Dropped struct {
	NoUnit        int64 `json:"no_unit"`        // the identifier is missing
	MalformedUnit int64 `json:"malformed_unit"` // the identifier has no normal form
	SharedUnit    int64 `json:"shared_unit"`    // only a second identifier, which stands beside several first ones
	Excess        int64 `json:"excess"`         // beyond the cap of rows of one unit
	ExcessUnits   int64 `json:"excess_units"`   // units that had such rows
	Bad           int64 `json:"bad"`            // rows with errors, where some are tolerated
}

// Identifiers counts rows by what they count under.
type Identifiers struct {
	First   int64 `json:"first"`   // rows under their first identifier
	Second  int64 `json:"second"`  // rows under their second one: no row of the dataset says whose it is
	Linked  int64 `json:"linked"`  // rows with a second one only, under the one first identifier that it stands beside in another row
	Crowded int64 `json:"crowded"` // first identifiers with too many second ones to be believed; they link nothing
}

// RowsPerUnit tells how many rows the units have, after the cap.
type RowsPerUnit struct {
	P50  int64  `json:"p50"`
	P90  int64  `json:"p90"`
	P95  int64  `json:"p95"`
	P99  int64  `json:"p99"`
	Max  int64  `json:"max"`
	Hint string `json:"hint,omitempty"` // for rows_per_group; empty where each unit has one row
}

// RowError is one bad row. Row counts from 1 in its file, the header isn't counted.
type RowError struct {
	File   int    `json:"file,omitempty"` // from 2; the first file isn't named
	Row    int64  `json:"row"`
	Column string `json:"column,omitempty"`
	Kind   string `json:"kind"` // fields | quote | json | type | duplicate, or of the file as a whole, without a row: file | change
	Cause  string `json:"cause"`
	Value  string `json:"value,omitempty"` // quoted, at most 64 bytes; empty unless Options.ShowValues
}

// Refuse makes the report that of a file which is not taken; the reason comes before what was found in rows.
func (r *Report) Refuse(reason RowError) {
	r.Accepted = false
	reason.Cause = strings.Replace(reason.Cause, ErrFormat.Error()+": ", "", 1)
	r.Errors = slices.Insert(r.Errors, 0, reason)
	if len(r.Errors) > shownErrors {
		r.Errors = r.Errors[:shownErrors]
	}
	if r.ErrorCounts == nil {
		r.ErrorCounts = map[string]int64{}
	}
	r.ErrorCounts[reason.Kind]++
}

func (e RowError) String() string {
	text := fmt.Sprintf("row %d", e.Row)
	if e.Row == 0 {
		text = "the file"
	}
	if e.File > 0 {
		text = fmt.Sprintf("file %d, row %d", e.File, e.Row)
	}
	if e.Column != "" {
		text += ", column " + e.Column
	}
	text += ": " + e.Cause
	if e.Value != "" {
		text += ": " + e.Value
	}
	return text
}

// quantiles reads them off a histogram of rows per unit.
func quantiles(histogram map[int64]int64) *RowsPerUnit {
	var units int64
	for _, n := range histogram {
		units += n
	}
	if units == 0 {
		return nil
	}
	sizes := slices.Sorted(maps.Keys(histogram))
	at := func(percent int64) int64 {
		rank, seen := (units*percent+99)/100, int64(0)
		for _, size := range sizes {
			if seen += histogram[size]; seen >= rank {
				return size
			}
		}
		return sizes[len(sizes)-1]
	}
	r := &RowsPerUnit{P50: at(50), P90: at(90), P95: at(95), P99: at(99), Max: sizes[len(sizes)-1]}
	if r.Max == 1 {
		return r
	}
	r.Hint = fmt.Sprintf("rows_per_group: %d would count 95 %% of the units in full even if all their rows fell into one group; fewer give less noise", r.P95)
	return r
}
