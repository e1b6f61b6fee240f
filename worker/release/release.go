// Package release turns the bounded sums of groups into what leaves: noise, selection, rounding, withholding and the interval of every cell.
//
// Invariant: a result is a function of Spec, groups, key and context alone, and neither the number nor the order of the groups
// changes the noise of any of them. Everything in a Result may be shown; nothing else of the groups is.
//
// Sees: plaintext sums of groups, never rows
package release

import (
	"errors"
	"fmt"
	"math/big"
	"slices"

	"concordat.dev/policies/mechanism"
	"concordat.dev/worker/noise"
)

// ErrGroups says that the groups don't fit the Spec: a defect of the engine. Its text holds no values, but stays inside nevertheless.
var ErrGroups = errors.New("groups of a release")

// Group is the bounded, exact content of one group. Slices other than Keys have one entry a column of the Spec.
type Group struct {
	Keys   []any           // one a key: string, int64, bool, float64, time.Time or nil, the same type in all groups
	Sums   []*big.Int      // before noise; nil for histograms
	Leaves []map[int]int64 // histograms: leaf -> rows

	// Threshold mode only.
	UnitSets  [][16]byte      // units and distinct columns: XOR of the keyed hashes of the units counted in the column
	RowSets   [][16]byte      // count columns: XOR of the keyed hashes of (unit, its counted rows)
	Top1      []*big.Int      // sums and counts: largest absolute contribution of one unit
	Top2      []*big.Int      // and the second largest
	Absolute  []*big.Int      // sums: total of absolute contributions of units
	NonZero   []int64         // units with a contribution other than 0; histograms: units with a value
	LeafUnits []map[int]int64 // histograms: units in each leaf
	Isolated  bool            // some comparison of the query isolates 1 to k-1 units
}

// Cell is one released aggregate: an int64, a float64 or nil, and its 95 % interval where it has one. The interval covers noise and rounding, not
// the bounds of contributions.
type Cell struct {
	Value     any
	Low, High *float64
}

// Row is one released group.
type Row struct {
	Keys  []any
	Cells []Cell
}

// Result is a release before post-processing, ordered by key.
type Result struct {
	Rows             []Row
	WithheldPossible bool // whether groups may be missing from a result of this kind: known before any data is touched
}

// Context is what the noise of differential privacy depends on besides the secret. Threshold noise does not (PRIVACY.md R10).
type Context struct {
	Plan       string // digest of the release in the canonical plan, without what stands above it
	Parameters string // digest of whatever else shaped the release, such as the rho that was chosen
	Datasets   []string
	Policies   []string
}

// Release makes a release. The same arguments, with groups in any order, give the same result.
func Release(spec *mechanism.Spec, groups []Group, secret noise.Key, context Context) (Result, error) {
	if err := spec.Validate(); err != nil {
		return Result{}, err
	}
	all, err := index(spec, groups)
	if err != nil {
		return Result{}, err
	}
	var rows []keyedRow
	if spec.Kind == mechanism.Threshold {
		rows, err = threshold(spec, all, secret)
	} else {
		rows, err = private(spec, all, context.key(secret))
	}
	if err != nil {
		return Result{}, err
	}
	slices.SortFunc(rows, func(a, b keyedRow) int { return compareKeys(a.row.Keys, b.row.Keys) })
	result := Result{WithheldPossible: spec.Kind == mechanism.Threshold || spec.Selects() || spec.MinUnits > 0}
	for _, r := range rows {
		result.Rows = append(result.Rows, r.row)
	}
	return result, nil
}

func (c Context) key(secret noise.Key) noise.Key {
	fields := [][]byte{[]byte("differential privacy"), []byte(c.Plan), []byte(c.Parameters)}
	for _, list := range [][]string{c.Datasets, c.Policies} {
		fields = append(fields, fmt.Appendf(nil, "%d", len(list)))
		for _, digest := range list {
			fields = append(fields, []byte(digest))
		}
	}
	return secret.Derive(fields...)
}

// KeyedGroup is a group with the injective encoding of its keys.
type keyedGroup struct {
	*Group
	id []byte
}

// KeyedRow is a row on its way out, with the count by which groups beyond max_groups are dropped.
type keyedRow struct {
	row   Row
	units *big.Int
}

// Largest keeps the rows with the largest counts of units, ties by key, when there are more than max_groups.
func largest(spec *mechanism.Spec, rows []keyedRow) []keyedRow {
	if spec.MaxGroups == 0 || int64(len(rows)) <= spec.MaxGroups {
		return rows
	}
	slices.SortFunc(rows, func(a, b keyedRow) int {
		if c := b.units.Cmp(a.units); c != 0 {
			return c
		}
		return compareKeys(a.row.Keys, b.row.Keys)
	})
	return rows[:spec.MaxGroups]
}

// Domain is the keys of every declared group with their encodings: the product of the keys' declared values, each once.
func domain(spec *mechanism.Spec) ([][]any, [][]byte, error) {
	keys := [][]any{nil}
	for _, values := range spec.Domain[:min(len(spec.Domain), spec.KeyCount)] {
		var longer [][]any
		for _, head := range keys {
			for _, v := range values {
				longer = append(longer, append(slices.Clone(head), v))
			}
		}
		if keys = longer; spec.MaxGroups > 0 && int64(len(keys)) > spec.MaxGroups {
			return nil, nil, fmt.Errorf("%w: more declared groups than max_groups %d", mechanism.ErrSpec, spec.MaxGroups)
		}
	}
	var unique [][]any
	var ids [][]byte
	seen := map[string]bool{}
	for _, k := range keys {
		id, err := encodeKeys(k)
		if err != nil {
			return nil, nil, err
		}
		if !seen[string(id)] {
			seen[string(id)] = true
			unique, ids = append(unique, k), append(ids, id)
		}
	}
	return unique, ids, nil
}
