package cli

import (
	"strings"
	"testing"
	"time"
)

func TestProgressIsForTerminals(t *testing.T) {
	var b strings.Builder
	p := newProgress(&b)
	p.bytes(1, 0, 2)
	p.phase("seal")
	p.clear()
	if b.Len() > 0 {
		t.Errorf("a file gets %q", b.String())
	}
	p = &progress{w: &b, live: true, started: time.Now()}
	p.bytes(1, 0, 2)
	p.bytes(1, 0, 2) // at most ten a second
	p.bytes(2, 0, 2) // but the last one
	if got := strings.Count(b.String(), clearLine); got != 2 || !strings.Contains(b.String(), "2 B of 2 B (100 %)") {
		t.Errorf("drawn %d times: %q", got, b.String())
	}
}

// A program that runs this one is told of an upload by lines of their own.
func TestProgressInLines(t *testing.T) {
	t.Setenv(progressLines, "lines")
	var b strings.Builder
	p := newProgress(&b)
	p.phase("seal")
	p.bytes(1, 0, 2)
	p.bytes(2, 0, 2)
	p.clear()
	if got, want := b.String(), "progress 1 2\nprogress 2 2\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
