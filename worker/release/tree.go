package release

import (
	"encoding/binary"
	"math"
	"math/big"

	"concordat.dev/policies/mechanism"
)

// Tree is the noisy dyadic histogram of one column: level l cuts the bounds into 2^l equal bins, every bin of levels 1 to Levels has its own
// noise, which is drawn when the bin is looked at. The levels are not reconciled with one another: a search looks at two bins a level, and what it
// would gain from reading the whole tree is not worth 2^Levels draws a group.
type tree struct {
	noise  columnNoise
	id     []byte
	levels int
	below  []int64 // rows in leaves before each leaf
	seen   map[[2]int]float64
}

func (g *noisyGroup) tree(column int) *tree {
	if g.trees[column] == nil {
		levels := g.spec.Columns[column].Levels
		g.trees[column] = &tree{g.noises[column], g.group.id, levels, cumulate(g.group.Leaves[column], levels), map[[2]int]float64{}}
	}
	return g.trees[column]
}

// Cumulate is the number of rows in leaves before each leaf, and in all.
func cumulate(leaves map[int]int64, levels int) []int64 {
	below := make([]int64, 1<<levels+1)
	for leaf, n := range leaves {
		below[leaf+1] = n
	}
	for i := 1; i < len(below); i++ {
		below[i] += below[i-1]
	}
	return below
}

// Bin is the noisy number of rows in bin number i of a level: the same however often it is read.
func (t *tree) bin(level, i int) float64 {
	n, known := t.seen[[2]int{level, i}]
	if !known {
		width := 1 << (t.levels - level)
		rows := big.NewInt(t.below[(i+1)*width] - t.below[i*width])
		at := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, uint64(level)), uint64(i))
		x := t.noise.gaussian.Draw(t.noise.key.Stream(t.id, at))
		n = asFloat(x.Add(x, rows))
		t.seen[[2]int{level, i}] = n
	}
	return n
}

// Quantile is found by descent: in each bin, is the wanted rank in the left half? The value lies where the descent ends, or by interpolation in the
// first bin that holds no more rows than noise would. The interval's ends are the same descents with every comparison shifted by its own
// noise, so that they go astray on the safe side.
func (g *noisyGroup) quantile(c mechanism.Cell) Cell {
	column := g.spec.Columns[c.Columns[0]]
	t := g.tree(c.Columns[0])
	if t.bin(1, 0)+t.bin(1, 1) < 1 {
		return Cell{}
	}
	at := func(share float64) float64 {
		return clamp(column.Low+share*(column.High-column.Low), c.Low, c.High)
	}
	value := t.find(c.Quantile)
	low, high := t.bound(c.Quantile, -1), t.bound(c.Quantile, 1)
	return interval(at(value), at(math.Min(low, value)), at(math.Max(high, value)))
}

// Find is the position of a quantile as a share of the bounds.
func (t *tree) find(q float64) float64 {
	left, right := t.bin(1, 0), t.bin(1, 1)
	rank := q * (left + right)
	before, bin := 0.0, 0
	for level := 1; ; level++ {
		here := left
		if bin *= 2; rank > before+left {
			before += left
			here = right
			bin++
		}
		if level == t.levels || here < 2*t.noise.sigma {
			within := clamp((rank-before)/math.Max(here, 1), 0, 1)
			return (float64(bin) + within) / float64(int(1)<<level)
		}
		left, right = t.bin(level+1, 2*bin), t.bin(level+1, 2*bin+1)
	}
}

// Bound is the lower (side -1) or upper (side 1) end of the interval of a quantile, as a share of the bounds. At the middle m of each bin it
// asks whether the rows before m, less q times all rows, are surely negative (lower end) or surely positive (upper end).
func (t *tree) bound(q, side float64) float64 {
	left, right := t.bin(1, 0), t.bin(1, 1)
	total := left + right
	before, bin, bins := 0.0, 0, 0
	half := false // whether the left half of all is among the rows before
	for level := 1; ; level++ {
		if level > 1 {
			left = t.bin(level, 2*bin)
		}
		reach := before + left - q*total
		spread := mechanism.Z95 * t.noise.spread * math.Sqrt(share(q, half || level == 1, bins+1))
		bin *= 2
		if goRight := side < 0 && reach < -spread || side > 0 && reach < spread; goRight {
			before += left
			bins++
			bin++
			half = half || level == 1
		}
		if level == t.levels {
			if side > 0 {
				bin++
			}
			return float64(bin) / float64(int(1)<<level)
		}
	}
}

// Share is the variance of (rows in so many bins) - q (left + right), in units of one bin's variance, when the left half of all is one of the bins.
func share(q float64, half bool, bins int) float64 {
	if half {
		return float64(bins-1) + (1-q)*(1-q) + q*q
	}
	return float64(bins) + 2*q*q
}
