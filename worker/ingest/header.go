package ingest

import (
	"fmt"
	"slices"
	"strings"

	"concordat.dev/protocol/upload"
)

// layout maps the fields of a record to columns: targets[i] is the column of field i, -1 for one that is left out.
type layout struct {
	delimiter byte
	quote     byte // 0: there are none
	targets   []int
	unit      int      // field of the identifier
	then      int      // field of the second identifier, -1 without one
	ignored   []string // columns of the file that aren't read, in the file's order
}

// delimiters that are tried, in this order, until the header holds every column of the policy.
const delimiters = ",;\t|"

// readHeader reads the first record of text and finds the policy's columns in it, exactly or else without regard to ASCII case. It gives the names that
// the header has and the length of its text. The error holds none of the names: in a file without a header they are values.
func readHeader(text []byte, s *shape, d upload.Dialect) (l *layout, header []string, n int, err error) {
	var first error
	tried := delimiters
	if d.Delimiter != "" {
		tried = d.Delimiter
	}
	for i := range len(tried) {
		r := recordReader{text: padded(text), delimiter: tried[i], quote: quoteOf(d)}
		if problem := r.next(); problem != "" {
			if first == nil {
				first = fmt.Errorf("%w: the header: %s", ErrFormat, problem)
			}
			continue
		}
		names := make([]string, len(r.fields))
		for k := range r.fields {
			names[k] = strings.TrimSpace(string(r.field(k)))
		}
		l, err := match(names, s)
		if err == nil {
			l.delimiter = tried[i]
			return l, clip(names), r.pos, nil
		}
		if first == nil {
			first, header = err, clip(names)
		}
	}
	return nil, header, 0, first
}

func match(names []string, s *shape) (*layout, error) {
	l := &layout{targets: slices.Repeat([]int{-1}, len(names)), then: -1}
	taken := make([]string, len(s.names))
	// Exact names come first, so that a file may hold both "ID" and "id".
	for _, same := range []func(a, b string) bool{func(a, b string) bool { return a == b }, equalFold} {
		exact := slices.Clone(taken)
		for i, name := range names {
			target := slices.IndexFunc(s.names, func(wanted string) bool { return same(wanted, name) })
			if l.targets[i] >= 0 || target < 0 || exact[target] != "" {
				continue
			}
			if taken[target] != "" {
				return nil, fmt.Errorf("%w: the header names column %q twice (case doesn't tell them apart): rename or remove one", ErrFormat, s.names[target])
			}
			l.targets[i], taken[target] = target, name
			switch target {
			case s.unit:
				l.unit = i
			case s.then:
				l.then = i
			}
		}
	}
	var missing []string
	for i, name := range taken {
		if name == "" {
			missing = append(missing, s.names[i])
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("%w: the header lacks %s: name the columns as the policy does", ErrFormat, strings.Join(missing, ", "))
	}
	for i, target := range l.targets {
		if target < 0 {
			l.ignored = append(l.ignored, names[i])
		}
	}
	return l, nil
}

// equalFold compares ASCII letters without case, all else by bytes, as SQL names do.
func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lowerASCII(a[i]) != lowerASCII(b[i]) {
			return false
		}
	}
	return true
}

func lowerASCII(b byte) byte {
	if 'A' <= b && b <= 'Z' {
		return b + 'a' - 'A'
	}
	return b
}

// clip keeps the report on a file that isn't CSV at all readable.
func clip(names []string) []string {
	out := make([]string, 0, len(names))
	for i, name := range names {
		if i == 50 {
			return append(out, "…")
		}
		if len(name) > 64 {
			name = strings.ToValidUTF8(name[:64], "") + "…"
		}
		out = append(out, name)
	}
	return out
}
