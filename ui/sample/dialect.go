package sample

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"concordat.dev/protocol/document"
	"concordat.dev/protocol/upload"
)

// layouts are the ways of writing dates as the time package has them.
var layouts = map[string]string{
	upload.ISODate: "2006-01-02", "YYYY/MM/DD": "2006/01/02", "YYYYMMDD": "20060102", "DD.MM.YYYY": "02.01.2006",
	"DD/MM/YYYY": "02/01/2006", "DD-MM-YYYY": "02-01-2006", "MM/DD/YYYY": "01/02/2006",
}

var (
	commaForm = regexp.MustCompile(`^\s*[+-]?\d+,\d+\s*$`)
	groupForm = regexp.MustCompile(`^\s*[+-]?[1-9]\d{0,2},\d{3}\s*$`) // 1,200 may be twelve hundred
	pointForm = regexp.MustCompile(`^\s*[+-]?(\d+\.\d*|\.\d+)([eE][+-]?\d+)?\s*$`)
)

// Fit completes the dialect by what the policy says of the columns: how dates are written, and whether numbers have a decimal comma. It fails with
// ErrAmbiguous where the sample leaves a choice that would change what the rows mean.
func (t *Table) Fit(policy *document.Policy) error {
	var dates, numbers []string
	for name, c := range policy.Columns {
		i := slices.IndexFunc(t.Columns, func(have string) bool { return strings.EqualFold(have, name) })
		if i < 0 || c.Role == "hidden" {
			continue
		}
		switch c.Type {
		case "date", "timestamp":
			dates = append(dates, t.values(i)...)
		case "double", "decimal":
			numbers = append(numbers, t.values(i)...)
		}
	}
	return t.fit(dates, numbers)
}

func (t *Table) fit(dates, numbers []string) error {
	if t.Dialect.Date == "" && len(dates) > 0 {
		switch fitting := datesOf(dates); {
		case len(fitting) == 0 || fitting[0] == upload.ISODate: // what fits nothing is told by ingest, row by row
		case len(fitting) > 1:
			return fmt.Errorf("%w: its dates may be %s; say which with --date", ErrAmbiguous, strings.Join(fitting, " or "))
		default:
			t.Dialect.Date = fitting[0]
		}
	}
	if t.Format == upload.CSV && t.Dialect.Decimal == "" && slices.ContainsFunc(numbers, commaForm.MatchString) && !slices.ContainsFunc(numbers, pointForm.MatchString) {
		if !slices.ContainsFunc(numbers, func(n string) bool { return commaForm.MatchString(n) && !groupForm.MatchString(n) }) {
			return fmt.Errorf("%w: the comma in its numbers (%s) may be a decimal comma or group thousands; say --decimal , or write them without grouping", ErrAmbiguous,
				strings.TrimSpace(numbers[slices.IndexFunc(numbers, groupForm.MatchString)]))
		}
		t.Dialect.Decimal = ","
	}
	return nil
}

// values are the values of a column that are there.
func (t *Table) values(column int) []string {
	var out []string
	for _, row := range t.Rows {
		if v := strings.TrimSpace(row[column]); v != "" {
			out = append(out, v)
		}
	}
	return out
}

// datesOf gives the ways of writing dates in which all values are dates, or dates with a time.
func datesOf(values []string) []string {
	fitting := upload.Dates()
	for _, v := range values {
		fitting = slices.DeleteFunc(fitting, func(pattern string) bool {
			_, ok := date(pattern, v)
			return !ok
		})
		if len(fitting) == 0 {
			break
		}
	}
	return fitting
}

// date reads a date, or the date of a timestamp.
func date(pattern, v string) (time.Time, bool) {
	if len(v) < len(pattern) || len(v) > len(pattern) && v[len(pattern)] != ' ' && v[len(pattern)] != 'T' {
		return time.Time{}, false
	}
	d, err := time.Parse(layouts[pattern], v[:len(pattern)])
	return d, err == nil
}
