package evidence_test

import (
	"errors"
	"strings"
	"testing"

	"concordat.dev/protocol/evidence"
)

func TestCheck(t *testing.T) {
	good := evidence.Result{Kind: evidence.SGX, Hardware: true, Measurement: "ab", Signer: "cd", Firmware: "UpToDate", Data: []byte{1, 2, 0, 0}}
	want := evidence.Want{Measurement: "ab", Data: []byte{1, 2}}
	if err := good.Check(want, false); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		result func(*evidence.Result)
		want   func(*evidence.Want)
		err    error
	}{
		"software":             {result: func(r *evidence.Result) { r.Hardware = false }, err: evidence.ErrSoftware},
		"measurement":          {want: func(w *evidence.Want) { w.Measurement = "ac" }, err: evidence.ErrMeasurement},
		"no measurement":       {result: func(r *evidence.Result) { r.Measurement = "" }, want: func(w *evidence.Want) { w.Measurement = "" }, err: evidence.ErrMeasurement},
		"data":                 {want: func(w *evidence.Want) { w.Data = []byte{1, 3} }, err: evidence.ErrData},
		"less data than there": {want: func(w *evidence.Want) { w.Data = []byte{1} }, err: evidence.ErrData},
		"more than there":      {want: func(w *evidence.Want) { w.Data = []byte{1, 2, 0, 0, 0} }, err: evidence.ErrData},
		"no data wanted":       {result: func(r *evidence.Result) { r.Data = make([]byte, 4) }, want: func(w *evidence.Want) { w.Data = nil }, err: evidence.ErrData},
		"debug":                {result: func(r *evidence.Result) { r.Debug = true }, err: evidence.ErrDebug},
		"firmware":             {result: func(r *evidence.Result) { r.Firmware = "ConfigurationAndSWHardeningNeeded" }, err: evidence.ErrFirmware},
		"no firmware":          {result: func(r *evidence.Result) { r.Firmware = "" }, err: evidence.ErrFirmware},
	} {
		r, w := good, want
		if c.result != nil {
			c.result(&r)
		}
		if c.want != nil {
			c.want(&w)
		}
		if err := r.Check(w, false); !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", name, err, c.err)
		}
	}
	good.Debug = true
	if s := good.String(); !strings.Contains(s, "debug ON") || !strings.Contains(s, "program ab by signer cd") {
		t.Error(s)
	}
}
