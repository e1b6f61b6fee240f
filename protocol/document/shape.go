package document

import (
	"bytes"
	"fmt"
)

// Bounds on the shape of a text before it is parsed. The parser's time grows with the square of some of these, so that a text of MaxSize would keep it
// busy for hours; drafts come from anybody with a role.
const (
	maxLines  = 100_000
	maxLine   = 64 << 10 // bytes
	maxIndent = 256      // columns
	maxFlow   = 32       // brackets that are open at a place
	maxDashes = 64       // "- " in one line
	maxBare   = 12_000   // lines of a dash alone
	maxNames  = 1000     // fields of one mapping
)

// shape looks at a text line by line. It counts brackets and colons outside of quoted text, as far as it can tell what is quoted: after a quote
// that does not end on its line, all count.
type shape struct {
	file     string
	line     int
	unquoted bool             // quotes are not to be trusted any more
	open     int              // brackets that are open
	named    [maxFlow + 1]int // colons in each of them
	bare     int
	names    map[int]int // lines of the mappings that are open, by indentation
}

// checkShape refuses text that is no document of ours and that would keep the parser busy.
func checkShape(file string, text []byte) error {
	s := shape{file: file, names: map[int]int{}}
	for row := range bytes.Lines(text) {
		s.line++
		if err := s.outline(row); err != nil {
			return err
		}
		if err := s.inside(row); err != nil {
			return err
		}
	}
	return nil
}

func (s *shape) refuse(column int, format string, args ...any) error {
	return &SyntaxError{File: s.file, Position: Position{Line: s.line, Column: column + 1}, Message: fmt.Sprintf(format, args...)}
}

// outline judges how a line stands among the others.
func (s *shape) outline(row []byte) error {
	content := bytes.TrimLeft(row, " \t\r\n")
	indent := len(row) - len(content)
	switch {
	case s.line > maxLines:
		return s.refuse(0, "more than %d lines", maxLines)
	case len(row) > maxLine:
		return s.refuse(0, "a line of %d bytes, at most %d; write lists over several lines", len(row), maxLine)
	case len(content) == 0 || content[0] == '#':
		return nil
	case indent > maxIndent:
		return s.refuse(indent, "indented by %d columns, at most %d", indent, maxIndent)
	}
	for deeper := range s.names {
		if deeper > indent {
			delete(s.names, deeper)
		}
	}
	if content[0] != '-' {
		s.names[indent]++
	} else if len(bytes.TrimSpace(content)) == 1 {
		s.bare++
	}
	if s.open == 0 && s.names[indent] > maxNames || s.bare > maxBare {
		return s.refuse(indent, "too many fields or entries of one kind, at most %d fields", maxNames)
	}
	return nil
}

// inside judges brackets, dashes and colons of a line.
func (s *shape) inside(row []byte) error {
	dashes, before := 0, byte(',') // the last character that is no space
	for i := 0; i < len(row); i++ {
		b := row[i]
		spaced := i == 0 || row[i-1] == ' ' || row[i-1] == '\t'
		switch {
		case b == '#' && spaced:
			return nil
		case (b == '\'' || b == '"') && !s.unquoted && bytes.IndexByte([]byte(",[{:-?"), before) >= 0:
			if end := quoteEnd(row, i); end > 0 {
				i, b = end, row[end]
			} else {
				s.unquoted = true
			}
		case b == '[' || b == '{':
			if s.open++; s.open > maxFlow {
				return s.refuse(i, "nested deeper than %d levels", maxDepth)
			}
			s.named[s.open] = 0
		case b == ']' || b == '}':
			s.open = max(0, s.open-1)
		case b == ':' && s.open > 0:
			if s.named[s.open]++; s.named[s.open] > maxNames {
				return s.refuse(i, "more than %d fields in one pair of brackets", maxNames)
			}
		case (b == '-' || b == '?') && spaced && (i+1 == len(row) || row[i+1] == ' ' || row[i+1] == '\t'):
			if dashes++; dashes > maxDashes {
				return s.refuse(i, "nested deeper than %d levels", maxDepth)
			}
		}
		if b != ' ' && b != '\t' && b != '\r' && b != '\n' {
			before = b
		}
	}
	return nil
}

// quoteEnd is where the quoted text that begins at start ends on its line; -1 if it does not.
func quoteEnd(row []byte, start int) int {
	q := row[start]
	for i := start + 1; i < len(row); i++ {
		switch {
		case q == '"' && row[i] == '\\':
			i++
		case row[i] != q:
		case q == '\'' && i+1 < len(row) && row[i+1] == q:
			i++
		default:
			return i
		}
	}
	return -1
}
