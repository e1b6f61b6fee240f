package release

import (
	"encoding/binary"
	"math"
	"math/big"

	"concordat.dev/policies/mechanism"
	"concordat.dev/worker/noise"
)

// Private carries out differential privacy: PRIVACY.md section 6 with R7 and R8. Private keys need raw units and noisy units; with declared keys every
// group exists, those without rows as zeros, and the noisy units alone decide.
func private(spec *mechanism.Spec, all map[string]keyedGroup, key noise.Key) ([]keyedRow, error) {
	noises, err := prepare(spec, key)
	if err != nil {
		return nil, err
	}
	var candidates []keyedGroup
	if spec.Selects() {
		for _, g := range all {
			candidates = append(candidates, g)
		}
	} else {
		keys, ids, err := domain(spec)
		if err != nil {
			return nil, err
		}
		for i, id := range ids {
			g, present := all[string(id)]
			if !present {
				g = keyedGroup{absent(spec, keys[i]), id}
			}
			candidates = append(candidates, g)
		}
	}
	var rows []keyedRow
	for _, g := range candidates {
		n := &noisyGroup{spec: spec, noises: noises, group: g, values: make([]*big.Int, len(spec.Columns)), trees: make([]*tree, len(spec.Columns))}
		if !n.selected() {
			continue
		}
		row := Row{Keys: g.Keys}
		for _, c := range spec.Cells {
			row.Cells = append(row.Cells, n.cell(c))
		}
		rows = append(rows, keyedRow{row, n.value(0)})
	}
	return largest(spec, rows), nil
}

// Absent is a declared group in which there are no rows.
func absent(spec *mechanism.Spec, keys []any) *Group {
	g := &Group{Keys: keys, Sums: make([]*big.Int, len(spec.Columns)), Leaves: make([]map[int]int64, len(spec.Columns))}
	for i := range g.Sums {
		g.Sums[i] = new(big.Int)
	}
	return g
}

// ColumnNoise is the noise of one column.
type columnNoise struct {
	key      noise.Key
	gaussian *noise.Gaussian
	sigma    float64
	half     *big.Int // of the 95 % interval
	spread   float64  // sigma, or more where the discrete interval is wider than 1.96 sigma
	tau      int64    // counts of units under selection
}

// Prepare scopes a key to each column. Its context holds the variance beside the digests: one uniform stream must never serve two variances.
func prepare(spec *mechanism.Spec, key noise.Key) ([]columnNoise, error) {
	all := make([]columnNoise, len(spec.Columns))
	for i, c := range spec.Columns {
		sigma2 := mechanism.Sigma2(c, spec)
		gaussian, err := noise.NewGaussian(sigma2)
		if err != nil {
			return nil, err
		}
		v, _ := sigma2.Float64()
		half := mechanism.Half95(sigma2)
		n := columnNoise{
			key:      key.Derive([]byte("column"), binary.BigEndian.AppendUint64(nil, uint64(i)), []byte(c.Kind), []byte(sigma2.RatString())),
			gaussian: gaussian,
			sigma:    math.Sqrt(v),
			spread:   math.Max(math.Sqrt(v), half/mechanism.Z95*(1+1e-9)),
		}
		n.half, _ = big.NewFloat(half).Int(nil)
		if spec.Selects() && (c.Kind == mechanism.Units || c.Kind == mechanism.OwnerUnits) {
			n.tau = mechanism.Tau(c, spec)
		}
		all[i] = n
	}
	return all, nil
}

// NoisyGroup is a group behind its noise. Its sums are read by value, selected and the tree alone.
type noisyGroup struct {
	spec   *mechanism.Spec
	noises []columnNoise
	group  keyedGroup
	values []*big.Int
	trees  []*tree
}

// Value is the noisy sum of a column: the same however often it is read.
func (g *noisyGroup) value(column int) *big.Int {
	if g.values[column] == nil {
		n := &g.noises[column]
		x := n.gaussian.Draw(n.key.Stream(g.group.id))
		g.values[column] = x.Add(x, g.group.Sums[column])
	}
	return g.values[column]
}

// Selected tests the units of the group and of each owner who has a column of his own. A private key needs at least one unit, whatever min_units
// says: a group without units does not exist.
func (g *noisyGroup) selected() bool {
	least := g.spec.MinUnits
	if g.spec.Selects() {
		least = max(least, 1)
	}
	if least == 0 {
		return true
	}
	for i, c := range g.spec.Columns {
		if c.Kind != mechanism.Units && c.Kind != mechanism.OwnerUnits {
			continue
		}
		need := least
		if g.spec.Selects() {
			if g.group.Sums[i].Cmp(big.NewInt(least)) < 0 {
				return false
			}
			need = least - 1 + g.noises[i].tau
		}
		if g.value(i).Cmp(big.NewInt(need)) < 0 {
			return false
		}
	}
	return true
}
