package parse

import "concordat.dev/sql/refusal"

// token is a lexeme of the text; the lexer exists only to find where expressions end, since the parser tells where they begin.
type token struct {
	start, end int
	kind       byte // 'i' identifier or keyword, 'q' quoted identifier, 's' string, 'n' number, or the operator's first byte
}

// tokens splits a text like DuckDB's lexer does, as far as extents go. It never fails: a byte that begins nothing is a token of its own.
func tokens(text string) []token {
	var out []token
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v':
			i++
			continue
		case c == '-' && i+1 < len(text) && text[i+1] == '-':
			for i < len(text) && text[i] != '\n' {
				i++
			}
			continue
		case c == '/' && i+1 < len(text) && text[i+1] == '*':
			i = endOfComment(text, i)
			continue
		}
		end, kind := lexeme(text, i)
		out = append(out, token{i, end, kind})
		i = end
	}
	return out
}

func endOfComment(text string, i int) int {
	depth := 0
	for i < len(text) {
		switch {
		case i+1 < len(text) && text[i] == '/' && text[i+1] == '*':
			depth++
			i += 2
		case i+1 < len(text) && text[i] == '*' && text[i+1] == '/':
			depth--
			i += 2
			if depth == 0 {
				return i
			}
		default:
			i++
		}
	}
	return i
}

func lexeme(text string, i int) (end int, kind byte) {
	c := text[i]
	switch {
	case c == '\'':
		return endOfQuoted(text, i, '\''), 's'
	case c == '"':
		return endOfQuoted(text, i, '"'), 'q'
	case letter(c):
		j := i + 1
		for j < len(text) && (letter(text[j]) || digit(text[j]) || text[j] == '$') {
			j++
		}
		return j, 'i'
	case digit(c) || c == '.' && i+1 < len(text) && digit(text[i+1]):
		j := i + 1
		for j < len(text) && (digit(text[j]) || letter(text[j]) || text[j] == '.' ||
			(text[j] == '-' || text[j] == '+') && (text[j-1] == 'e' || text[j-1] == 'E')) {
			j++
		}
		return j, 'n'
	}
	for _, op := range []string{"!~~", "->>", "::", "<=", ">=", "<>", "!=", "||", "->", "~~", "**", "//", ":="} {
		if len(text)-i >= len(op) && text[i:i+len(op)] == op {
			return i + len(op), c
		}
	}
	return i + 1, c
}

func endOfQuoted(text string, i int, quote byte) int {
	for j := i + 1; j < len(text); j++ {
		if text[j] != quote {
			continue
		}
		if j+1 < len(text) && text[j+1] == quote {
			j++
			continue
		}
		return j + 1
	}
	return len(text)
}

func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' || c >= 0x80 }
func digit(c byte) bool  { return c >= '0' && c <= '9' }

// source answers where things end.
type source struct {
	text   string
	tokens []token
	at     map[int]int // start offset -> index of its token
}

func newSource(text string) *source {
	s := &source{text: text, tokens: tokens(text), at: map[int]int{}}
	for i, t := range s.tokens {
		s.at[t.start] = i
	}
	return s
}

// all is the whole text without surrounding space.
func (s *source) all() refusal.Span {
	if len(s.tokens) == 0 {
		return refusal.Span{Start: 0, End: len(s.text)}
	}
	return refusal.Span{Start: s.tokens[0].start, End: s.tokens[len(s.tokens)-1].end}
}

// token is the lexeme that begins at an offset; false when none does.
func (s *source) token(offset int) (refusal.Span, bool) {
	i, ok := s.at[offset]
	if !ok {
		return refusal.Span{}, false
	}
	return refusal.Span{Start: s.tokens[i].start, End: s.tokens[i].end}, true
}

// name is a dotted name that begins at an offset: a.b.c.
func (s *source) name(offset int) refusal.Span {
	i, ok := s.at[offset]
	if !ok {
		return refusal.Span{}
	}
	end := s.tokens[i].end
	for i+2 < len(s.tokens) && s.tokens[i+1].kind == '.' {
		i += 2
		end = s.tokens[i].end
	}
	return refusal.Span{Start: offset, End: end}
}

// call is name(…), with a FILTER (…) and an OVER (…) that follow, or the bare name.
func (s *source) call(offset int) refusal.Span {
	span := s.name(offset)
	i, ok := s.index(span.End)
	if !ok || s.tokens[i].kind != '(' {
		return span
	}
	i = s.closing(i)
	span.End = s.tokens[i].end
	for i+1 < len(s.tokens) {
		word := s.word(i + 1)
		if word != "filter" && word != "over" {
			break
		}
		next := i + 2
		if next < len(s.tokens) && s.tokens[next].kind == '(' {
			next = s.closing(next)
		}
		if next >= len(s.tokens) {
			break
		}
		i, span.End = next, s.tokens[next].end
	}
	return span
}

// index is the first token at or behind an offset.
func (s *source) index(offset int) (int, bool) {
	lo, hi := 0, len(s.tokens)
	for lo < hi {
		mid := (lo + hi) / 2
		if s.tokens[mid].start < offset {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo, lo < len(s.tokens)
}

// closing is the token that closes the parenthesis at i, or the last token.
func (s *source) closing(i int) int {
	depth := 0
	for ; i < len(s.tokens); i++ {
		switch s.tokens[i].kind {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return len(s.tokens) - 1
}

// through is the range from an offset to the end of the word that closes it: CASE … END.
func (s *source) through(offset int, opening, closing string) refusal.Span {
	i, ok := s.at[offset]
	if !ok {
		return refusal.Span{}
	}
	depth := 0
	for ; i < len(s.tokens); i++ {
		switch s.word(i) {
		case opening:
			depth++
		case closing:
			if depth--; depth == 0 {
				return refusal.Span{Start: offset, End: s.tokens[i].end}
			}
		}
	}
	return refusal.Span{Start: offset, End: len(s.text)}
}

// word is an unquoted word in lower case, or "".
func (s *source) word(i int) string {
	if i < 0 || i >= len(s.tokens) || s.tokens[i].kind != 'i' {
		return ""
	}
	b := []byte(s.text[s.tokens[i].start:s.tokens[i].end])
	for j, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[j] = c | 0x20
		}
	}
	return string(b)
}

// find is the first place of a word, or of an operator byte, else the whole text.
func (s *source) find(word string) refusal.Span {
	for i := range s.tokens {
		if s.word(i) == word {
			return refusal.Span{Start: s.tokens[i].start, End: s.tokens[i].end}
		}
	}
	return s.all()
}

// foreign are the identifiers that are not ASCII.
func (s *source) foreign() []refusal.Span {
	var out []refusal.Span
	for _, t := range s.tokens {
		if t.kind != 'i' && t.kind != 'q' {
			continue
		}
		for _, c := range []byte(s.text[t.start:t.end]) {
			if c >= 0x80 {
				out = append(out, refusal.Span{Start: t.start, End: t.end})
				break
			}
		}
	}
	return out
}
