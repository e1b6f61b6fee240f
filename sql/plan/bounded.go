package plan

// SumKind says what one column of bounded sums counts (policies/mechanism has the same names).
type SumKind string

// The kinds of sums.
const (
	SumUnits      SumKind = "units"
	SumOwnerUnits SumKind = "owner_units" // units for which Filter holds in some row
	SumDistinct   SumKind = "distinct"    // the same, for count(DISTINCT unit) with a FILTER
	SumCount      SumKind = "count"       // rows in which Arg is not NULL (all rows without Arg) and Filter holds
	SumSum        SumKind = "sum"
	SumCentred    SumKind = "centred"
	SumSquare     SumKind = "square"
	SumHistogram  SumKind = "histogram"
)

// Sum is one column that an engine computes for each group, bounded. Arg is clamped to [Low, High], the Midpoint taken off, and the
// rest divided by Scale and rounded to an integer (half away from zero); a square is the square of that integer.
type Sum struct {
	Kind      SumKind
	Arg       Expr
	Filter    Expr
	Low, High float64
	Scale     float64
	Midpoint  float64
	Levels    int // histogram: 2^Levels leaves
}

// Bounded is what an engine computes of protected rows (PRIVACY.md section 5): rows of Input, their contributions bounded by unit and
// group, summed by group.
type Bounded struct {
	Input         Relation
	Unit          int    // the column of Input that holds the unit
	Keys          []Expr // over Input
	KeepNull      []bool // a key: NULL is a value like others; else rows with NULL there are left out
	Sums          []Sum
	RowsPerGroup  int64 // R: rows of one unit that count in one group
	GroupsPerUnit int64 // L0: groups of one unit that count
	OneRow        bool  // a unit has at most one row in a group: R can't bite
	OneGroup      bool  // a unit has rows in at most one group, or no group can be dropped: L0 can't bite
	MinUnits      int64 // groups with fewer raw units may be left out; 0: none may
	Threshold     bool  // the extra columns of threshold mode are wanted
}
