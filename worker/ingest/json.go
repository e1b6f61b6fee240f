package ingest

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// json finds the columns by the names in the first stretch's objects.
func (p *pass) json(first []byte) (int, func(*parser, []byte) *block, error) {
	var names []string
	seen := map[string]bool{}
	r := &objectReader{text: bytes.Clone(first)} // which reading overwrites, and the rows come after
	for r.more() {
		if problem := r.next(); problem != "" {
			continue // it is told as a row's error later
		}
		for _, m := range r.members {
			if !seen[string(m.name)] && len(names) < maxFields {
				seen[string(m.name)] = true
				names = append(names, string(m.name))
			}
		}
	}
	l, err := match(names, p.shape)
	if err = p.found(clip(names), l, err); err != nil {
		return 0, nil, err
	}
	targets := map[string]int{}
	for i, name := range names {
		targets[name] = l.targets[i]
	}
	return 0, func(w *parser, text []byte) *block { return w.json(targets, text) }, nil
}

// json reads a stretch of lines, each an object. Columns that an object lacks are NULL.
func (p *parser) json(targets map[string]int, text []byte) *block {
	b := p.block()
	values := make([]member, len(p.shape.names))
	r := &objectReader{text: text}
	for r.more() {
		b.read++
		problem := r.next()
		clear(values)
		if problem == "" {
			problem = place(r.members, targets, values)
		}
		if problem != "" {
			b.dropped.Bad++
			b.fail(RowError{Row: b.read, Kind: "json", Cause: problem})
			continue
		}
		p.object(b, values)
	}
	return p.finished(b)
}

func place(members []member, targets map[string]int, values []member) (problem string) {
	for _, m := range members {
		target, known := targets[string(m.name)]
		if !known || target < 0 {
			continue
		}
		if values[target].name != nil {
			return "a column's name stands twice in the object"
		}
		values[target] = m
	}
	return ""
}

func (p *parser) object(b *block, values []member) {
	var of person
	if u := p.shape.unit; u >= 0 {
		var then []byte
		if p.shape.then >= 0 {
			then = values[p.shape.then].identifier()
		}
		var ok bool
		if of, ok = p.identify(b, values[u].identifier(), then); !ok {
			return
		}
	}
	p.notes = p.notes[:0]
	for target, c := range b.columns {
		if c == nil {
			continue
		}
		if values[target].nested {
			p.nested(b, target)
			return
		}
		switch o := c.add(values[target].value); o {
		case fine:
		case unfit:
			p.unfit(b, target, values[target].value)
			return
		default:
			p.notes = append(p.notes, note{target, o})
		}
	}
	p.accept(b, of)
}

// nested takes a row back in which an object or list stands for a value.
func (p *parser) nested(b *block, target int) {
	b.dropped.Bad++
	b.fail(RowError{Row: b.read, Column: p.shape.names[target], Kind: "type", Cause: "an object or a list; a column holds texts, numbers, true and false"})
	p.takeBack(b)
}

const (
	maxFields = 4096 // names that are kept
	maxDepth  = 64   // of objects and lists in one another
)

// member is one name and value of an object: a text undone, or a number, true or false as it is written; nothing for null.
type member struct {
	name, value []byte
	nested      bool // an object or list, which no column can hold
}

// identifier gives a value that has no normal form where an object or list stands.
func (m member) identifier() []byte {
	if m.nested {
		return []byte{0xff}
	}
	return m.value
}

// objectReader reads JSON objects (RFC 8259), one a line. The text is overwritten where escapes are undone.
type objectReader struct {
	text    []byte
	pos     int
	members []member
}

// more skips white space and says whether an object follows.
func (r *objectReader) more() bool {
	r.blank()
	for r.pos < len(r.text) && r.text[r.pos] == '\n' {
		r.pos++
		r.blank()
	}
	return r.pos < len(r.text)
}

func (r *objectReader) blank() {
	for r.pos < len(r.text) && (r.text[r.pos] == ' ' || r.text[r.pos] == '\t' || r.text[r.pos] == '\r') {
		r.pos++
	}
}

func (r *objectReader) at(c byte) bool {
	r.blank()
	if r.pos < len(r.text) && r.text[r.pos] == c {
		r.pos++
		return true
	}
	return false
}

const notObject = "not a JSON object on one line"

// next reads one line into members. A problem is a cause for the owner; the reader then stands after the line.
func (r *objectReader) next() (problem string) {
	r.members = r.members[:0]
	if problem = r.object(); problem == "" {
		if r.blank(); r.pos < len(r.text) && r.text[r.pos] != '\n' {
			problem = "something stands behind the object; one object a line"
		}
	}
	for r.pos < len(r.text) {
		r.pos++
		if r.text[r.pos-1] == '\n' {
			break
		}
	}
	return problem
}

func (r *objectReader) object() (problem string) {
	if !r.at('{') {
		return notObject
	}
	if r.at('}') {
		return ""
	}
	for {
		if !r.at('"') {
			return notObject
		}
		name, ok := r.string()
		if !ok || !r.at(':') {
			return notObject
		}
		value, nested, ok := r.value(0)
		if !ok {
			return notObject
		}
		r.members = append(r.members, member{name, value, nested})
		switch {
		case r.at(','):
		case r.at('}'):
			return ""
		default:
			return notObject
		}
	}
}

func (r *objectReader) value(depth int) (value []byte, nested, ok bool) {
	r.blank()
	if r.pos >= len(r.text) || depth > maxDepth {
		return nil, false, false
	}
	switch c := r.text[r.pos]; c {
	case '"':
		r.pos++
		value, ok = r.string()
		return value, false, ok
	case '{', '[':
		return nil, true, r.skip(depth)
	}
	from := r.pos
	for r.pos < len(r.text) && r.text[r.pos] > ' ' && r.text[r.pos] != ',' && r.text[r.pos] != '}' && r.text[r.pos] != ']' {
		r.pos++
	}
	switch value = r.text[from:r.pos]; string(value) {
	case "null":
		return nil, false, true
	case "true", "false":
		return value, false, true
	}
	return value, false, jsonNumber(value)
}

// skip reads an object or list that no column takes.
func (r *objectReader) skip(depth int) bool {
	open := r.text[r.pos]
	closing := byte('}')
	if open == '[' {
		closing = ']'
	}
	if r.pos++; r.at(closing) {
		return true
	}
	for {
		if open == '{' {
			if !r.at('"') {
				return false
			}
			if _, ok := r.string(); !ok || !r.at(':') {
				return false
			}
		}
		if _, _, ok := r.value(depth + 1); !ok {
			return false
		}
		if r.at(closing) {
			return true
		}
		if !r.at(',') {
			return false
		}
	}
}

// string reads a text up to its closing quote, the opening one is read already.
func (r *objectReader) string() (text []byte, ok bool) {
	from, to := r.pos, r.pos
	for r.pos < len(r.text) {
		c := r.text[r.pos]
		r.pos++
		switch {
		case c == '"':
			return r.text[from:to:to], true
		case c < ' ':
			r.pos-- // a line end is the line's end
			return nil, false
		case c == '\\':
			n, ok := r.escape(to)
			if !ok {
				return nil, false
			}
			to = n
		default:
			r.text[to] = c
			to++
		}
	}
	return nil, false
}

// escape undoes what follows a backslash into text[to:], which it never outgrows.
func (r *objectReader) escape(to int) (end int, ok bool) {
	if r.pos >= len(r.text) {
		return to, false
	}
	c := r.text[r.pos]
	r.pos++
	switch c {
	case '"', '\\', '/':
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	case 'u':
		v, ok := r.hex()
		if !ok {
			return to, false
		}
		if utf16.IsSurrogate(v) {
			if r.pos+1 >= len(r.text) || r.text[r.pos] != '\\' || r.text[r.pos+1] != 'u' {
				return to, false
			}
			r.pos += 2
			low, ok := r.hex()
			if v = utf16.DecodeRune(v, low); !ok || v == utf8.RuneError {
				return to, false
			}
		}
		return to + utf8.EncodeRune(r.text[to:to+utf8.UTFMax], v), true
	default:
		return to, false
	}
	r.text[to] = c
	return to + 1, true
}

func (r *objectReader) hex() (rune, bool) {
	if r.pos+4 > len(r.text) {
		return 0, false
	}
	v, err := strconv.ParseUint(string(r.text[r.pos:r.pos+4]), 16, 16)
	r.pos += 4
	return rune(v), err == nil
}

// jsonNumber checks -?int frac? exp?.
func jsonNumber(b []byte) bool {
	digits := func() bool {
		n := 0
		for n < len(b) && digit(b[n]) {
			n++
		}
		b = b[n:]
		return n > 0
	}
	if len(b) > 0 && b[0] == '-' {
		b = b[1:]
	}
	if len(b) > 1 && b[0] == '0' && digit(b[1]) || !digits() {
		return false
	}
	if len(b) > 0 && b[0] == '.' {
		if b = b[1:]; !digits() {
			return false
		}
	}
	if len(b) > 0 && (b[0] == 'e' || b[0] == 'E') {
		if b = b[1:]; len(b) > 0 && (b[0] == '+' || b[0] == '-') {
			b = b[1:]
		}
		return digits() && len(b) == 0
	}
	return len(b) == 0
}
