package cli

import (
	"io"
	"unicode/utf8"

	"concordat.dev/ui/present"
)

// screen is what people read: whatever others wrote (names, reasons, SQL, errors of a mesh that is not trusted) reaches it without the
// characters that steer a terminal or turn text around. Lines and tabs stay.
type screen struct {
	w    io.Writer
	rest []byte // the beginning of a character whose end is still to come
}

// Write implements io.Writer.
func (s *screen) Write(b []byte) (int, error) {
	text := append(s.rest, b...)
	s.rest = nil
	for cut := max(0, len(text)-utf8.UTFMax+1); cut < len(text); cut++ {
		if utf8.RuneStart(text[cut]) && !utf8.FullRune(text[cut:]) {
			s.rest, text = append([]byte(nil), text[cut:]...), text[:cut]
			break
		}
	}
	if _, err := io.WriteString(s.w, present.CleanLines(string(text))); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Fd tells of the file below, if there is one.
func (s *screen) Fd() uintptr {
	if file, ok := s.w.(interface{ Fd() uintptr }); ok {
		return file.Fd()
	}
	return ^uintptr(0)
}

// unscreened is the writer below a screen, for the colours and the line of progress that this program makes itself.
func unscreened(w io.Writer) io.Writer {
	if s, ok := w.(*screen); ok {
		return s.w
	}
	return w
}
