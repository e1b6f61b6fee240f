package canon_test

import (
	"math"
	"testing"

	"concordat.dev/protocol/canon"
)

func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "plain", "\x00\x01\x1f\x7f\"\\/\b\f\n\r\t", "<&>\u2028\u2029\u00e9\U0001F600", "\xff\xc0\xaf\xed\xa0\x80cut\xe2\x82"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want, err := canon.Marshal(s)
		if err != nil {
			t.Skip(err)
		}
		if got := canon.AppendString(nil, s); string(got) != string(want) {
			t.Errorf("%q: %s, want %s", s, got, want)
		}
	})
}

func TestAppendInt(t *testing.T) {
	for _, n := range []int64{0, -1, 42, canon.MaxSafeInteger, -canon.MaxSafeInteger} {
		want, err := canon.Marshal(n)
		if got, ok := canon.AppendInt(nil, n); !ok || err != nil || string(got) != string(want) {
			t.Errorf("%d: %s %t, want %s %v", n, got, ok, want, err)
		}
	}
	for _, n := range []int64{canon.MaxSafeInteger + 1, math.MinInt64} {
		if got, ok := canon.AppendInt([]byte("x"), n); ok || string(got) != "x" {
			t.Errorf("%d was written: %s", n, got)
		}
	}
}
