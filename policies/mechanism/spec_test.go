package mechanism_test

import (
	"errors"
	"math"
	"math/big"
	"testing"

	"concordat.dev/policies/mechanism"
)

func full() *mechanism.Spec {
	centred := column(mechanism.Centred, 205, 5_000_000)
	centred.Midpoint = 59
	square := column(mechanism.Square, 8405, 5_000_000)
	square.Midpoint = 59
	histogram := column(mechanism.Histogram, 5, 5_000_000)
	histogram.Low, histogram.High, histogram.Levels = 18, 100, 8
	s := spec(3, column(mechanism.Units, 1, 5_000_000), column(mechanism.Count, 5, 5_000_000), column(mechanism.Sum, 500, 5_000_000), centred, square, histogram)
	s.Cells = []mechanism.Cell{
		{Kind: mechanism.CellCount, Columns: []int{0}, Integer: true},
		{Kind: mechanism.CellSum, Columns: []int{2}, Low: 0, High: 100},
		{Kind: mechanism.CellAverage, Columns: []int{3, 1}, Low: 18, High: 100},
		{Kind: mechanism.CellVariance, Columns: []int{3, 1, 4}, Low: 18, High: 100},
		{Kind: mechanism.CellQuantile, Columns: []int{5}, Quantile: 0.5, Low: 18, High: 100},
	}
	return s
}

func TestValidate(t *testing.T) {
	if err := full().Validate(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*mechanism.Spec){
		"no mechanism":            func(s *mechanism.Spec) { s.Kind = "" },
		"no units":                func(s *mechanism.Spec) { s.Columns[0].Kind = mechanism.Count },
		"no delta":                func(s *mechanism.Spec) { s.Delta = 0 },
		"free noise":              func(s *mechanism.Spec) { s.Columns[2].Rho = 0 },
		"no sensitivity":          func(s *mechanism.Spec) { s.Columns[2].Sensitivity = nil },
		"negative sensitivity":    func(s *mechanism.Spec) { s.Columns[2].Sensitivity = big.NewInt(-1) },
		"scale of a count":        func(s *mechanism.Spec) { s.Columns[1].Scale = 0.1 },
		"no scale":                func(s *mechanism.Spec) { s.Columns[2].Scale = 0 },
		"centred sum":             func(s *mechanism.Spec) { s.Columns[2].Midpoint = 1 },
		"deep tree":               func(s *mechanism.Spec) { s.Columns[5].Levels = 13 },
		"no L0":                   func(s *mechanism.Spec) { s.GroupsPerUnit = 0 },
		"missing column":          func(s *mechanism.Spec) { s.Cells[0].Columns[0] = 9 },
		"sum of a count":          func(s *mechanism.Spec) { s.Cells[1].Columns[0] = 1 },
		"infinite bounds":         func(s *mechanism.Spec) { s.Cells[1].High = math.Inf(1) },
		"two midpoints":           func(s *mechanism.Spec) { s.Columns[4].Midpoint = 0 },
		"quantile 1":              func(s *mechanism.Spec) { s.Cells[4].Quantile = 1 },
		"domain without a key":    func(s *mechanism.Spec) { s.PublicKeys = true },
		"threshold without k":     func(s *mechanism.Spec) { s.Kind, s.MinUnits = mechanism.Threshold, 0 },
		"threshold without count": func(s *mechanism.Spec) { s.Kind, s.Cells = mechanism.Threshold, s.Cells[1:2] },
		"threshold average centred": func(s *mechanism.Spec) {
			s.Kind, s.Cells = mechanism.Threshold, s.Cells[2:3]
		},
	} {
		s := full()
		spoil(s)
		if err := s.Validate(); !errors.Is(err, mechanism.ErrSpec) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPriceAddsUp(t *testing.T) {
	s := full()
	if got := s.Price(); got != 30_000_000 {
		t.Errorf("six columns of 0.005 cost %d", got)
	}
	if s.Kind = mechanism.Threshold; s.Price() != 0 {
		t.Error("threshold mode has a price in rho")
	}
}

// Expected intervals, with the numbers worked by hand.
func TestExpect(t *testing.T) {
	s := full()
	for i, want := range []mechanism.Expectation{
		{Known: true, Half: 34},                              // 1.96 sqrt(300) - 0.5 up
		{Known: true, Half: math.Ceil(16973.9)},              // 1.96 * 500 sqrt(300)
		{PerRow: 1.959964 * math.Hypot(3550.70, 41*86.6025)}, // 205 sqrt(300), 41 * 5 sqrt(300)
	} {
		got := s.Expect(i)
		if got.Known != want.Known || math.Abs(got.Half-want.Half) > 1 || math.Abs(got.PerRow-want.PerRow) > 1 || got.Known != (got.Reason == "") {
			t.Errorf("cell %d: %+v, not %+v", i, got, want)
		}
	}
	if e := s.Expect(4); e.Known || e.Reason == "" {
		t.Errorf("a quantile's interval is said to be known: %+v", e)
	}
	s.Kind = mechanism.Threshold
	if e := s.Expect(0); !e.Known || e.Half != 6 {
		t.Errorf("units in threshold mode: %+v", e)
	}
}

func TestFromFloatNeverUnderstates(t *testing.T) {
	for _, x := range []float64{0.005, 0.1, 0.3, 1e-9, 1.5e-9, 2.9999999999, 7} {
		r := mechanism.FromFloat(x)
		if r.Float() < x || (r-1).Float() >= x {
			t.Errorf("FromFloat(%g) = %d", x, r)
		}
	}
}
