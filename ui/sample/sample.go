// Package sample reads the beginning of an owner's file on the owner's own machine: enough to tell how the file is written, and to draft a policy
// for it.
//
// Invariant: nothing of what it reads leaves the machine but names of columns and how the file is written; a drafted policy also holds the values of
// columns that it proposes as dimensions, and goes nowhere before its owner has signed it.
//
// Sees: plaintext rows (of the owner, on the owner's machine)
package sample

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"concordat.dev/protocol/upload"
)

const (
	maxBytes = 16 << 20
	maxRows  = 50_000
)

var (
	// ErrUnread says that a file cannot be read as a table.
	ErrUnread = errors.New("not a file of rows")
	// ErrAmbiguous says that a file can be read in more than one way.
	ErrAmbiguous = errors.New("it can be read in more than one way")
)

// Table is the beginning of a file: its columns and, for texts, its first rows. A missing value is the empty text.
type Table struct {
	Format  string // upload.CSV and so on
	Dialect upload.Dialect
	Columns []string
	Rows    [][]string
	Whole   bool // there are no more rows
}

// Read reads the beginning of a file. Given says what is known of how it is written; names are the columns of a file without a header. Of Parquet and Arrow
// files it tells the format only.
func Read(r io.Reader, given upload.Dialect, names []string) (*Table, error) {
	b := bufio.NewReaderSize(r, 1<<16)
	switch start, _ := b.Peek(8); {
	case len(start) == 0:
		return nil, fmt.Errorf("%w: it is empty", ErrUnread)
	case bytes.HasPrefix(start, []byte("PAR1")):
		return &Table{Format: upload.Parquet}, nil
	case bytes.HasPrefix(start, []byte("ARROW1")), bytes.HasPrefix(start, []byte{0xff, 0xff, 0xff, 0xff}):
		return &Table{Format: upload.Arrow}, nil
	}
	text, whole, err := beginning(b, given.Encoding)
	if err != nil {
		return nil, err
	}
	t := &Table{Format: upload.CSV, Dialect: given, Whole: whole}
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		t.Format = upload.JSONLines
		return t, t.json(text)
	}
	return t, t.csv(text, names)
}

// beginning unpacks and decodes the first lines of a text.
func beginning(b *bufio.Reader, encoding string) (text []byte, whole bool, err error) {
	var in io.Reader = b
	switch start, _ := b.Peek(4); {
	case bytes.HasPrefix(start, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, false, fmt.Errorf("%w: gzip: %w", ErrUnread, err)
		}
		in = z
	case bytes.HasPrefix(start, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(128<<20))
		if err != nil {
			return nil, false, fmt.Errorf("%w: zstd: %w", ErrUnread, err)
		}
		defer z.Close()
		in = z
	}
	text, err = io.ReadAll(io.LimitReader(in, maxBytes+1))
	if err != nil && in != io.Reader(b) {
		return nil, false, fmt.Errorf("%w: it can't be unpacked: %w; it was cut off or damaged, or has something behind its end: pack it again", ErrUnread, err)
	} else if err != nil {
		return nil, false, fmt.Errorf("read: %w", err)
	}
	if other := upload.Foreign(text[:min(len(text), 1<<10)]); other != "" {
		return nil, false, fmt.Errorf("%w: %s", ErrUnread, other)
	}
	switch {
	case bytes.HasPrefix(text, []byte{0xff, 0xfe}), bytes.HasPrefix(text, []byte{0xfe, 0xff}):
		whole = len(text) <= maxBytes
		text, err = unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM).NewDecoder().Bytes(text[:len(text)&^1])
	case encoding == upload.Windows1252:
		whole = len(text) <= maxBytes
		text, err = charmap.Windows1252.NewDecoder().Bytes(text)
	default:
		whole = len(text) <= maxBytes
	}
	if err != nil {
		return nil, false, fmt.Errorf("%w: %w", ErrUnread, err)
	}
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	if !whole {
		text = text[:bytes.LastIndexByte(text, '\n')+1]
	}
	if encoding == "" && !utf8.Valid(text) {
		return nil, false, fmt.Errorf("%w: it isn't UTF-8; say --encoding windows-1252 if it is that (Latin-1 is part of it), or save it as UTF-8", ErrAmbiguous)
	}
	if len(text) == 0 {
		return nil, false, fmt.Errorf("%w: it is empty, or its first line is longer than 16 MiB", ErrUnread)
	}
	return text, whole, nil
}

func (t *Table) csv(text []byte, names []string) error {
	delimiters := []string{",", ";", "\t", "|"}
	if t.Dialect.Delimiter != "" {
		delimiters = []string{t.Dialect.Delimiter}
	}
	if line, _, _ := bytes.Cut(text, []byte("\n")); bytes.Count(line[:max(len(line)-1, 0)], []byte("\r")) > bytes.Count(line, []byte{'"'}) {
		return fmt.Errorf("%w: its lines end with carriage returns alone; save it with LF or CRLF", ErrUnread)
	}
	var best [][]string
	for _, d := range delimiters {
		rows, err := t.records(text, d)
		if err != nil && len(rows) < 2 {
			continue
		}
		if best == nil || regular(rows) > regular(best) {
			best, t.Dialect.Delimiter = rows, d
		}
	}
	if len(best) == 0 {
		return fmt.Errorf("%w: no line of fields", ErrUnread)
	}
	if t.Dialect.NoHeader {
		if len(names) != len(best[0]) {
			return fmt.Errorf("%w: %d names were given for %d fields", ErrUnread, len(names), len(best[0]))
		}
		t.Columns, t.Rows = names, best
	} else {
		t.Columns, t.Rows = best[0], best[1:]
		for i := range t.Columns {
			t.Columns[i] = strings.TrimSpace(t.Columns[i])
		}
	}
	if len(t.Columns) == 1 && t.Columns[0] == "" {
		return fmt.Errorf("%w: its first line is blank", ErrUnread)
	}
	t.Rows = slices.DeleteFunc(t.Rows, func(row []string) bool { return len(row) != len(t.Columns) })
	return nil
}

// records reads rows as far as they can be read.
func (t *Table) records(text []byte, delimiter string) (rows [][]string, err error) {
	quote := t.Dialect.Quote
	other := map[string]byte{"'": '\'', upload.NoQuote: 0}[quote]
	if quote == "'" || quote == upload.NoQuote { // the standard library knows one quote: exchange them, and back
		text = exchange(text, other)
	}
	r := csv.NewReader(bytes.NewReader(text))
	r.Comma, r.FieldsPerRecord, r.LazyQuotes, r.ReuseRecord = rune(delimiter[0]), -1, true, false
	for len(rows) < maxRows+1 {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return rows, err
		}
		if quote == "'" || quote == upload.NoQuote {
			for i := range row {
				row[i] = string(exchange([]byte(row[i]), other))
			}
		}
		rows = append(rows, row)
	}
	t.Whole = false
	return rows, nil
}

func exchange(text []byte, with byte) []byte {
	out := bytes.Clone(text)
	for i, c := range out {
		switch c {
		case '"':
			out[i] = with
		case with:
			out[i] = '"'
		}
	}
	return out
}

// regular is how many fields the rows have if they all have as many as the first, less where they do not.
func regular(rows [][]string) float64 {
	if len(rows) == 0 {
		return 0
	}
	same := 0
	for _, row := range rows {
		if len(row) == len(rows[0]) {
			same++
		}
	}
	return float64(len(rows[0])) * float64(same) / float64(len(rows))
}

// json reads the lines that are objects; what the others are, the worker tells the owner line by line, and some may be tolerated.
func (t *Table) json(text []byte) error {
	at := map[string]int{}
	t.Dialect.Delimiter = ""
	for line := range bytes.Lines(text) {
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		if len(t.Rows) == maxRows {
			t.Whole = false
			break
		}
		d := json.NewDecoder(bytes.NewReader(line))
		d.UseNumber()
		var object map[string]any
		if d.Decode(&object) != nil {
			continue
		}
		var row []string
		for _, name := range order(line, object) {
			i, known := at[name]
			if !known {
				i = len(t.Columns)
				at[name] = i
				t.Columns = append(t.Columns, name)
			}
			for len(row) <= i {
				row = append(row, "")
			}
			row[i] = plain(object[name])
		}
		t.Rows = append(t.Rows, row)
	}
	for i, row := range t.Rows {
		t.Rows[i] = append(row, make([]string, len(t.Columns)-len(row))...)
	}
	if len(t.Columns) == 0 {
		return fmt.Errorf("%w: no line of it is a JSON object that has fields", ErrUnread)
	}
	return nil
}

// order gives an object's names as they stand in the text.
func order(line []byte, object map[string]any) []string {
	names := make([]string, 0, len(object))
	for name := range object {
		names = append(names, name)
	}
	place := func(name string) int {
		quoted, _ := json.Marshal(name) // a string always marshals
		return bytes.Index(line, quoted)
	}
	slices.SortFunc(names, func(a, b string) int {
		if d := place(a) - place(b); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	return names
}

func plain(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return fmt.Sprint(v)
	}
	b, _ := json.Marshal(v) // it came from JSON
	return string(b)
}
