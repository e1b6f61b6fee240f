package release

import (
	"math/big"
	"slices"

	"concordat.dev/policies/mechanism"
	"concordat.dev/worker/noise"
)

// Threshold carries out threshold mode: PRIVACY.md section 6 with R10. A group goes as a whole when one of its cells may not be shown: a gap in a
// row would say which cell it was. Declared keys are treated like private ones. Groups without units are no part of any count here, so that it makes
// no difference whether the engine returns them.
func threshold(spec *mechanism.Spec, all map[string]keyedGroup, secret noise.Key) ([]keyedRow, error) {
	sticky, err := newSticky(secret)
	if err != nil {
		return nil, err
	}
	var shown []keyedGroup
	withheld := 0
	for _, g := range all {
		switch {
		case g.Sums[0].Sign() == 0:
		case safe(spec, g.Group, sticky):
			shown = append(shown, g)
		default:
			withheld++
		}
	}
	if withheld == 1 && len(shown) > 0 { // else totals known from elsewhere would give the one away
		slices.SortFunc(shown, func(a, b keyedGroup) int {
			if c := a.Sums[0].Cmp(b.Sums[0]); c != 0 {
				return c
			}
			return compareKeys(a.Keys, b.Keys)
		})
		shown = shown[1:]
	}
	var rows []keyedRow
	for _, g := range shown {
		v := &veiledGroup{spec: spec, sticky: sticky, group: g.Group}
		row := Row{Keys: g.Keys}
		for _, c := range spec.Cells {
			row.Cells = append(row.Cells, v.cell(c))
		}
		rows = append(rows, keyedRow{row, v.count(0)})
	}
	return largest(spec, rows), nil
}

// Sticky draws threshold mode's noise: one draw for each set of units or rows under a key that no query, dataset version or phrasing changes.
type sticky struct {
	key             noise.Key
	offsets, phants *noise.Gaussian
}

func newSticky(secret noise.Key) (*sticky, error) {
	offsets, err := noise.NewGaussian(mechanism.OffsetSigma2())
	if err != nil {
		return nil, err
	}
	phantoms, err := noise.NewGaussian(mechanism.PhantomSigma2())
	if err != nil {
		return nil, err
	}
	return &sticky{secret.Derive([]byte("threshold")), offsets, phantoms}, nil
}

// Offset is how far above min_units the units of this set must lie.
func (s *sticky) offset(units [16]byte) int64 {
	x := s.offsets.Draw(s.key.Stream([]byte("offset"), units[:]))
	return x.Abs(x).Int64()
}

// Phantoms is the number of phantom units for a set of units or of rows, negative if units are taken away.
func (s *sticky) phantoms(what string, set [16]byte) int64 {
	return s.phants.Draw(s.key.Stream([]byte(what), set[:])).Int64()
}

// Safe tells whether every cell of the group may be shown.
func safe(spec *mechanism.Spec, g *Group, s *sticky) bool {
	if g.Isolated {
		return false
	}
	for i, c := range spec.Columns {
		if (c.Kind == mechanism.Units || c.Kind == mechanism.OwnerUnits) &&
			g.Sums[i].Cmp(big.NewInt(spec.MinUnits+s.offset(g.UnitSets[i]))) < 0 {
			return false
		}
	}
	for _, cell := range spec.Cells {
		for _, i := range cell.Columns {
			if !safeColumn(spec, g, i) {
				return false
			}
		}
		switch cell.Kind {
		case mechanism.CellVariance, mechanism.CellStddev:
			if g.NonZero[cell.Columns[1]] < mechanism.VarianceUnits*spec.MinUnits {
				return false
			}
		}
	}
	return true
}

// SafeColumn: a count has no units behind it or at least min_units; a sum has at least that many with a contribution; neither is dominated.
func safeColumn(spec *mechanism.Spec, g *Group, i int) bool {
	switch spec.Columns[i].Kind {
	case mechanism.Distinct:
		return g.NonZero[i] == 0 || g.NonZero[i] >= spec.MinUnits
	case mechanism.Count:
		return g.NonZero[i] == 0 || g.NonZero[i] >= spec.MinUnits && (spec.RowsPerGroup == 1 || !dominated(g.Sums[i], g.Top1[i], g.Top2[i]))
	case mechanism.Sum:
		return g.NonZero[i] >= spec.MinUnits && !dominated(g.Absolute[i], g.Top1[i], g.Top2[i])
	case mechanism.Centred, mechanism.Square:
		return !dominated(g.Absolute[i], g.Top1[i], g.Top2[i])
	case mechanism.Histogram:
		return g.NonZero[i] >= spec.MinUnits
	}
	return true
}

// Dominated tells whether the largest contribution is at least 40 % of the total, or all but the two largest are less than 10 % of the largest:
// the second largest contributor could then estimate the largest to within 10 % (p%-rule, Hundepool et al., Statistical Disclosure Control, 2012). At
// these percentages the first test implies the second; both stand because PRIVACY.md names both.
func dominated(total, first, second *big.Int) bool {
	percent := func(x *big.Int, n int64) *big.Int { return new(big.Int).Mul(x, big.NewInt(n)) }
	if percent(first, 100).Cmp(percent(total, mechanism.DominancePercent)) >= 0 {
		return true
	}
	rest := new(big.Int).Sub(total, first)
	rest.Sub(rest, second)
	return percent(rest, 100).Cmp(percent(first, mechanism.RemainderPercent)) < 0
}
