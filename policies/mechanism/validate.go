package mechanism

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// ErrSpec says that a Spec contradicts itself. It is a defect of whoever built it, never of data.
var ErrSpec = errors.New("release spec")

// MaxLevels is the greatest depth of a quantile's histogram tree.
const MaxLevels = 12

// Validate tells whether the mechanism can carry out the Spec. Everything else in this package, and the release, assumes that it can.
func (s *Spec) Validate() error {
	switch {
	case s.Kind != DifferentialPrivacy && s.Kind != Threshold:
		return fmt.Errorf("%w: mechanism %q is unknown", ErrSpec, s.Kind)
	case s.GroupsPerUnit < 1, s.RowsPerGroup < 1:
		return fmt.Errorf("%w: groups_per_unit %d and rows_per_group %d must be at least 1", ErrSpec, s.GroupsPerUnit, s.RowsPerGroup)
	case s.MinUnits < 0, s.MaxGroups < 0, s.KeyCount < 0:
		return fmt.Errorf("%w: min_units, max_groups and keys can't be negative", ErrSpec)
	case s.Kind == Threshold && s.MinUnits < 1:
		return fmt.Errorf("%w: threshold needs min_units of at least 1", ErrSpec)
	case s.PublicKeys && s.KeyCount > 0 && len(s.Domain) != s.KeyCount:
		return fmt.Errorf("%w: %d keys with declared values for %d", ErrSpec, s.KeyCount, len(s.Domain))
	case s.Selects() && (math.IsNaN(s.Delta) || s.Delta <= 0 || s.Delta >= 1):
		return fmt.Errorf("%w: private keys need a delta between 0 and 1, not %g", ErrSpec, s.Delta)
	case len(s.Columns) == 0 || s.Columns[0].Kind != Units:
		return fmt.Errorf("%w: column 0 must count the units", ErrSpec)
	}
	for i, c := range s.Columns {
		if err := s.validateColumn(c); err != nil {
			return fmt.Errorf("%w: column %d (%s): %w", ErrSpec, i, c.Kind, err)
		}
	}
	for i, c := range s.Cells {
		if err := s.validateCell(c); err != nil {
			return fmt.Errorf("%w: cell %d (%s): %w", ErrSpec, i, c.Kind, err)
		}
	}
	return nil
}

// Selects tells whether the release must hide which groups exist: private keys under differential privacy.
func (s *Spec) Selects() bool {
	return s.Kind == DifferentialPrivacy && !s.PublicKeys && s.KeyCount > 0
}

func (s *Spec) validateColumn(c Column) error {
	switch {
	case c.Sensitivity == nil || c.Sensitivity.Sign() < 0:
		return errors.New("the sensitivity is missing or negative")
	case !(c.Scale > 0) || math.IsInf(c.Scale, 0):
		return fmt.Errorf("scale %g is not a positive number", c.Scale)
	case s.Kind == DifferentialPrivacy && c.Rho <= 0:
		return fmt.Errorf("rho %d pays for no noise", c.Rho)
	}
	switch c.Kind {
	case Units, OwnerUnits, Count, Distinct:
		if c.Scale != 1 {
			return fmt.Errorf("a count has scale 1, not %g", c.Scale)
		}
	case Sum:
		if c.Midpoint != 0 {
			return fmt.Errorf("a sum is not centred, its midpoint is %g", c.Midpoint)
		}
	case Centred, Square:
	case Histogram:
		if c.Levels < 1 || c.Levels > MaxLevels {
			return fmt.Errorf("%d levels, not 1 to %d", c.Levels, MaxLevels)
		}
		if !(c.Low <= c.High) || math.IsInf(c.High-c.Low, 0) {
			return fmt.Errorf("bounds %g and %g", c.Low, c.High)
		}
	default:
		return errors.New("unknown kind")
	}
	return nil
}

// Shapes of cells. Under threshold every cell but a count also names the count of the rows behind it, from which phantom units get their
// rows; and the average divides a sum of values as they are, so that its tests see what the sum's tests see.
func (s *Spec) validateCell(c Cell) error {
	kinds := make([]ColumnKind, len(c.Columns))
	for i, at := range c.Columns {
		if at < 0 || at >= len(s.Columns) {
			return fmt.Errorf("column %d does not exist", at)
		}
		kinds[i] = s.Columns[at].Kind
	}
	threshold := s.Kind == Threshold
	var ok bool
	switch c.Kind {
	case CellCount:
		ok = len(kinds) == 1 && (kinds[0] == Units || kinds[0] == Distinct || kinds[0] == Count || kinds[0] == OwnerUnits)
	case CellSum:
		ok = shaped(kinds, Sum) && !threshold || shaped(kinds, Sum, Count)
	case CellAverage:
		ok = shaped(kinds, Centred, Count) && !threshold || shaped(kinds, Sum, Count)
	case CellVariance, CellStddev:
		ok = shaped(kinds, Centred, Count, Square)
		if ok {
			a, b := s.Columns[c.Columns[0]], s.Columns[c.Columns[2]]
			ok = a.Scale == b.Scale && a.Midpoint == b.Midpoint
		}
	case CellQuantile:
		ok = shaped(kinds, Histogram) && !threshold || shaped(kinds, Histogram, Count)
		if !(c.Quantile > 0 && c.Quantile < 1) {
			return fmt.Errorf("quantile %g is not between 0 and 1", c.Quantile)
		}
	default:
		return errors.New("unknown kind")
	}
	if !ok {
		return fmt.Errorf("can't be computed from columns %v under %s", kinds, s.Kind)
	}
	if c.Kind != CellCount && (!(c.Low <= c.High) || math.IsInf(c.Low, 0) || math.IsInf(c.High, 0)) {
		return fmt.Errorf("bounds %g and %g", c.Low, c.High)
	}
	return nil
}

func shaped(kinds []ColumnKind, want ...ColumnKind) bool { return slices.Equal(kinds, want) }
