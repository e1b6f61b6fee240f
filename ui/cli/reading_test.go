package cli

import (
	"testing"

	"concordat.dev/protocol/upload"
)

func TestTolerance(t *testing.T) {
	for text, want := range map[string]upload.Tolerance{"": {}, "20": {Rows: 20}, "0.5%": {Share: 0.005}, "0": {}} {
		if got, err := parseTolerance(text); err != nil || got != want {
			t.Errorf("%q: %+v %v", text, got, err)
		}
	}
	for _, text := range []string{"-1", "many", "101%", "%", "NaN%", "0.5"} {
		if got, err := parseTolerance(text); err == nil {
			t.Errorf("%q is %+v", text, got)
		}
	}
}
