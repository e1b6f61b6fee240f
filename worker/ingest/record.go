package ingest

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math/bits"
)

// padding is what a text buffer has beyond its end, so that the scan may load eight bytes anywhere.
const padding = 8

// recordReader splits CSV text (RFC 4180: fields in quotes may hold delimiters, line ends and doubled quotes) into records.
// The text ends with a line end and is overwritten where doubled quotes are undone.
type recordReader struct {
	text      []byte // capacity at least len+padding
	delimiter byte
	quote     byte // 0: there are none
	pos       int
	fields    []span
}

// What is wrong with a record, for the owner.
const (
	quoteInside = "a quote inside a field that doesn't begin with one: put the field in quotes, and write each quote in it twice"
	textBehind  = "text after a closing quote: a quote inside quotes is written twice"
	notClosed   = "a quote isn't closed"
)

type span struct{ from, to int }

func (r *recordReader) field(i int) []byte { return r.text[r.fields[i].from:r.fields[i].to] }

// more skips empty lines and says whether a record follows.
func (r *recordReader) more() bool {
	for r.pos < len(r.text) {
		switch c := r.text[r.pos]; {
		case c == '\n', c == '\r' && r.pos+1 < len(r.text) && r.text[r.pos+1] == '\n':
			r.pos++
		default:
			return true
		}
	}
	return false
}

// next reads one record into fields. A problem is a cause for the owner; the reader then stands after the next line end.
func (r *recordReader) next() (problem string) {
	r.fields = r.fields[:0]
	for {
		var end int
		if r.pos < len(r.text) && r.text[r.pos] == r.quote && r.quote != 0 {
			if end, problem = r.quoted(); problem != "" {
				r.skip(end)
				return problem
			}
		} else {
			end = special(r.text, r.pos, r.delimiter, cmp.Or(r.quote, '\n'))
			if end < len(r.text) && r.text[end] == r.quote && r.quote != 0 {
				r.skip(end)
				return quoteInside
			}
			r.fields = append(r.fields, span{r.pos, end})
		}
		if end >= len(r.text) || r.text[end] == '\n' {
			r.pos = end + 1
			last := &r.fields[len(r.fields)-1]
			if last.to == end && last.to > last.from && r.text[last.to-1] == '\r' {
				last.to--
			}
			return ""
		}
		r.pos = end + 1
	}
}

// quoted reads a field in quotes and gives the position of the delimiter or line end after it, or of the trouble.
func (r *recordReader) quoted() (end int, problem string) {
	from := r.pos + 1
	to, read := from, from // text[from:to] is the field so far, undone
	for {
		n := bytes.IndexByte(r.text[read:], r.quote)
		if n < 0 {
			return len(r.text), notClosed
		}
		if to != read {
			copy(r.text[to:], r.text[read:read+n])
		}
		to, read = to+n, read+n+1
		if read < len(r.text) && r.text[read] == r.quote {
			r.text[to] = r.quote
			to, read = to+1, read+1
			continue
		}
		break
	}
	r.fields = append(r.fields, span{from, to})
	if read+1 < len(r.text) && r.text[read] == '\r' && r.text[read+1] == '\n' {
		read++
	}
	if read < len(r.text) && r.text[read] != r.delimiter && r.text[read] != '\n' {
		return read, textBehind
	}
	return read, ""
}

func (r *recordReader) skip(from int) {
	if n := bytes.IndexByte(r.text[min(from, len(r.text)):], '\n'); n >= 0 {
		r.pos = from + n + 1
		return
	}
	r.pos = len(r.text)
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// special finds the next delimiter, line end or quote, eight bytes at a time.
func special(text []byte, from int, delimiter, quote byte) int {
	d, q := uint64(delimiter)*ones, uint64(quote)*ones
	n := len(text)
	padded := text[:n+padding]
	for i := from; i < n; i += 8 {
		w := binary.LittleEndian.Uint64(padded[i:])
		if m := zeros(w^d) | zeros(w^('\n'*ones)) | zeros(w^q); m != 0 {
			return min(i+bits.TrailingZeros64(m)>>3, n)
		}
	}
	return n
}

// zeros marks the lowest zero byte of w (and perhaps higher bytes, wrongly).
func zeros(w uint64) uint64 { return (w - ones) &^ w & highs }
