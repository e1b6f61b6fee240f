package release

import (
	"math"

	"concordat.dev/policies/mechanism"
)

// Quantile is the midpoint of the narrowest dyadic bin of the bounds that holds the quantile, phantom rows included, and surely has
// min_units units. Its interval is the hull of that bin and of the bins that other likely numbers of phantoms would have given.
func (g *veiledGroup) quantile(c mechanism.Cell) Cell {
	column := g.spec.Columns[c.Columns[0]]
	b := g.bins(c.Columns[0])
	phantoms := g.rows(c.Columns[1])
	at := func(share float64) float64 {
		return clamp(column.Low+share*(column.High-column.Low), c.Low, c.High)
	}
	low, high := b.around(c.Quantile, phantoms)
	value := at((low + high) / 2)
	reach := int64(mechanism.Half95(mechanism.PhantomSigma2())) * mechanism.PhantomRows(g.spec)
	from, to := b.around(c.Quantile, phantoms-reach)
	from2, to2 := b.around(c.Quantile, phantoms+reach)
	return interval(value, at(math.Min(low, math.Min(from, from2))), at(math.Max(high, math.Max(to, to2))))
}

// Bins is the histogram of a column with the units behind each bin.
type bins struct {
	levels int
	below  []int64 // rows in leaves before each leaf
	units  []int64 // sum over the leaves before of their units
	leaf   []int64 // units in each leaf
	all    int64   // units with a value
	rows   int64   // rows_per_group
	least  int64   // min_units
}

func (g *veiledGroup) bins(column int) *bins {
	levels := g.spec.Columns[column].Levels
	b := &bins{
		levels: levels, all: g.group.NonZero[column], rows: g.spec.RowsPerGroup, least: g.spec.MinUnits,
		below: cumulate(g.group.Leaves[column], levels), units: cumulate(g.group.LeafUnits[column], levels),
		leaf: make([]int64, 1<<levels),
	}
	for leaf, n := range g.group.LeafUnits[column] {
		b.leaf[leaf] = n
	}
	return b
}

// Around is the bin that answers a quantile, as shares of the bounds, when so many phantom rows stand at the midpoint.
func (b *bins) around(q float64, phantoms int64) (low, high float64) {
	leaves := 1 << b.levels
	total := b.below[leaves] + phantoms
	leaf := 0
	for ; leaf < leaves-1; leaf++ {
		rows := b.below[leaf+1]
		if leaf >= leaves/2 {
			rows += phantoms
		}
		if float64(rows) >= q*float64(total) {
			break
		}
	}
	for level := b.levels; level > 0; level-- {
		width := 1 << (b.levels - level)
		if i := leaf / width; b.surely(i*width, (i+1)*width) {
			return float64(i*width) / float64(leaves), float64((i+1)*width) / float64(leaves)
		}
	}
	return 0, 1
}

// Surely tells whether the leaves from one up to another have min_units units together. A unit may be in several of them, but in no more than it
// has rows, so the units are at least the largest leaf's and at least the sum's share.
func (b *bins) surely(from, to int) bool {
	if from == 0 && to == len(b.leaf) {
		return b.all >= b.least
	}
	each := min(b.rows, int64(to-from))
	if (b.units[to]-b.units[from]+each-1)/each >= b.least {
		return true
	}
	for _, n := range b.leaf[from:to] {
		if n >= b.least {
			return true
		}
	}
	return false
}
