package cli

import (
	"bytes"
	"context"
	"strings"
	"testing"
)

// What others wrote steers no terminal, also where a character comes in pieces.
func TestScreen(t *testing.T) {
	var out bytes.Buffer
	s := &screen{w: &out}
	for _, part := range []string{"a\x1b]0;owned\x07\tb\n", "gr\xc3", "\xbcn \u202egip.exe\n", "\r\x1b[2Kall is well\n", "\x9b31m\xff"} {
		if n, err := s.Write([]byte(part)); n != len(part) || err != nil {
			t.Fatal(n, err)
		}
	}
	want := "a\\u001b]0;owned\\u0007\tb\ngrün \\u202egip.exe\n\\u000d\\u001b[2Kall is well\n\\ufffd31m\\ufffd"
	if out.String() != want {
		t.Errorf("got  %q\nwant %q", out.String(), want)
	}
}

func TestErrorsReachTheScreenClean(t *testing.T) {
	var out, errs bytes.Buffer
	if code := Run(context.Background(), []string{"receipt", "show", "\x1b[2J\u202ex"}, Streams{In: strings.NewReader(""), Out: &out, Err: &errs}); code == exitDone {
		t.Error("it was shown")
	}
	if text := errs.String(); strings.ContainsAny(text, "\x1b\u202e") || !strings.Contains(text, `\u001b[2J`) {
		t.Errorf("%q", text)
	}
}
