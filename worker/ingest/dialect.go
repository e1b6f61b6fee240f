package ingest

import (
	"cmp"
	"strings"

	"concordat.dev/protocol/upload"
)

// reading is how scalars are written in one file.
type reading struct {
	pattern          string // of dates
	year, month, day int    // where they begin in a date
	comma            bool   // numbers have a decimal comma
}

func readingOf(d upload.Dialect) reading {
	pattern := cmp.Or(d.Date, upload.ISODate)
	return reading{
		pattern: pattern, year: strings.Index(pattern, "YYYY"), month: strings.Index(pattern, "MM"), day: strings.Index(pattern, "DD"),
		comma: d.Decimal == ",",
	}
}

// number says how numbers are written.
func (r *reading) number() string {
	if r.comma {
		return "not a number like 1234,5, without units or grouped thousands"
	}
	return "not a number like 1234.5, without units or grouped thousands"
}

// date reads a date as the pattern has it.
func (r *reading) date(b []byte) (days int32, ok bool) {
	if r.pattern == upload.ISODate {
		return date(b)
	}
	if len(b) != len(r.pattern) {
		return 0, false
	}
	for i := range b {
		if c := r.pattern[i]; c < 'A' && b[i] != c { // what stands between
			return 0, false
		}
	}
	return day(b[r.year:r.year+4], b[r.month:r.month+2], b[r.day:r.day+2])
}

// timestamp reads such a date with a time after it.
func (r *reading) timestamp(b []byte) (micros int64, ok bool) {
	n := len(r.pattern)
	if len(b) <= n {
		return 0, false
	}
	days, ok := r.date(b[:n])
	if !ok {
		return 0, false
	}
	return clock(days, b[n:])
}

func (r *reading) double(b []byte) (v float64, ok bool) {
	if !r.comma {
		return double(b)
	}
	var room [64]byte
	text := append(room[:0], b...)
	for i, c := range text {
		switch c {
		case ',':
			text[i] = '.'
		case '.':
			return 0, false // thousands aren't grouped
		}
	}
	return double(text)
}
