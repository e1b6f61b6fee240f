package mechanism

import "math"

// Expectation is what can be told of a cell's 95 % interval before any data is touched.
type Expectation struct {
	Known  bool // Half is the half width in the cell's unit, whatever the data
	Half   float64
	PerRow float64 // where not Known and above 0: with n rows behind the cell the half width is about, and for large n at most, PerRow / n
	Reason string  // why it is not Known
}

// Expect tells the interval of cell number i of a valid Spec. Clamping at 0 or at bounds can only narrow it.
func (s *Spec) Expect(i int) Expectation {
	c := s.Cells[i]
	if s.Kind == Threshold {
		return s.expectVeiled(c)
	}
	first := s.Columns[c.Columns[0]]
	switch c.Kind {
	case CellCount, CellSum:
		return Expectation{Known: true, Half: Half95(Sigma2(first, s)) * first.Scale}
	case CellAverage:
		return Expectation{
			PerRow: Z95 * math.Hypot(s.sigma(c.Columns[0])*first.Scale, s.reach(c)*s.sigma(c.Columns[1])),
			Reason: "the interval of an average narrows with the rows behind it",
		}
	case CellVariance:
		b, scale := s.reach(c), first.Scale
		return Expectation{
			PerRow: Z95 * math.Hypot(math.Hypot(s.sigma(c.Columns[2])*scale*scale, 2*b*s.sigma(c.Columns[0])*scale), b*b*s.sigma(c.Columns[1])),
			Reason: "the interval of a variance narrows with the rows behind it",
		}
	case CellStddev:
		return Expectation{Reason: "the interval of a standard deviation depends on its value and on the rows behind it"}
	default:
		return Expectation{Reason: "the interval of a quantile depends on how dense the values are around it"}
	}
}

// Sigma is the square root of a column's variance parameter, in steps.
func (s *Spec) sigma(column int) float64 {
	v, _ := Sigma2(s.Columns[column], s).Float64()
	return math.Sqrt(v)
}

// Reach is how far a mean can lie from the midpoint that its column is centred on.
func (s *Spec) reach(c Cell) float64 {
	m := s.Columns[c.Columns[0]].Midpoint
	return math.Max(math.Abs(c.High-m), math.Abs(c.Low-m))
}

func (s *Spec) expectVeiled(c Cell) Expectation {
	first := s.Columns[c.Columns[0]]
	rows := float64(PhantomRows(s))
	switch c.Kind {
	case CellCount:
		if first.Kind != Count {
			rows = 1
		}
		return Expectation{Known: true, Half: PhantomHalf95(rows)}
	case CellSum:
		each := math.Abs(math.Round(PhantomValue(c.Low, c.High) / first.Scale))
		return Expectation{Known: true, Half: PhantomHalf95(rows*each) * first.Scale}
	case CellAverage:
		// d phantom units pull the mean towards their value by at most d rows (high - low) / n; rounding the count scales it, rounding the sum shifts it.
		most := math.Max(math.Abs(c.Low), math.Abs(c.High))
		return Expectation{
			PerRow: PhantomHalf95(rows*(c.High-c.Low)/2/first.Scale)*first.Scale + Base/2*most,
			Reason: "the interval of an average narrows with the rows behind it",
		}
	default:
		return Expectation{Reason: "the interval depends on the values behind it"}
	}
}
