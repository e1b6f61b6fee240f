package release_test

import (
	"fmt"
	"math/big"
	"testing"

	"concordat.dev/policies/mechanism"
	"concordat.dev/worker/release"
)

// Nobody who meets a filter is the same empty set everywhere; its noise must not be, or it would show which filters nobody meets.
func TestNothingHasTheNoiseOfItsGroup(t *testing.T) {
	s := trusting(1)
	s.Columns = append(s.Columns, mechanism.Column{Kind: mechanism.Distinct, Sensitivity: big.NewInt(1), Scale: 1})
	s.Cells = s.Cells[:1]
	s.Cells[0].Columns = []int{6}
	seen := map[any]bool{}
	for i := range 60 {
		g, _ := gather("a", persons(fmt.Sprint("group ", i, "-"), 60, spread))
		g = widen(g, 0)
		seen[run(t, s, []release.Group{g}).Rows[0].Cells[0].Value] = true
	}
	if len(seen) < 2 {
		t.Errorf("nobody is released as %v in all of 60 groups", seen)
	}
}

// Where units have far fewer rows than they may have, phantoms take away all rows but no more: the count is 0 and the average unknown, never negative.
func TestPhantomsTakeNoMoreThanThereIs(t *testing.T) {
	s := trusting(1000)
	s.Cells = s.Cells[1:4]
	empty := 0
	for i := range 60 {
		g, truth := gather("a", persons(fmt.Sprint("few rows ", i, "-"), 60, spread))
		cells := run(t, s, []release.Group{g}).Rows[0].Cells
		if number(t, cells[0].Value) != 0 {
			continue
		}
		empty++
		if sum := number(t, cells[1].Value); sum < truth[2]-60*50-2 || cells[2].Value != nil {
			t.Errorf("60 rows are taken away: the sum of %g is %g, the average %v", truth[2], sum, cells[2].Value)
		}
	}
	if empty < 10 {
		t.Errorf("only %d of 60 groups have lost all rows", empty)
	}
}

// Half of the units stand at 10, half at 90: phantoms at the midpoint decide where the median falls.
func TestPhantomsMoveAQuantile(t *testing.T) {
	s := trusting(1)
	s.Cells = s.Cells[5:]
	low := 0
	const n = 200
	for i := range n {
		g, _ := gather("a", persons(fmt.Sprint("halves ", i, "-"), 60, func(j int) int64 { return int64(10 + j%2*80) }))
		switch v := number(t, run(t, s, []release.Group{g}).Rows[0].Cells[0].Value); {
		case v < 50:
			low++
		case v != 75: // phantoms alone stand at 50, so that the bin is the whole upper half
			t.Errorf("phantoms in the middle move the median to %g", v)
		}
	}
	// No phantom, or units taken away: (1 + P[d = 0]) / 2 = 0.57.
	if low < n*45/100 || low > n*70/100 {
		t.Errorf("the median is the lower half's in %d of %d groups", low, n)
	}
}
