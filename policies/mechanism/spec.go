// Package mechanism says how bounded group sums become a release, and what that costs: the parameters that a decision fixes from
// plan and policies alone, the noise they imply, the price and the intervals that can be told before any data is touched.
//
// Invariant: pure; nothing here depends on data, clock or randomness.
//
// Sees: metadata
package mechanism

import "math/big"

// Kind is the mechanism of a release.
type Kind string

// The two mechanisms of PRIVACY.md section 6.
const (
	DifferentialPrivacy Kind = "differential_privacy"
	Threshold           Kind = "threshold"
)

// Spec says how the groups of one plan become a release.
type Spec struct {
	Kind          Kind     `json:"mechanism"`
	PublicKeys    bool     `json:"public_keys"` // every key has declared values: absent groups are released too (differential privacy)
	KeyCount      int      `json:"keys"`        // number of group keys; 0: exactly one group
	Domain        [][]any  `json:"-"`           // with PublicKeys: the declared values of each key, in order; nil is NULL
	MinUnits      int64    `json:"min_units"`   // k, the largest of the owners'
	GroupsPerUnit int64    `json:"groups_per_unit"`
	RowsPerGroup  int64    `json:"rows_per_group"`
	MaxGroups     int64    `json:"max_groups"`
	Delta         float64  `json:"delta"` // of the selection of private keys of this query; 0 with public keys
	Columns       []Column `json:"columns"`
	Cells         []Cell   `json:"cells"`
	// Leaves is the number of isolation tests of threshold mode (PRIVACY.md R10): each group carries so many flags.
	Leaves int `json:"leaves,omitempty"`
}

// ColumnKind says what a column of bounded sums counts.
type ColumnKind string

// The kinds of columns. Units is always column 0.
const (
	Units      ColumnKind = "units"       // distinct units of the group; sensitivity 1
	OwnerUnits ColumnKind = "owner_units" // distinct units of one owner, where it may differ from Units; sensitivity 1
	Count      ColumnKind = "count"       // rows; sensitivity R
	Sum        ColumnKind = "sum"         // clamped measures in units of Scale; sensitivity R max|bound| / scale
	Centred    ColumnKind = "centred"     // measures less Midpoint, in units of Scale; sensitivity R (hi - lo) / 2 / scale
	Square     ColumnKind = "square"      // squares of centred measures, in units of Scale squared; sensitivity R ((hi - lo) / 2 / scale)^2
	Histogram  ColumnKind = "histogram"   // counts in 2^Levels equal leaves of the bounds; sensitivity R a level
	Distinct   ColumnKind = "distinct"    // units that meet a FILTER or have a non-null nullable-side unit; sensitivity 1
)

// Column is one integer that the engine returns for each group, bounded, before noise.
type Column struct {
	Kind        ColumnKind `json:"kind"`
	Owner       string     `json:"owner,omitempty"` // OwnerUnits: whose units
	Sensitivity *big.Int   `json:"sensitivity"`     // the most that one unit changes one group's integer, in units of Scale
	Scale       float64    `json:"scale"`           // value of one step; 1 for counts
	Midpoint    float64    `json:"midpoint,omitempty"`
	Low         float64    `json:"low,omitempty"`    // Histogram: bounds
	High        float64    `json:"high,omitempty"`   // Histogram: bounds
	Levels      int        `json:"levels,omitempty"` // Histogram: depth of the dyadic tree, at most 12
	Rho         Rho        `json:"rho"`              // what this column may cost
}

// CellKind says how a released aggregate derives from noisy columns.
type CellKind string

// The kinds of released aggregates. The count that a cell names counts the rows that its other columns are about (not NULL, FILTER met).
const (
	CellCount    CellKind = "count"    // Columns[0]: units, distinct or count; never below 0 in a release
	CellSum      CellKind = "sum"      // Columns: sum; under threshold: sum, count
	CellAverage  CellKind = "avg"      // Columns: centred, count; under threshold: sum, count
	CellVariance CellKind = "variance" // Columns: centred, count, square
	CellStddev   CellKind = "stddev"   // Columns: centred, count, square
	CellQuantile CellKind = "quantile" // Columns: histogram; under threshold: histogram, count
)

// Cell is one aggregate of the release, computed from the noisy Columns it names by index.
type Cell struct {
	Kind     CellKind `json:"kind"`
	Columns  []int    `json:"columns"`
	Quantile float64  `json:"quantile,omitempty"` // 0.05 … 0.95
	Sample   bool     `json:"sample,omitempty"`   // variance and stddev of a sample (n - 1), else of the population
	Integer  bool     `json:"integer,omitempty"`  // the SQL type of the value is an integer
	Low      float64  `json:"low"`                // bounds of one argument; outputs of avg and quantile stay inside
	High     float64  `json:"high"`
}
