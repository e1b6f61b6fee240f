package document

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"concordat.dev/protocol/canon"
)

var (
	columnTypes = []string{"boolean", "integer", "bigint", "double", "decimal", "varchar", "date", "timestamp", "uuid"}
	columnRoles = []string{"identifier", "dimension", "measure", "time", "hidden"}
	typesOf     = map[string][]string{ // public data may have dimensions of every type
		"identifier": {"varchar", "uuid", "integer", "bigint"},
		"dimension":  {"boolean", "integer", "bigint", "decimal", "varchar", "date", "timestamp", "uuid"},
		"measure":    {"integer", "bigint", "double", "decimal"},
		"time":       {"date", "timestamp"},
		"hidden":     columnTypes,
	}
	timeGrains = []string{"hour", "day", "week", "month", "quarter", "year"}
)

const (
	maxDomain = 10_000
	maxPrefix = 64
)

func checkColumns(c checker, p *Policy) {
	c.require(len(p.Columns) > 0 && len(p.Columns) <= maxColumns, "columns", fmt.Sprintf("%d columns", len(p.Columns)), fmt.Sprintf("describe 1 to %d", maxColumns))
	folded := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(p.Columns)) {
		path := join("columns", name)
		c.require(len(name) <= 64 && columnForm.MatchString(name), path, fmt.Sprintf("%.80q is not a column name", name), "use at most 64 ASCII letters, digits, _, -, dots and spaces, first a letter or _")
		if other, taken := folded[strings.ToLower(name)]; taken {
			c.add(path, fmt.Sprintf("SQL cannot tell it from %q", other), "rename one: names match without case")
		}
		folded[strings.ToLower(name)] = name
		checkColumn(c, p, path, p.Columns[name])
	}
}

func checkColumn(c checker, p *Policy, path string, col Column) {
	known := c.oneOf(path+".type", col.Type, columnTypes...)
	if !c.oneOf(path+".role", col.Role, columnRoles...) || !known {
		return
	}
	if !p.Unit.None || col.Role != "dimension" {
		c.require(slices.Contains(typesOf[col.Role], col.Type), path+".type", fmt.Sprintf("a %s column cannot be of type %s", col.Role, col.Type), "use one of: "+strings.Join(typesOf[col.Role], ", "))
	}
	only := func(set bool, field, role string) {
		c.require(!set || col.Role == role, path+"."+field, fmt.Sprintf("has no effect on a %s column", col.Role), "remove it, or use role "+role)
	}
	only(col.Bounds != nil, "bounds", "measure")
	only(col.Scale != 0, "scale", "measure")
	only(col.Domain != nil, "domain", "dimension")
	only(col.Prefix != 0, "prefix", "dimension")
	if col.Role != "measure" && col.Role != "time" {
		c.require(col.Grain == "", path+".grain", fmt.Sprintf("has no effect on a %s column", col.Role), "remove it, or use role measure or time")
	}
	switch col.Role {
	case "measure":
		checkMeasure(c, p, path, col)
	case "time":
		c.oneOf(path+".grain", col.Grain, timeGrains...)
		c.require(col.Type != "date" || col.Grain != "hour", path+".grain", "a date has no hours", "use day or coarser")
	case "dimension":
		checkDomain(c, path+".domain", col)
		if col.Prefix != 0 {
			c.require(col.Type == "varchar", path+".prefix", "only text has a prefix", "remove it")
			c.require(col.Prefix >= 1 && col.Prefix <= maxPrefix, path+".prefix", fmt.Sprintf("%d is not from 1 to %d", col.Prefix, maxPrefix), "write how many characters may be used")
		}
	}
}

func checkMeasure(c checker, p *Policy, path string, col Column) {
	whole := col.Type == "integer" || col.Type == "bigint"
	if col.Grain != "" {
		g, err := strconv.ParseFloat(col.Grain, 64)
		ok := err == nil && g > 0 && !math.IsInf(g, 0) && strconv.FormatFloat(g, 'f', -1, 64) == col.Grain
		c.require(ok && (!whole || g == math.Trunc(g)), path+".grain", fmt.Sprintf("%.40q is not a positive number of the column's type", col.Grain), "write for instance 5; a time grain needs role time")
	}
	if col.Scale != 0 || p.sums() && col.Bounds != nil && !whole {
		fix := "write the step in which values are summed, for instance 0.01"
		if c.require(col.Scale != 0, path+".scale", fmt.Sprintf("missing: the policy lets %s columns be summed, and sums are exact integers of a step", col.Type), fix) {
			c.require(col.Scale > 0 && !math.IsInf(col.Scale, 0), path+".scale", fmt.Sprintf("%v is not positive", col.Scale), fix)
			c.require(!whole || col.Scale == math.Trunc(col.Scale), path+".scale", fmt.Sprintf("%v splits integers", col.Scale), "leave it out for 1")
		}
	}
	if col.Bounds == nil {
		return
	}
	lo, hi := col.Bounds[0], col.Bounds[1]
	finite := !math.IsInf(lo, 0) && !math.IsInf(hi, 0) && !math.IsNaN(lo) && !math.IsNaN(hi)
	if !c.require(finite && lo < hi, path+".bounds", fmt.Sprintf("[%v, %v] is not a range", lo, hi), "write [lowest, highest]") {
		return
	}
	c.require(!whole || lo == math.Trunc(lo) && hi == math.Trunc(hi), path+".bounds", fmt.Sprintf("[%v, %v] are not integers", lo, hi), "write integers for an integer column")
	if r := p.Release; r != nil && col.Scale >= 0 {
		most := float64(r.RowsPerGroup) * max(math.Abs(lo), math.Abs(hi)) / or(col.Scale, 1)
		c.require(most <= SumLimit, path+".bounds", "bounds / scale * rows_per_group is above 2^80: no sum could be computed", "narrow the bounds or coarsen the scale")
	}
}

// sums says whether an allowed aggregate adds values up.
func (p *Policy) sums() bool {
	return slices.ContainsFunc(p.Aggregates, func(a string) bool { return a == "sum" || a == "avg" || a == "stddev" })
}

func checkDomain(c checker, path string, col Column) {
	d := col.Domain
	if d == nil {
		return
	}
	whole := col.Type == "integer" || col.Type == "bigint"
	if d.From != nil || d.To != nil {
		ok := d.From != nil && d.To != nil && *d.From <= *d.To && *d.From >= -canon.MaxSafeInteger && *d.To <= canon.MaxSafeInteger
		c.require(whole, path, "a range is for integer columns", "list the values")
		c.require(ok, path, "not a range", "write {from: LOWEST, to: HIGHEST}")
		c.require(!ok || d.Size() <= maxDomain, path, fmt.Sprintf("more than %d values", maxDomain), "narrow it, or leave the domain out")
		return
	}
	c.require(len(d.Values) > 0 && len(d.Values) <= maxDomain, path, fmt.Sprintf("%d values", len(d.Values)), fmt.Sprintf("list 1 to %d", maxDomain))
	seen := map[any]bool{}
	for i, v := range d.Values {
		at := fmt.Sprintf("%s[%d]", path, i)
		c.require(v == nil || fits(col.Type, v), at, fmt.Sprintf("%.60v is not a value of type %s", v, col.Type), "write text in quotes where it looks like a number, dates as '2006-01-02'")
		c.require(!seen[v], at, fmt.Sprintf("%.60v is there twice", v), "remove one")
		seen[v] = true
	}
}

func fits(columnType string, v any) bool {
	switch v := v.(type) {
	case string:
		switch columnType {
		case "varchar":
			return len(v) <= 1024 && utf8.ValidString(v) && !strings.ContainsRune(v, 0)
		case "date":
			t, err := time.Parse(time.DateOnly, v)
			return err == nil && t.Format(time.DateOnly) == v
		}
		return false
	case int64:
		return columnType == "bigint" && v <= canon.MaxSafeInteger && v >= -canon.MaxSafeInteger ||
			columnType == "integer" && v <= math.MaxInt32 && v >= math.MinInt32
	case bool:
		return columnType == "boolean"
	default:
		return false
	}
}
