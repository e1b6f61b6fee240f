// Package steady judges a process that runs for long: whether what it takes grows without end, and what explains the bytes on a coordinator's disk.
//
// Invariant: nothing here asks the process what it should take; log entries are counted in the files of the log.
//
// Sees: ciphertext, sizes
package steady

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Point is one measurement: what was measured (Y) when this much time had passed, or this much been stored (X).
type Point struct{ X, Y float64 }

// Line is the least-squares line through measurements, with how far its slope may be from the true one.
type Line struct {
	Slope  float64
	Within float64 // with a chance of one in a thousand the true slope lies further away than this
	Span   float64 // of X
	Level  float64 // mean of Y
}

// buckets is how many means of neighbours a line is drawn through: neighbours go with the same wave of load, and so are no independent measurements.
const buckets = 16

// quantile is that of Student's t for buckets-2 degrees of freedom at 0.9995: outside of it, on either side, lies one in a thousand.
const quantile = 4.140

// Fit draws the line through measurements of several times, each with a level of its own: it is their common slope. It needs two points a bucket; a
// time with less is passed by.
func Fit(times ...[]Point) (Line, error) {
	var points []Point
	all := mean(slices.Concat(times...))
	for _, own := range times {
		if len(own) < 2*buckets {
			continue
		}
		at := mean(own)
		for _, p := range own {
			points = append(points, Point{p.X - at.X, p.Y - at.Y + all.Y})
		}
	}
	if len(points) == 0 {
		return Line{}, fmt.Errorf("no %d measurements of one time", 2*buckets)
	}
	sorted := slices.SortedFunc(slices.Values(points), func(a, b Point) int { return cmp.Compare(a.X, b.X) })
	means := make([]Point, buckets)
	for i := range means {
		means[i] = mean(sorted[i*len(sorted)/buckets : (i+1)*len(sorted)/buckets])
	}
	center := mean(means)
	var xx, xy float64
	for _, p := range means {
		xx += (p.X - center.X) * (p.X - center.X)
		xy += (p.X - center.X) * (p.Y - center.Y)
	}
	if xx == 0 {
		return Line{}, fmt.Errorf("all measurements were taken at %g", center.X)
	}
	slope, rest := xy/xx, 0.0
	for _, p := range means {
		off := p.Y - center.Y - slope*(p.X-center.X)
		rest += off * off
	}
	return Line{
		Slope: slope, Within: quantile * math.Sqrt(rest/(buckets-2)/xx), Span: sorted[len(sorted)-1].X - sorted[0].X, Level: center.Y,
	}, nil
}

func mean(points []Point) (m Point) {
	for _, p := range points {
		m.X += p.X / float64(len(points))
		m.Y += p.Y / float64(len(points))
	}
	return m
}

// Rises says that the line rises by more than allowed for each X, beyond doubt, and over its span by more than matters.
func (l Line) Rises(allowed, matters float64) bool {
	beyond := l.Slope - l.Within - allowed
	return beyond > 0 && (l.Slope-allowed)*l.Span > matters
}

func (l Line) String() string {
	return fmt.Sprintf("%.4g, %+.3g ± %.2g over all", l.Level, l.Slope*l.Span, l.Within*l.Span)
}
