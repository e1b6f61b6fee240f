package upload

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestForeignVectors reads the vectors that the upload page reads too (ui/web/src/lib/upload/foreign.test.ts): a start is text whose characters are bytes.
func TestForeignVectors(t *testing.T) {
	raw, err := os.ReadFile("../testdata/foreign.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct{ Start, Advice string }
	if err := json.Unmarshal(raw, &vectors); err != nil {
		t.Fatal(err)
	}
	var starts []string
	for _, v := range vectors {
		var start []byte
		for _, r := range v.Start {
			start = append(start, byte(r))
		}
		starts = append(starts, string(start))
		if got := Foreign(start); got != v.Advice {
			t.Errorf("%q: %q, want %q", start, got, v.Advice)
		}
	}
	for _, f := range foreign {
		if !slices.ContainsFunc(starts, func(s string) bool { return strings.HasPrefix(s, f.start) }) {
			t.Errorf("no vector begins with %q", f.start)
		}
	}
}
