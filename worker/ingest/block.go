package ingest

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"concordat.dev/worker/token"
)

// block is what one stretch of text became. Rows in it count from 1 within the stretch.
type block struct {
	columns []column // nil in the unit's place
	tokens  tokens
	by      []identifier // which identifier each row counts under; nil where there is one only
	links   []link
	sources []int32 // row of the text that each row came from
	read    int64
	counts  []ColumnReport
	dropped Dropped
	errors  []RowError
	kinds   map[string]int64
	err     error // the piece as a whole can't be read
}

// batch gives the rows as Arrow; the block is spent.
func (b *block) batch(s *shape) arrow.RecordBatch {
	arrays := make([]arrow.Array, len(b.columns))
	for i, c := range b.columns {
		if c == nil {
			arrays[i] = b.tokens.finish()
		} else {
			arrays[i] = c.finish()
		}
		defer arrays[i].Release()
	}
	return array.NewRecordBatch(s.schema, arrays, int64(len(b.sources)))
}

// keep drops the rows that are false.
func (b *block) keep(rows []bool) {
	for _, c := range b.columns {
		if c != nil {
			c.keep(rows)
		}
	}
	b.sources = compact(b.sources, rows)
	if b.tokens != nil {
		b.tokens = compact(b.tokens, rows)
	}
	if b.by != nil {
		b.by = compact(b.by, rows)
	}
}

func (b *block) fail(e RowError) {
	b.kinds[e.Kind]++
	if len(b.errors) < shownErrors {
		b.errors = append(b.errors, e)
	}
}

// parser turns stretches of text into blocks; one a goroutine.
type parser struct {
	shape      *shape
	reading    reading
	tokenizer  *token.Tokenizer
	second     *token.Tokenizer // of the second identifier
	show       bool
	room       int // rows to expect
	reader     recordReader
	notes      []note
	canonical  []byte
	identifier []byte
	further    []byte
}

// note is what happened to a field and counts only if its row stays.
type note struct {
	column int
	what   outcome
}

// block makes a block with room for the rows that are expected.
func (p *parser) block() *block {
	b := p.bare()
	for i := range b.columns {
		if i != p.shape.unit {
			b.columns[i] = p.column(i, p.room)
		}
	}
	return b
}

// bare makes a block whose columns are still to be made.
func (p *parser) bare() *block {
	n := len(p.shape.columns())
	b := &block{columns: make([]column, n), counts: make([]ColumnReport, n), kinds: map[string]int64{}, sources: make([]int32, 0, p.room)}
	if p.shape.unit >= 0 {
		b.tokens = make(tokens, 0, p.room)
	}
	return b
}

func (p *parser) column(i, room int) column {
	return newColumn(p.shape.types[i], p.shape.checks[i], room, p.reading)
}

// csv reads a stretch of a CSV file.
func (p *parser) csv(l *layout, text []byte) *block {
	b := p.block()
	r := &p.reader
	r.text, r.pos, r.delimiter, r.quote = text, 0, l.delimiter, l.quote
	for r.more() {
		b.read++
		if problem := r.next(); problem != "" {
			b.dropped.Bad++
			b.fail(RowError{Row: b.read, Kind: "quote", Cause: problem})
			continue
		}
		if len(r.fields) != len(l.targets) {
			b.dropped.Bad++
			b.fail(RowError{Row: b.read, Kind: "fields", Cause: "it has " + strconv.Itoa(len(r.fields)) + " fields, the header " + strconv.Itoa(len(l.targets)) + "; a field that holds the delimiter has to be in quotes"})
			continue
		}
		p.row(b, l)
	}
	return p.finished(b)
}

func (p *parser) finished(b *block) *block {
	p.room = max(p.room, len(b.sources)+len(b.sources)/8)
	return b
}

// row takes the record that was read into the block, wholly or not at all.
func (p *parser) row(b *block, l *layout) {
	var of person
	if p.shape.unit >= 0 {
		var then []byte
		if l.then >= 0 {
			then = p.reader.field(l.then)
		}
		var ok bool
		if of, ok = p.identify(b, p.reader.field(l.unit), then); !ok {
			return
		}
	}
	p.notes = p.notes[:0]
	for i, target := range l.targets {
		if target < 0 || target == p.shape.unit || target == p.shape.then {
			continue
		}
		switch o := b.columns[target].add(p.reader.field(i)); o {
		case fine:
		case unfit:
			p.unfit(b, target, p.reader.field(i))
			return
		default:
			p.notes = append(p.notes, note{target, o})
		}
	}
	p.accept(b, of)
}

// identify gives the token of the row's unit, by the first of its identifiers that has a normal form; without one the row is dropped.
func (p *parser) identify(b *block, first, then []byte) (of person, ok bool) {
	if len(first) > 0 {
		of.unit, ok = p.token(p.tokenizer, p.shape.types[p.shape.unit], first)
	}
	if len(then) > 0 {
		second, fit := p.token(p.second, p.shape.types[p.shape.then], then)
		switch {
		case fit && ok:
			of.second, of.both = second, true
		case fit:
			of.unit, of.by, ok = second, bySecond, true
		}
	}
	switch {
	case ok:
	case len(first) == 0 && len(then) == 0:
		b.dropped.NoUnit++
	default:
		b.dropped.MalformedUnit++
	}
	return of, ok
}

// unfit takes a row back of which a value has the wrong type.
func (p *parser) unfit(b *block, target int, value []byte) {
	b.dropped.Bad++
	b.fail(RowError{Row: b.read, Column: p.shape.names[target], Kind: "type", Cause: b.columns[target].cause() + missing(value), Value: p.quote(value)})
	p.takeBack(b)
}

// takeBack drops what was read of a row.
func (p *parser) takeBack(b *block) {
	for _, c := range b.columns {
		if c != nil {
			c.truncate(len(b.sources))
		}
	}
}

// missing tells how a missing value is written to whom wrote it as a word.
func missing(value []byte) string {
	switch strings.ToLower(string(bytes.TrimSpace(value[:min(len(value), 16)]))) {
	case "null", "none", "nil", "na", "n/a", "#n/a", "nan", "-", "--", ".", "?", `\n`, "missing", "unknown":
		return "; leave a missing value empty"
	}
	return ""
}

// accept ends a row that stays.
func (p *parser) accept(b *block, of person) {
	for _, n := range p.notes {
		b.counts[n.column].count(n.what)
	}
	if p.shape.unit >= 0 {
		b.tokens = append(b.tokens, of.unit)
	}
	if p.shape.then >= 0 {
		b.by = append(b.by, of.by)
		if of.both {
			b.links = append(b.links, link{of.second, of.unit})
		}
	}
	b.sources = append(b.sources, int32(b.read))
}

// token makes the token of an identifier, whose number or uuid is brought to its one spelling first.
func (p *parser) token(tokenizer *token.Tokenizer, kind string, field []byte) (token.Token, bool) {
	switch kind {
	case "integer", "bigint":
		v, ok := integer(strip(field))
		if !ok {
			return token.Token{}, false
		}
		field = strconv.AppendInt(p.canonical[:0], v, 10)
		p.canonical = field
	case "uuid":
		var ok bool
		if field, ok = uuid(p.canonical[:0], strip(field)); !ok {
			return token.Token{}, false
		}
		p.canonical = field
	}
	return tokenizer.Token(field)
}

func (p *parser) quote(field []byte) string {
	if !p.show {
		return ""
	}
	if len(field) > 64 {
		return strconv.Quote(strings.ToValidUTF8(string(field[:64]), "")) + "…"
	}
	return strconv.Quote(string(field))
}

func (r *ColumnReport) count(o outcome) {
	switch o {
	case null:
		r.Nulls++
	case outOfDomain:
		r.OutOfDomain++
	case notFinite:
		r.NotFinite++
	case outOfBounds:
		r.OutOfBounds++
	}
}
