package software_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"concordat.dev/protocol/evidence"
	"concordat.dev/protocol/evidence/software"
)

func TestSoftwareQuotes(t *testing.T) {
	h, err := software.NewHardware()
	if err != nil {
		t.Fatal(err)
	}
	want := evidence.Want{Measurement: "abcd", Data: []byte("digest")}
	quote := func(measurement string, debug bool, data string) evidence.Evidence {
		e, err := h.Quote(measurement, debug, []byte(data))
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	verify := func(e evidence.Evidence, simulation bool) error {
		r, err := evidence.Verify([]evidence.Verifier{h.Verifier()}, e, time.Time{})
		if err != nil {
			return err
		}
		return r.Check(want, simulation)
	}
	for name, c := range map[string]struct {
		e          evidence.Evidence
		simulation bool
		want       error
	}{
		"good":          {quote("abcd", false, "digest"), true, nil},
		"not hardware":  {quote("abcd", false, "digest"), false, evidence.ErrSoftware},
		"other program": {quote("abce", false, "digest"), true, evidence.ErrMeasurement},
		"other data":    {quote("abcd", false, "digest2"), true, evidence.ErrData},
		"debug":         {quote("abcd", true, "digest"), true, evidence.ErrDebug},
		"not hex":       {quote("x", false, "digest"), true, evidence.ErrMalformed},
		"other kind":    {evidence.Evidence{Kind: evidence.SGX}, true, evidence.ErrKind},
		"too large":     {evidence.Evidence{Kind: evidence.Software, Report: make([]byte, evidence.MaxReport+1)}, true, evidence.ErrMalformed},
	} {
		if err := verify(c.e, c.simulation); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	good := quote("abcd", false, "digest")
	for i := range good.Report {
		changed := good
		changed.Report = bytes.Clone(good.Report)
		changed.Report[i] ^= 1
		if verify(changed, true) == nil {
			t.Fatalf("byte %d is not bound", i)
		}
	}
	if _, err := h.Quote("abcd", false, make([]byte, 65)); err == nil {
		t.Error("signed more data than fits")
	}
}
