package cli

import (
	"bytes"
	"testing"
)

// A program that runs this one is told of an upload by lines; a file or a pipe by itself is told nothing.
func TestProgressInLines(t *testing.T) {
	for value, want := range map[string]string{"lines": "progress 1 2\nprogress 2 2\n", "": ""} {
		t.Setenv(progressLines, value)
		var said bytes.Buffer
		p := newProgress(&said)
		p.phase("execute")
		p.bytes(1, 0, 2)
		p.bytes(2, 0, 2)
		p.clear()
		if said.String() != want {
			t.Errorf("%q: %q", value, said.String())
		}
	}
}
