package present

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Column is one column of a grid.
type Column struct {
	Name  string
	Right bool // numbers
}

// Grid is a table of text. Every row has as many cells as there are columns.
type Grid struct {
	Columns []Column
	Rows    [][]string
	bare    [][]string // rows for programs, where they differ: numbers without separators
}

// Write prints the grid with aligned columns.
func (g Grid) Write(w io.Writer) error {
	widths := make([]int, len(g.Columns))
	header := make([]string, len(g.Columns))
	rule := make([]string, len(g.Columns))
	for i, c := range g.Columns {
		header[i] = Clean(c.Name)
		widths[i] = utf8.RuneCountInString(header[i])
		for _, row := range g.Rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(Clean(row[i])))
		}
		rule[i] = strings.Repeat("─", widths[i])
	}
	b := bufio.NewWriter(w)
	print := func(row []string) {
		line := make([]string, len(row))
		for i, cell := range row {
			cell = Clean(cell)
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if g.Columns[i].Right {
				line[i] = pad + cell
			} else {
				line[i] = cell + pad
			}
		}
		fmt.Fprintln(b, strings.TrimRight(strings.Join(line, "  "), " "))
	}
	print(header)
	print(rule)
	for _, row := range g.Rows {
		print(row)
	}
	return b.Flush()
}

// List prints records that a coordinator gave as a JSON array: as a grid, as CSV, or as the bytes themselves.
func (g Grid) List(w io.Writer, f Format, raw []byte) error {
	switch f {
	case JSON:
		_, err := fmt.Fprintf(w, "%s\n", raw)
		return err
	case JSONLines:
		var records []json.RawMessage
		if err := json.Unmarshal(raw, &records); err != nil {
			return fmt.Errorf("read the list: %w", err)
		}
		for _, r := range records {
			var line bytes.Buffer
			if err := json.Compact(&line, r); err != nil {
				return fmt.Errorf("read the list: %w", err)
			}
			if _, err := fmt.Fprintf(w, "%s\n", line.Bytes()); err != nil {
				return err
			}
		}
		return nil
	case CSV:
		c := csv.NewWriter(w)
		header := make([]string, len(g.Columns))
		for i, column := range g.Columns {
			header[i] = column.Name
		}
		if err := c.Write(header); err != nil {
			return err
		}
		rows := g.Rows
		if g.bare != nil {
			rows = g.bare
		}
		for _, row := range rows {
			safe := make([]string, len(row))
			for i, cell := range row {
				safe[i] = unspreadable(cell)
			}
			if err := c.Write(safe); err != nil {
				return err
			}
		}
		c.Flush()
		return c.Error()
	default:
		return g.Write(w)
	}
}

var number = regexp.MustCompile(`^[+-]?\d+(\.\d+)?([eE][+-]?\d+)?$`)

// unspreadable keeps a spreadsheet from taking what somebody else wrote, such as a query's text, for a formula. Results, whose values have to stay
// what they are, are written as they are.
func unspreadable(cell string) string {
	if cell == "" || !strings.ContainsRune("=+-@\t\r", rune(cell[0])) || number.MatchString(cell) {
		return cell
	}
	return "'" + cell
}

// Object prints any value as indented JSON.
func Object(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// Clean writes control characters, bidirectional overrides and invalid UTF-8 visibly: values of datasets reach terminals here.
func Clean(s string) string { return clean(s, unprintable) }

// CleanLines is Clean for text of several lines: line ends and tabs stay.
func CleanLines(s string) string {
	return clean(s, func(r rune) bool { return r != '\n' && r != '\t' && unprintable(r) })
}

func clean(s string, odd func(rune) bool) string {
	if !strings.ContainsFunc(s, odd) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if odd(r) {
			fmt.Fprintf(&b, "\\u%04x", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func unprintable(r rune) bool {
	return r == utf8.RuneError || unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
}
