package upload

import (
	"fmt"
	"slices"
	"strings"
)

// The formats of files.
const (
	CSV       = "csv"     // RFC 4180 and its dialects, with a header line unless the dialect says otherwise
	JSONLines = "jsonl"   // one JSON object a line, UTF-8
	Parquet   = "parquet" // flat columns
	Arrow     = "arrow"   // IPC stream or file
)

// Texts, CSV and JSONLines, may be packed with gzip or zstd, which their first bytes tell.

// The encodings of text.
const (
	UTF8        = "utf-8"
	UTF16       = "utf-16" // in either order, as the byte order mark says
	Windows1252 = "windows-1252"
)

// ISODate is how dates are written where a dialect does not say otherwise.
const ISODate = "YYYY-MM-DD"

// NoQuote as a dialect's quote says that quotes are ordinary characters.
const NoQuote = "none"

// Dates are the ways in which a dialect may say that dates are written, also those in timestamps, which go on with a space or T and the time.
func Dates() []string {
	return []string{ISODate, "YYYY/MM/DD", "YYYYMMDD", "DD.MM.YYYY", "DD/MM/YYYY", "DD-MM-YYYY", "MM/DD/YYYY"}
}

// Dialect is how a text file is written. An empty field means the usual; it is signed with the upload, so that the file means what its owner saw.
type Dialect struct {
	Delimiter string `json:"delimiter,omitempty"` // one character: , ; tab or | , which is found by the header when empty
	Quote     string `json:"quote,omitempty"`     // " or ' or NoQuote
	NoHeader  bool   `json:"no_header,omitempty"` // the first line is a row; the statement's columns name the fields
	Encoding  string `json:"encoding,omitempty"`  // UTF8, UTF16 or Windows1252
	Date      string `json:"date,omitempty"`      // one of Dates
	Decimal   string `json:"decimal,omitempty"`   // . or ,
}

// Validate says what is wrong with d, in an error that matches ErrInvalid.
func (d Dialect) Validate() error {
	for _, f := range []struct {
		name, value string
		allowed     []string
	}{
		{"delimiter", d.Delimiter, []string{",", ";", "\t", "|"}},
		{"quote", d.Quote, []string{"\"", "'", NoQuote}},
		{"encoding", d.Encoding, []string{UTF8, UTF16, Windows1252}},
		{"date", d.Date, Dates()},
		{"decimal", d.Decimal, []string{".", ","}},
	} {
		if f.value != "" && !slices.Contains(f.allowed, f.value) {
			return fmt.Errorf("%w: %s %.40q: it is one of %q", ErrInvalid, f.name, f.value, f.allowed)
		}
	}
	return nil
}

func (s Statement) validateFormat() error {
	if all := []string{CSV, JSONLines, Parquet, Arrow}; !slices.Contains(all, s.Format) {
		return fmt.Errorf("%w: format %.40q: it is one of %s", ErrInvalid, s.Format, strings.Join(all, ", "))
	}
	if s.Dialect != nil {
		if s.Format != CSV && (*s.Dialect != Dialect{Date: s.Dialect.Date, Encoding: s.Dialect.Encoding} || s.Format != JSONLines) {
			return fmt.Errorf("%w: a %s file has no such dialect", ErrInvalid, s.Format)
		}
		if err := s.Dialect.Validate(); err != nil {
			return err
		}
	}
	parts := 0
	for i, n := range s.Files {
		if n < 1 || n > MaxParts {
			return fmt.Errorf("%w: file %d has %d parts", ErrInvalid, i+1, n)
		}
		parts += n
	}
	if len(s.Files) > 0 && (parts != len(s.Parts) || len(s.Files) > MaxParts) {
		return fmt.Errorf("%w: the files have %d parts, the upload %d", ErrInvalid, parts, len(s.Parts))
	}
	return nil
}
