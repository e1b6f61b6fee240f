package present

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"concordat.dev/protocol/answer"
)

// Refusals prints every reason with the line of the SQL that it is about, the rule that says so, and what to write instead.
func Refusals(w io.Writer, all []answer.Refusal, sql string) error {
	if _, err := fmt.Fprintf(w, "refused for %s; nothing was touched, nothing was charged\n", Count(int64(len(all)), "reason")); err != nil {
		return err
	}
	for i, r := range all {
		fmt.Fprintf(w, "\n%d. %s: %s\n", i+1, r.Code, Clean(r.Message))
		if r.Span != nil {
			quote(w, sql, *r.Span)
		}
		var about []string
		for _, field := range [][2]string{{"owner", r.Owner}, {"dataset", r.Dataset}, {"column", r.Column}, {"rule", r.Rule}} {
			if field[1] != "" {
				about = append(about, field[0]+" "+Clean(field[1]))
			}
		}
		if len(about) > 0 {
			fmt.Fprintf(w, "   %s\n", strings.Join(about, ", "))
		}
		if r.Suggestion != "" {
			fmt.Fprintf(w, "   instead: %s\n", Clean(r.Suggestion))
		}
	}
	return nil
}

// longest part of a line that is shown before and after the span.
const contextRunes = 60

// quote prints the line that holds the start of the span, with carets below the span (to the end of the line at most).
func quote(w io.Writer, sql string, s answer.Span) {
	if s.Start < 0 || s.Start > len(sql) || s.End < s.Start || s.End > len(sql) {
		return
	}
	start := strings.LastIndexByte(sql[:s.Start], '\n') + 1
	end := len(sql)
	if i := strings.IndexByte(sql[s.Start:], '\n'); i >= 0 {
		end = s.Start + i
	}
	number := strings.Count(sql[:s.Start], "\n") + 1
	before := tail(visible(sql[start:s.Start]), contextRunes)
	span := visible(sql[s.Start:min(s.End, end)])
	after := head(visible(sql[min(s.End, end):end]), contextRunes)
	span = head(span, 2*contextRunes)
	prefix := fmt.Sprintf("   line %d: ", number)
	fmt.Fprintf(w, "%s%s%s%s\n", prefix, before, span, after)
	fmt.Fprintf(w, "%s%s\n", strings.Repeat(" ", utf8.RuneCountInString(prefix+before)), strings.Repeat("^", max(1, utf8.RuneCountInString(span))))
}

// visible keeps one column a character: tabs become a space, control characters a mark.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\r':
			return ' '
		case unprintable(r):
			return '·'
		}
		return r
	}, s)
}

func head(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

func tail(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return "…" + string(r[len(r)-n+1:])
	}
	return s
}
