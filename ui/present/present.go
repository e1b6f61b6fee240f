// Package present prints answers, refusals and reports for people and for programs: tables with 95 % intervals beside the
// values, CSV, Arrow IPC streams and Parquet, each from the one JSON answer that a query gives.
//
// Invariant: a table shows nothing that the answer does not hold, and no control character of a value reaches the terminal.
//
// Sees: released aggregates, never rows of datasets
package present

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"concordat.dev/protocol/answer"
	"concordat.dev/protocol/table"
)

// Format is a way to print an answer.
type Format string

// The formats. JSON passes the bytes of the answer through.
const (
	Table   Format = "table"
	JSON    Format = "json"
	CSV     Format = "csv"
	Arrow   Format = "arrow"
	Parquet Format = "parquet"

	// JSONLines is for lists alone: one object a line.
	JSONLines Format = "jsonl"
)

// Formats are all formats.
var Formats = []Format{Table, JSON, CSV, Arrow, Parquet}

// ParseFormat accepts the name of one of the allowed formats.
func ParseFormat(s string, allowed ...Format) (Format, error) {
	if slices.Contains(allowed, Format(s)) {
		return Format(s), nil
	}
	names := make([]string, len(allowed))
	for i, f := range allowed {
		names[i] = string(f)
	}
	return "", fmt.Errorf("unknown format %q: one of %s", s, strings.Join(names, ", "))
}

// Answer prints an answer. In a table everything goes to out; in the other formats out gets the rows alone and remarks
// (refusals, price, notes) go to beside. raw is the JSON of the answer as it came, sql the text that was asked.
func Answer(out, beside io.Writer, f Format, a answer.Answer, raw []byte, sql string) error {
	if f == JSON {
		_, err := fmt.Fprintf(out, "%s\n", raw)
		return err
	}
	switch a.Verdict {
	case answer.Refused:
		target := beside
		if f == Table {
			target = out
		}
		return Refusals(target, a.Refusals, sql)
	case answer.Failed:
		return failure(beside, a)
	}
	if a.Explained {
		return explained(out, a)
	}
	var err error
	switch f {
	case Table:
		err = writeTable(out, a)
		beside = out
	case CSV:
		err = writeCSV(out, a)
	case Arrow:
		err = writeArrow(out, a)
	case Parquet:
		err = writeParquet(out, a)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", f, err)
	}
	remarks(beside, a)
	return nil
}

func writeTable(out io.Writer, a answer.Answer) error {
	g := Grid{}
	for _, c := range a.Columns {
		g.Columns = append(g.Columns, Column{Name: c.Name, Right: c.Kind != answer.Key || numeric(c.Type)})
	}
	for r, row := range a.Rows {
		cells := make([]string, len(row))
		for i, v := range row {
			cells[i] = Value(v, table.Interval(a, r, i))
			if i < len(a.Columns) && a.Columns[i].Kind == answer.Key {
				cells[i] = text(v)
			}
		}
		g.Rows = append(g.Rows, cells)
	}
	return g.Write(out)
}

// remarks says, below a release, what belongs to it: intervals, withheld groups, notes, price and receipt.
func remarks(w io.Writer, a answer.Answer) {
	line := []string{Count(int64(len(a.Rows)), "row")}
	if slices.ContainsFunc(a.Columns, func(c answer.Column) bool { return c.Kind != answer.Key }) {
		line = append(line, "95 % intervals of the noise")
	}
	if a.WithheldPossible {
		line = append(line, "some groups may be withheld")
	}
	if a.Mechanism == "threshold" {
		line = append(line, "threshold mode: not a formal guarantee")
	}
	fmt.Fprintf(w, "%s\n", strings.Join(line, "; "))
	for _, note := range a.Notes {
		fmt.Fprintf(w, "note: %s\n", Clean(note))
	}
	Prices(w, a.Price)
	if a.Receipt != nil {
		fmt.Fprintf(w, "receipt %s, log index %d\n", Clean(a.Receipt.ID), a.Receipt.LogIndex)
	}
}

// Prices prints what each owner's budget pays and what is left of it.
func Prices(w io.Writer, prices []answer.Price) {
	for _, p := range prices {
		parts := []string{}
		if p.Rho > 0 {
			parts = append(parts, "rho "+Short(p.Rho))
		}
		if p.Queries > 0 {
			parts = append(parts, Count(p.Queries, "query"))
		}
		if len(parts) == 0 {
			parts = append(parts, "free")
		}
		if p.RemainingRho != nil {
			parts = append(parts, Short(*p.RemainingRho)+" left")
		}
		if p.EpsilonSpent != nil {
			parts = append(parts, "ε so far "+Short(*p.EpsilonSpent))
		}
		if p.RemainingQueries != nil {
			parts = append(parts, Count(*p.RemainingQueries, "query")+" left")
		}
		if p.AboutMore != nil {
			parts = append(parts, fmt.Sprintf("about %s more like this", Integer(*p.AboutMore)))
		}
		fmt.Fprintf(w, "price: %s/%s %s\n", Clean(p.Owner), Clean(p.Namespace), strings.Join(parts, ", "))
	}
}

// explained prints the columns with the interval that each aggregate is expected to have.
func explained(out io.Writer, a answer.Answer) error {
	g := Grid{Columns: []Column{{Name: "column"}, {Name: "type"}, {Name: "kind"}, {Name: "expected 95 % interval", Right: true}}}
	for i, c := range a.Columns {
		width := "-"
		if i < len(a.Expected) && a.Expected[i] != nil {
			width = around(*a.Expected[i])
		}
		g.Rows = append(g.Rows, []string{Clean(c.Name), c.Type, string(c.Kind), width})
	}
	fmt.Fprintln(out, "would be released; no data was touched, nothing was charged")
	if err := g.Write(out); err != nil {
		return err
	}
	for _, note := range a.Notes {
		fmt.Fprintf(out, "note: %s\n", Clean(note))
	}
	Prices(out, a.Price)
	return nil
}

func failure(w io.Writer, a answer.Answer) error {
	message, incident := "the query failed", "unknown"
	if a.Failure != nil {
		message, incident = a.Failure.Message, a.Failure.Incident
	}
	if _, err := fmt.Fprintf(w, "failed: %s (incident %s)\n", Clean(message), Clean(incident)); err != nil {
		return err
	}
	if len(a.Price) > 0 {
		fmt.Fprintln(w, "a failed query stays charged:")
		Prices(w, a.Price)
	}
	return nil
}

// Count prints n things: "1 query", "2 queries", "3,000 rows".
func Count(n int64, noun string) string {
	switch {
	case n == 1:
		return "1 " + noun
	case strings.HasSuffix(noun, "y") && !strings.HasSuffix(noun, "ey"):
		return Integer(n) + " " + strings.TrimSuffix(noun, "y") + "ies"
	default:
		return Integer(n) + " " + noun + "s"
	}
}
