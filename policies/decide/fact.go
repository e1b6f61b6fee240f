package decide

import (
	"math"

	"concordat.dev/protocol/document"
)

// role is what an expression is, by resolved lineage.
type role int

const (
	bad          role = iota // refused already: nothing more is said of it
	constant                 // from the text alone
	identifier               // the unit of its relation
	nullableUnit             // the unit of the nullable side of a LEFT JOIN: itself or NULL
	dimension                // a group key: a column with that role, or a label that the query makes
	measure                  // a number with bounds
	count                    // an integer that the query derives, of grain 1 (R3)
	moment                   // a time at its grain
	flag                     // true or false
	hidden
	released // computed from the release: free
)

// origin is a column of a dataset.
type origin struct {
	owner, dataset, column string
}

// fact is what is known of an expression.
type fact struct {
	role      role
	from      []origin
	low, high float64    // numbers: bounds, infinite when unknown
	scale     float64    // numbers: step; 0 unknown
	grain     float64    // measures: step at which filters and keys may use it; 0: none
	unit      string     // moments: grain
	shifted   float64    // moments: years that intervals have moved it, at most
	bare      bool       // a column itself, not computed
	prefix    int        // dimensions: usable through left(x, n) with n at most this; 0: freely
	namespace string     // identifiers
	values    []any      // what it can be, when policy and query tell; nil: unknown
	many      bool       // policy and query tell what it can be, and it is too much to follow
	nullable  bool       // the plan makes NULLs, or the domain lists null: NULL is a value like others
	inner     inner      // what an inner aggregate or window made
	fixed     bool       // the same in all rows of a unit
	each      [2]float64 // inner sums: bounds of one argument
	exact     string     // whose values these are, finer than a filter may see: the one column, or mixed; "" where filters may see all
}

// inner tells how a column that an inner query computed is clamped where bounds are needed (R3).
type inner int

const (
	notInner   inner = iota
	innerCount       // to R
	innerSum         // to R times the bounds of one argument
)

func (f fact) name() string {
	if len(f.from) > 0 {
		return f.from[0].column
	}
	return "the value"
}

func (f fact) finite() bool { return !math.IsInf(f.low, 0) && !math.IsInf(f.high, 0) }

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	}
	return 0, false
}

// columnFact is what a policy says of a column.
func columnFact(p *document.Policy, name string, c document.Column) fact {
	f := fact{from: []origin{{p.Owner, p.Dataset, name}}, bare: true, low: math.Inf(-1), high: math.Inf(1)}
	switch c.Role {
	case "identifier":
		f.role, f.namespace, f.exact = identifier, p.Unit.Namespace, "unit"
	case "hidden":
		f.role = hidden
	case "dimension":
		f.role, f.prefix = dimension, c.Prefix
		if c.Prefix > 0 {
			f.exact = p.Dataset + "." + name
		}
		f.values, f.nullable, f.many = domainValues(c)
	case "measure":
		f.role, f.exact = measure, p.Dataset+"."+name
		if c.Bounds != nil {
			f.low, f.high = c.Bounds[0], c.Bounds[1]
		}
		if f.scale = c.Scale; f.scale == 0 && (c.Type == "integer" || c.Type == "bigint" || c.Type == "boolean") {
			f.scale = 1
		}
		f.grain = parseGrain(c.Grain)
	case "time":
		f.role, f.unit = moment, c.Grain
	}
	return f
}

// publicFact is a column of public reference data: a dimension whatever its role, and never protected.
func publicFact(p *document.Policy, name string, c document.Column) fact {
	f := columnFact(p, name, c)
	if f.role == identifier || f.role == measure {
		f.role = dimension
	}
	return f
}

// maxValues bounds the declared values that are followed through expressions.
const maxValues = 10000

func domainValues(c document.Column) (values []any, listsNull, many bool) {
	if c.Domain == nil || c.Domain.Size() > maxValues {
		return nil, false, c.Domain != nil
	}
	c.Domain.Each(func(v any) bool {
		if v == nil {
			listsNull = true
		}
		if n, ok := v.(int); ok {
			v = int64(n)
		}
		if n, ok := v.(int64); ok && c.Type == "double" {
			v = float64(n)
		}
		values = append(values, v)
		return true
	})
	return values, listsNull, false
}

func parseGrain(s string) float64 {
	var f float64
	if s == "" {
		return 0
	}
	f, err := parseFloat(s)
	if err != nil || f <= 0 || math.IsInf(f, 0) {
		return 0
	}
	return f
}

// multiple says that x is a multiple of step, within the rounding of decimal fractions.
func multiple(x, step float64) bool {
	if step == 0 {
		return false
	}
	q := x / step
	return math.Abs(q-math.Round(q)) < 1e-9*math.Max(1, math.Abs(q))
}

// timeUnits from fine to coarse; weeks lie beside months and years, and only days and finer ones nest in them.
var timeUnits = map[string]int{"second": 0, "minute": 1, "hour": 2, "day": 3, "week": 4, "month": 5, "quarter": 6, "year": 7}

// finer says that a unit of time tells more than a grain does.
func finer(unit, grain string) bool {
	switch unit {
	case "dow", "isodow":
		unit = "day"
	}
	if grain == "week" {
		return timeUnits[unit] < timeUnits["week"]
	}
	if unit == "week" {
		return timeUnits[grain] > timeUnits["day"]
	}
	return timeUnits[unit] < timeUnits[grain]
}
