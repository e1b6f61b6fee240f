package canon

import (
	"strconv"
	"unicode/utf8"
)

// Appender is a value that writes its own canonical form, for those that are written often. It writes exactly what Marshal would, which a
// test beside it proves; false stands for a value that Marshal alone can judge, and then nothing was written.
type Appender interface {
	AppendCanonical(to []byte) ([]byte, bool)
}

const hexDigits = "0123456789abcdef"

// AppendString writes a string as RFC 8785 section 3.2.2.2 has it. What is no UTF-8 becomes U+FFFD, as Marshal does.
func AppendString(to []byte, s string) []byte {
	to = append(to, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				to = append(append(to, s[from:i]...), "\uFFFD"...)
				from = i + 1
			}
			i += n
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		to = append(append(to, s[from:i]...), '\\')
		switch c {
		case '"', '\\':
			to = append(to, c)
		case '\b':
			to = append(to, 'b')
		case '\f':
			to = append(to, 'f')
		case '\n':
			to = append(to, 'n')
		case '\r':
			to = append(to, 'r')
		case '\t':
			to = append(to, 't')
		default:
			to = append(to, 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		from = i
	}
	return append(append(to, s[from:]...), '"')
}

// AppendInt writes an integer; false for one beyond what a double carries exactly, which is written nowhere.
func AppendInt(to []byte, n int64) ([]byte, bool) {
	if n > MaxSafeInteger || n < -MaxSafeInteger {
		return to, false
	}
	return strconv.AppendInt(to, n, 10), true
}

// Append writes v's canonical form, by v's own code where it has some.
func Append(to []byte, v any) ([]byte, error) {
	if a, ok := v.(Appender); ok {
		if out, ok := a.AppendCanonical(to); ok {
			return out, nil
		}
	}
	b, err := Marshal(v)
	return append(to, b...), err
}
