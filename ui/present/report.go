package present

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// Report is what an owner is told of an ingest: the fields of the worker's JSON that are shown. Fields of later workers are ignored.
type Report struct {
	Dataset  string `json:"dataset"`
	Version  uint32 `json:"version"`
	Accepted bool   `json:"accepted"`
	Read     int64  `json:"read"`
	Rows     int64  `json:"rows"`
	Units    int64  `json:"units"`
	Columns  []struct {
		Name        string `json:"name"`
		Type        string `json:"type"`
		Nulls       int64  `json:"nulls"`
		OutOfDomain int64  `json:"out_of_domain"`
		NotFinite   int64  `json:"not_finite"`
		OutOfBounds int64  `json:"out_of_bounds"`
	} `json:"columns"`
	Header  []string `json:"header"`
	Ignored []string `json:"ignored"`
	Dropped struct {
		NoUnit        int64 `json:"no_unit"`
		MalformedUnit int64 `json:"malformed_unit"`
		SharedUnit    int64 `json:"shared_unit"`
		Excess        int64 `json:"excess"`
		ExcessUnits   int64 `json:"excess_units"`
		Bad           int64 `json:"bad"`
	} `json:"dropped"`
	Identifiers *struct {
		First   int64 `json:"first"`
		Second  int64 `json:"second"`
		Linked  int64 `json:"linked"`
		Crowded int64 `json:"crowded"`
	} `json:"identifiers"`
	Tolerated   int64 `json:"tolerated"`
	Duplicates  int64 `json:"duplicates"`
	RowsPerUnit *struct {
		P50  int64  `json:"p50"`
		P95  int64  `json:"p95"`
		Max  int64  `json:"max"`
		Hint string `json:"hint"`
	} `json:"rows_per_unit"`
	Errors      []RowError       `json:"errors"`
	ErrorCounts map[string]int64 `json:"error_counts"`
}

// RowError is one bad row.
type RowError struct {
	File   int    `json:"file"`
	Row    int64  `json:"row"`
	Column string `json:"column"`
	Cause  string `json:"cause"`
	Value  string `json:"value"`
}

// ParseReport reads the JSON of a worker's report.
func ParseReport(raw []byte) (Report, error) {
	var r Report
	if err := json.Unmarshal(raw, &r); err != nil {
		return r, fmt.Errorf("read the ingest report: %w", err)
	}
	return r, nil
}

// Write prints the report; its first line says all in short.
func (r Report) Write(w io.Writer) error {
	if !r.Accepted {
		return r.rejected(w)
	}
	fmt.Fprintf(w, "%s accepted: %s of %s\n", Clean(r.Dataset), Count(r.Rows, "row"), Count(r.Units, "unit"))
	if u := r.RowsPerUnit; u != nil && u.Max > 1 {
		fmt.Fprintf(w, "rows of one unit: median %s, 95 %% have at most %s, most %s\n", Integer(u.P50), Integer(u.P95), Integer(u.Max))
		if u.Hint != "" {
			fmt.Fprintf(w, "  %s\n", Clean(u.Hint))
		}
	}
	r.dropped(w)
	r.errors(w)
	if i := r.Identifiers; i != nil {
		fmt.Fprintf(w, "%s by the first identifier, %s by the second as no row says whose it is, %s by the first one beside it in other rows\n", Count(i.First, "row"), Integer(i.Second), Integer(i.Linked))
		if i.Crowded > 0 {
			fmt.Fprintf(w, "%s with too many second ones beside them link nothing; look for placeholders\n", Count(i.Crowded, "first identifier"))
		}
	}
	if len(r.Ignored) > 0 {
		fmt.Fprintf(w, "not read, since hidden or not in the policy: %s\n", Clean(strings.Join(r.Ignored, ", ")))
	}
	g := Grid{Columns: []Column{
		{Name: "column"}, {Name: "type"}, {Name: "missing", Right: true}, {Name: "out of domain (NULL)", Right: true},
		{Name: "not finite (NULL)", Right: true}, {Name: "out of bounds (clamped)", Right: true},
	}}
	for _, c := range r.Columns {
		g.Rows = append(g.Rows, []string{c.Name, c.Type, Integer(c.Nulls), Integer(c.OutOfDomain), Integer(c.NotFinite), Integer(c.OutOfBounds)})
	}
	return g.Write(w)
}

// dropped says how many rows were left out, and why.
func (r Report) dropped(w io.Writer) {
	for _, d := range []struct {
		n    int64
		what string
	}{
		{r.Dropped.NoUnit, "without an identifier were dropped"},
		{r.Dropped.MalformedUnit, "with a malformed identifier were dropped"},
		{r.Dropped.SharedUnit, "with a second identifier that stands beside several first ones were dropped"},
		{r.Dropped.Excess, fmt.Sprintf("beyond the cap of rows of one unit were dropped (%s)", Count(r.Dropped.ExcessUnits, "unit"))},
		{r.Dropped.Bad, fmt.Sprintf("with errors were dropped, %s tolerated", Integer(r.Tolerated))},
	} {
		if d.n > 0 {
			fmt.Fprintf(w, "%s %s\n", Count(d.n, "row"), d.what)
		}
	}
}

func (r Report) rejected(w io.Writer) error {
	var all int64
	kinds := []string{}
	for _, kind := range slices.Sorted(maps.Keys(r.ErrorCounts)) {
		all += r.ErrorCounts[kind]
		kinds = append(kinds, fmt.Sprintf("%s: %s", Clean(kind), Integer(r.ErrorCounts[kind])))
	}
	fmt.Fprintf(w, "%s rejected: %s in %s; the version before stays as it is\n", Clean(r.Dataset), Count(max(all, int64(len(r.Errors))), "error"), Count(r.Read, "row"))
	if len(kinds) > 1 {
		fmt.Fprintf(w, "%s\n", strings.Join(kinds, ", "))
	}
	r.errors(w)
	if len(r.Errors) > 0 && r.Errors[0].Row <= 0 { // the file as a whole is wrong, perhaps its first line
		if len(r.Header) > 0 {
			fmt.Fprintf(w, "its columns, as they were read: %s\n", Clean(strings.Join(r.Header, ", ")))
		}
		left := r
		left.Dropped.Bad = 0 // they are among the errors
		left.dropped(w)
	}
	return nil
}

// errors prints those that are spelled out, and how many more there are.
func (r Report) errors(w io.Writer) {
	var all int64
	for _, n := range r.ErrorCounts {
		all += n
	}
	for _, e := range r.Errors {
		where := "row " + Integer(e.Row)
		if e.Row <= 0 {
			where = "the file"
		}
		if e.File > 0 {
			where = "file " + Integer(int64(e.File)) + ", " + where
		}
		if e.Column != "" {
			where += ", column " + Clean(e.Column)
		}
		fmt.Fprintf(w, "  %s: %s", where, Clean(e.Cause))
		if e.Value != "" {
			fmt.Fprintf(w, ": %s", Clean(e.Value))
		}
		fmt.Fprintln(w)
	}
	if more := all - int64(len(r.Errors)); more > 0 {
		fmt.Fprintf(w, "  and %s more\n", Integer(more))
	}
}
