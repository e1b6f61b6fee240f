package release

import (
	"fmt"

	"concordat.dev/policies/mechanism"
)

// Index checks the groups' shape and encodes their keys.
func index(spec *mechanism.Spec, groups []Group) (map[string]keyedGroup, error) {
	all := make(map[string]keyedGroup, len(groups))
	types := make([]string, spec.KeyCount)
	if err := declaredTypes(spec, types); err != nil {
		return nil, err
	}
	for i := range groups {
		g := &groups[i]
		if err := checkShape(spec, g); err != nil {
			return nil, err
		}
		if err := sameTypes(g.Keys, types); err != nil {
			return nil, err
		}
		id, err := encodeKeys(g.Keys)
		if err != nil {
			return nil, err
		}
		if _, twice := all[string(id)]; twice {
			return nil, fmt.Errorf("%w: two groups have the same key", ErrGroups)
		}
		all[string(id)] = keyedGroup{g, id}
	}
	return all, nil
}

func checkShape(spec *mechanism.Spec, g *Group) error {
	if len(g.Keys) != spec.KeyCount {
		return fmt.Errorf("%w: %d keys instead of %d", ErrGroups, len(g.Keys), spec.KeyCount)
	}
	n := len(spec.Columns)
	if len(g.Sums) != n || (len(g.Leaves) != n && len(g.Leaves) != 0) {
		return fmt.Errorf("%w: %d sums and %d histograms for %d columns", ErrGroups, len(g.Sums), len(g.Leaves), n)
	}
	for i, c := range spec.Columns {
		if c.Kind == mechanism.Histogram {
			if len(g.Leaves) == 0 {
				return fmt.Errorf("%w: column %d has no histogram", ErrGroups, i)
			}
			if err := checkLeaves(i, c, g.Leaves[i]); err != nil {
				return err
			}
		} else if g.Sums[i] == nil {
			return fmt.Errorf("%w: column %d has no sum", ErrGroups, i)
		}
	}
	if spec.Kind == mechanism.Threshold {
		return checkThreshold(spec, g)
	}
	return nil
}

func checkThreshold(spec *mechanism.Spec, g *Group) error {
	n := len(spec.Columns)
	for name, have := range map[string]int{
		"UnitSets": len(g.UnitSets), "RowSets": len(g.RowSets), "Top1": len(g.Top1), "Top2": len(g.Top2),
		"Absolute": len(g.Absolute), "NonZero": len(g.NonZero), "LeafUnits": len(g.LeafUnits),
	} {
		if have != n {
			return fmt.Errorf("%w: %d %s for %d columns", ErrGroups, have, name, n)
		}
	}
	for i, c := range spec.Columns {
		switch c.Kind {
		case mechanism.Count:
			if g.Top1[i] == nil || g.Top2[i] == nil {
				return fmt.Errorf("%w: column %d has no largest contributions", ErrGroups, i)
			}
		case mechanism.Sum, mechanism.Centred, mechanism.Square:
			if g.Top1[i] == nil || g.Top2[i] == nil || g.Absolute[i] == nil {
				return fmt.Errorf("%w: column %d has no largest contributions or no absolute total", ErrGroups, i)
			}
		case mechanism.Histogram:
			if err := checkLeaves(i, c, g.LeafUnits[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkLeaves(column int, c mechanism.Column, leaves map[int]int64) error {
	for leaf := range leaves {
		if leaf < 0 || leaf >= 1<<c.Levels {
			return fmt.Errorf("%w: column %d has a leaf outside its tree", ErrGroups, column)
		}
	}
	return nil
}
