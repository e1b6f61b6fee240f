package decide

import (
	"math"
	"math/big"

	"concordat.dev/policies/mechanism"
	"concordat.dev/sql/plan"
)

// histogramLevels is the depth of a quantile's tree: 1024 leaves over the bounds.
const histogramLevels = 10

// builder fills the columns and cells of a Spec, and the sums that an engine computes for them, side by side.
type builder struct {
	release *Release
	rho     mechanism.Rho
}

// add appends a column; its index is returned.
func (b *builder) add(s plan.Sum, sensitivity *big.Int) int {
	if s.Scale == 0 {
		s.Scale = 1
	}
	spec := &b.release.Spec
	b.release.Bounded.Sums = append(b.release.Bounded.Sums, s)
	spec.Columns = append(spec.Columns, mechanism.Column{
		Kind: mechanism.ColumnKind(s.Kind), Sensitivity: sensitivity, Scale: s.Scale, Midpoint: s.Midpoint, Low: s.Low, High: s.High, Levels: s.Levels, Rho: b.rho,
	})
	return len(spec.Columns) - 1
}

func (b *builder) cell(c mechanism.Cell) { b.release.Spec.Cells = append(b.release.Spec.Cells, c) }

func (b *builder) rows() *big.Int { return big.NewInt(b.release.Spec.RowsPerGroup) }

// steps is ceil(x / scale) R, the sensitivity of a sum of values within x (R7).
func (b *builder) steps(x, scale float64) *big.Int {
	n, _ := big.NewFloat(math.Ceil(x/scale - 1e-9)).Int(nil)
	return n.Mul(n, b.rows())
}

func (b *builder) count(a aggregate) int {
	return b.add(plan.Sum{Kind: plan.SumCount, Arg: a.arg, Filter: a.agg.Filter}, b.rows())
}

func (b *builder) aggregate(a aggregate) {
	f := a.fact
	switch a.agg.Func {
	case "count":
		b.cell(mechanism.Cell{Kind: mechanism.CellCount, Columns: []int{b.count(a)}, Integer: true})
	case "count_distinct":
		b.cell(mechanism.Cell{Kind: mechanism.CellCount, Columns: []int{b.distinct(a)}, Integer: true})
	case "sum":
		b.sum(a)
	case "avg":
		b.average(a)
	case "quantile":
		b.quantile(a)
	default:
		kind := mechanism.CellVariance
		if a.agg.Func[:3] == "std" {
			kind = mechanism.CellStddev
		}
		mid, half := (f.low+f.high)/2, (f.high-f.low)/2
		scale := centredScale(mid, f.scale)
		base := plan.Sum{Arg: a.arg, Filter: a.agg.Filter, Low: f.low, High: f.high, Scale: scale, Midpoint: mid}
		centred, square := base, base
		centred.Kind, square.Kind = plan.SumCentred, plan.SumSquare
		one, _ := big.NewFloat(math.Ceil(half/scale - 1e-9)).Int(nil)
		squared := new(big.Int).Mul(one, one)
		c, n, q := b.add(centred, b.steps(half, scale)), b.count(a), b.add(square, squared.Mul(squared, b.rows()))
		b.cell(mechanism.Cell{Kind: kind, Columns: []int{c, n, q}, Low: f.low, High: f.high, Sample: a.agg.Func[len(a.agg.Func)-4:] == "samp"})
	}
}

// distinct is column 0 when it counts all units of the group, else a column of its own.
func (b *builder) distinct(a aggregate) int {
	filter := a.agg.Filter
	if a.fact.role == nullableUnit {
		present := &plan.Call{Op: "not", T: plan.Boolean, Args: []plan.Expr{&plan.Call{Op: "is_null", T: plan.Boolean, Args: []plan.Expr{a.arg}}}}
		if filter == nil {
			filter = present
		} else {
			filter = plan.And([]plan.Expr{filter, present})
		}
	}
	if filter == nil {
		return 0
	}
	return b.add(plan.Sum{Kind: plan.SumDistinct, Filter: filter}, big.NewInt(1))
}

func (b *builder) sum(a aggregate) {
	f := a.fact
	s := plan.Sum{Kind: plan.SumSum, Arg: a.arg, Filter: a.agg.Filter, Low: f.low, High: f.high, Scale: f.scale}
	columns := []int{b.add(s, b.steps(math.Max(math.Abs(f.low), math.Abs(f.high)), f.scale))}
	if b.release.Spec.Kind == mechanism.Threshold {
		columns = append(columns, b.count(a))
	}
	b.cell(mechanism.Cell{Kind: mechanism.CellSum, Columns: columns, Low: f.low, High: f.high, Integer: a.agg.T.Whole() && f.scale == math.Trunc(f.scale)})
}

// average is a sum centred on the midpoint over a count (R7); in threshold mode the plain sum over the count (R10).
func (b *builder) average(a aggregate) {
	f := a.fact
	mid := (f.low + f.high) / 2
	s := plan.Sum{Kind: plan.SumCentred, Arg: a.arg, Filter: a.agg.Filter, Low: f.low, High: f.high, Scale: centredScale(mid, f.scale), Midpoint: mid}
	half := (f.high - f.low) / 2
	if b.release.Spec.Kind == mechanism.Threshold {
		s.Kind, s.Midpoint, s.Scale, half = plan.SumSum, 0, f.scale, math.Max(math.Abs(f.low), math.Abs(f.high))
	}
	columns := []int{b.add(s, b.steps(half, s.Scale)), b.count(a)}
	b.cell(mechanism.Cell{Kind: mechanism.CellAverage, Columns: columns, Low: f.low, High: f.high})
}

// centredScale is the step in which values less the midpoint are whole: half a step when the midpoint lies between two.
func centredScale(mid, scale float64) float64 {
	if multiple(mid, scale) {
		return scale
	}
	return scale / 2
}

func (b *builder) quantile(a aggregate) {
	f := a.fact
	s := plan.Sum{Kind: plan.SumHistogram, Arg: a.arg, Filter: a.agg.Filter, Low: f.low, High: f.high, Scale: f.scale, Levels: histogramLevels}
	columns := []int{b.add(s, b.rows())}
	if b.release.Spec.Kind == mechanism.Threshold {
		columns = append(columns, b.count(a))
	}
	b.cell(mechanism.Cell{Kind: mechanism.CellQuantile, Columns: columns, Quantile: a.agg.Quantile, Low: f.low, High: f.high})
}
