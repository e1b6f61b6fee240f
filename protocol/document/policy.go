package document

// Policy is the analysis rule of one dataset, signed by its owner (PRIVACY.md section 2).
type Policy struct {
	APIVersion  string            `yaml:"apiVersion" json:"apiVersion"`
	Kind        string            `yaml:"kind" json:"kind"` // "Policy"
	Dataset     string            `yaml:"dataset" json:"dataset"`
	Owner       string            `yaml:"owner" json:"owner"`
	Unit        Unit              `yaml:"unit" json:"unit"` // or the scalar "none": public reference data
	Columns     map[string]Column `yaml:"columns" json:"columns"`
	Joins       string            `yaml:"joins,omitempty" json:"joins,omitempty"` // allowed (default) | required | blocked
	AntiOverlap bool              `yaml:"anti_overlap,omitempty" json:"anti_overlap,omitempty"`
	Aggregates  []string          `yaml:"aggregates,omitempty" json:"aggregates,omitempty"`
	Release     *Release          `yaml:"release,omitempty" json:"release,omitempty"`
	Budget      *Budget           `yaml:"budget,omitempty" json:"budget,omitempty"`
	MaxRows     int64             `yaml:"max_rows_per_unit,omitempty" json:"max_rows_per_unit,omitempty"` // ingest cap, default 1000
	Expires     string            `yaml:"expires,omitempty" json:"expires,omitempty"`                     // YYYY-MM-DD, the last day its data is kept (UTC); left out: until deleted
}

// Unit is the privacy unit of a dataset. None means public reference data that protects nobody.
type Unit struct {
	None      bool   `yaml:"-" json:"-"`
	Column    string `yaml:"column" json:"column"`
	Namespace string `yaml:"namespace" json:"namespace"`
	Unique    bool   `yaml:"unique,omitempty" json:"unique,omitempty"`

	// Identifier of the namespace that Column holds; left out: the first. Then is the hidden column with the second one, by which a row
	// counts that lacks the first.
	Identifier string `yaml:"identifier,omitempty" json:"identifier,omitempty"`
	Then       string `yaml:"then,omitempty" json:"then,omitempty"`
}

// Column is one column with its type and role. Type: boolean, integer, bigint, double, decimal, varchar, date, timestamp, uuid.
// Role: identifier, dimension, measure, time, hidden.
type Column struct {
	Type   string      `yaml:"type" json:"type"`
	Role   string      `yaml:"role" json:"role"`
	Bounds *[2]float64 `yaml:"bounds,omitempty" json:"bounds,omitempty"`             // measure: [lowest, highest]
	Scale  float64     `yaml:"scale,omitempty" json:"scale,omitempty"`               // measure: step of the integers that are summed; 0: 1 for integers, else refused
	Grain  string      `yaml:"grain,omitempty" json:"grain,omitempty" form:"number"` // measure: a number; time: hour, day, week, month, quarter, year
	Domain *Domain     `yaml:"domain,omitempty" json:"domain,omitempty"`
	Prefix int         `yaml:"prefix,omitempty" json:"prefix,omitempty"`
}

// Domain declares the values of a dimension. Values holds scalars in declared order (string, int64, bool; nil lists null);
// or From and To give a range of integers, both inclusive.
type Domain struct {
	Values   []any
	From, To *int64
}

// Release are the owner's parameters of a release. Zero fields mean the defaults of Policy.Defaults.
type Release struct {
	Mechanism       string  `yaml:"mechanism" json:"mechanism"` // differential_privacy | threshold
	MinUnits        int64   `yaml:"min_units" json:"min_units"`
	GroupsPerUnit   int64   `yaml:"groups_per_unit" json:"groups_per_unit"`
	RowsPerGroup    int64   `yaml:"rows_per_group" json:"rows_per_group"`
	MaxGroups       int64   `yaml:"max_groups,omitempty" json:"max_groups,omitempty"`
	RhoPerAggregate float64 `yaml:"rho_per_aggregate,omitempty" json:"rho_per_aggregate,omitempty"`
}

// Budget is what all queries together may spend of an owner's namespace. Rho in zCDP per Period and LifetimeRho for good
// (differential privacy), Queries per Period (threshold; default 200 a day). Period: "30d", "1d", "12h".
type Budget struct {
	Rho         float64 `yaml:"rho,omitempty" json:"rho,omitempty"`
	Delta       float64 `yaml:"delta,omitempty" json:"delta,omitempty"`
	Period      string  `yaml:"period,omitempty" json:"period,omitempty"`
	LifetimeRho float64 `yaml:"lifetime_rho,omitempty" json:"lifetime_rho,omitempty"`
	Queries     int64   `yaml:"queries,omitempty" json:"queries,omitempty"`

	// PerPersonShare of all these is the most that one person may spend, above 0 and at most 1; left out: all.
	PerPersonShare float64 `yaml:"per_person_share,omitempty" json:"per_person_share,omitempty"`
}
