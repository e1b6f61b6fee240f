// Package render prints plans as SQL of the engine. Nothing of the analyst's text is in it: names are made here, constants are
// printed from their values.
//
// Invariant: the bounded sums of one group change by at most what policies/mechanism assumes when one unit is added or removed.
//
// Sees: metadata (constants of the plan)
package render

import (
	"fmt"
	"math"
	"strings"

	"concordat.dev/sql/plan"
)

// Params are what a release is printed with besides its plan.
type Params struct {
	Tables Tables
	Salt   string // a keyed secret, printable: chooses groups and rows of a unit beyond its bounds
}

// Bounded is the SQL for the sums of every group: columns k0… (keys) and s0… (one a sum, integers), histograms left out.
func Bounded(b *plan.Bounded, params Params) string {
	q := newBounded(b, params)
	return q.with() + q.totals()
}

// Histogram is the SQL for the leaves of one histogram: columns k0…, leaf, rows and units.
func Histogram(b *plan.Bounded, sum int, params Params) string {
	q := newBounded(b, params)
	q.histogram = sum
	return q.with() + q.leaves()
}

type bounded struct {
	*plan.Bounded
	printer
	salt      string
	histogram int  // -1, or the sum whose leaves are wanted
	details   bool // histograms are wanted as the number of a unit's values
	steps     []string
}

func newBounded(b *plan.Bounded, params Params) *bounded {
	settled := Settle(b)
	settled.OneRow = b.OneRow || oneRow(b)
	return &bounded{Bounded: settled, printer: printer{tables: params.Tables}, salt: params.Salt, histogram: -1}
}

func (q *bounded) keys(prefix string) []string {
	out := make([]string, len(q.Keys))
	for i := range q.Keys {
		out[i] = fmt.Sprintf("%sk%d", prefix, i)
	}
	return out
}

// with prints the steps from rows to at most GroupsPerUnit rows of each unit, one a group.
func (q *bounded) with() string {
	q.steps = []string{"rows AS (" + q.rows() + ")"}
	last := "rows"
	if !q.OneRow {
		q.steps = append(q.steps, "groups AS ("+q.groups()+")")
		last = "groups"
	}
	if !q.OneGroup {
		q.steps = append(q.steps, q.chosen(last)...)
		last = "chosen"
	}
	q.steps = append(q.steps, "bounded AS (SELECT * FROM "+last+")")
	return "WITH " + strings.Join(q.steps, ", ") + " "
}

// rows are the rows of units with their keys and, for each sum, what the row adds to it.
func (q *bounded) rows() string {
	a := q.name()
	col := qualified(a)
	items := []string{fmt.Sprintf("%s AS u", col(q.Unit))}
	var keep []string
	for i, k := range q.Keys {
		items = append(items, fmt.Sprintf("%s AS k%d", q.coded(q.Input, k, a), i))
		if !q.KeepNull[i] {
			keep = append(keep, fmt.Sprintf("k%d IS NOT NULL", i))
		}
	}
	for i, s := range q.Sums {
		if v := rowValue(s, col); v != "" {
			items = append(items, fmt.Sprintf("%s AS v%d", v, i))
		}
	}
	query := fmt.Sprintf("SELECT %s FROM (%s) %s", strings.Join(items, ", "), q.relation(q.Input, q.tables.wanted(q.Bounded)), a)
	if len(keep) > 0 {
		query = fmt.Sprintf("SELECT * FROM (%s) WHERE %s", query, strings.Join(keep, " AND "))
	}
	return query
}

// rowValue is what one row adds to a sum: nothing for units; true or false for distinct; 1 or 0 for counts; an integer or NULL for the rest.
func rowValue(s plan.Sum, col column) string {
	var when []string
	if s.Filter != nil {
		when = append(when, expr(s.Filter, col))
	}
	switch s.Kind {
	case plan.SumUnits:
		return ""
	case plan.SumDistinct, plan.SumOwnerUnits:
		return "coalesce(" + expr(s.Filter, col) + ", FALSE)"
	case plan.SumCount:
		if s.Arg != nil {
			when = append(when, present(s.Arg, col))
		}
		if len(when) == 0 {
			return ""
		}
		return "CASE WHEN " + strings.Join(when, " AND ") + " THEN 1 ELSE 0 END"
	}
	when = append(when, present(s.Arg, col))
	return "CASE WHEN " + strings.Join(when, " AND ") + " THEN " + steps(s, col) + " END"
}

// present says that a value is there: not NULL, and finite.
func present(e plan.Expr, col column) string {
	printed := expr(e, col)
	if _, bare := e.(*plan.Col); !bare && e.Type() == plan.Double {
		return printed + " IS NOT NULL AND isfinite(" + printed + ")"
	}
	return printed + " IS NOT NULL"
}

// steps is a measure in whole steps of the scale, clamped to its bounds, or the leaf of a histogram that holds it.
func steps(s plan.Sum, col column) string {
	clamped := fmt.Sprintf("least(greatest(CAST(%s AS DOUBLE), %s), %s)", expr(s.Arg, col), number(s.Low), number(s.High))
	if s.Kind == plan.SumHistogram {
		leaves := int64(1) << s.Levels
		if s.High <= s.Low {
			return "0"
		}
		return fmt.Sprintf("CAST(least(floor((%s - %s) / %s * %d), %d) AS BIGINT)", clamped, number(s.Low), number(s.High-s.Low), leaves, leaves-1)
	}
	if wholeSteps(s) {
		low, high := int64(math.Ceil(s.Low)), int64(math.Floor(s.High))
		clamped = fmt.Sprintf("least(greatest(CAST(%s AS BIGINT), %d), %d)", expr(s.Arg, col), low, high)
		if s.Midpoint != 0 {
			clamped += fmt.Sprintf(" - (%d)", int64(s.Midpoint))
		}
	} else {
		clamped = fmt.Sprintf("CAST(round((%s - %s) / %s) AS %s)", clamped, number(s.Midpoint), number(s.Scale), integerFor(s))
	}
	if s.Kind == plan.SumSquare {
		return "(" + clamped + ")::HUGEINT * (" + clamped + ")::HUGEINT"
	}
	return clamped
}

// wholeSteps says that the arithmetic can stay in integers.
func wholeSteps(s plan.Sum) bool {
	return s.Arg.Type().Whole() && s.Scale == 1 && s.Midpoint == math.Trunc(s.Midpoint) && math.Abs(s.Low) < 1<<53 && math.Abs(s.High) < 1<<53
}

func integerFor(s plan.Sum) string {
	if math.Max(math.Abs(s.Low-s.Midpoint), math.Abs(s.High-s.Midpoint))/s.Scale < 1<<60 {
		return "BIGINT"
	}
	return "HUGEINT"
}

// groups are the rows of one unit in one group, added up and scaled to at most RowsPerGroup rows: sum R / n, rounded half away from zero.
func (q *bounded) groups() string {
	items := append([]string{"u"}, q.keys("")...)
	for i, s := range q.Sums {
		switch s.Kind {
		case plan.SumUnits:
		case plan.SumDistinct, plan.SumOwnerUnits:
			items = append(items, fmt.Sprintf("bool_or(v%d) AS v%d", i, i))
		case plan.SumHistogram:
			if q.details {
				items = append(items, fmt.Sprintf("nullif(count(v%d), 0) AS v%d", i, i))
			}
			if q.histogram == i {
				items = append(items, fmt.Sprintf("list(v%d) FILTER (WHERE v%d IS NOT NULL) AS v%d", i, i, i))
			}
		default:
			total := "count(*)"
			if rowValue(s, func(int) string { return "x" }) != "" {
				total = fmt.Sprintf("sum(v%d)", i)
			}
			items = append(items, fmt.Sprintf("%s AS v%d", q.scaled(total), i))
		}
	}
	return fmt.Sprintf("SELECT %s FROM rows GROUP BY %s", strings.Join(items, ", "), strings.Join(append([]string{"u"}, q.keys("")...), ", "))
}

func (q *bounded) scaled(total string) string {
	if total == "count(*)" {
		return fmt.Sprintf("least(count(*), %d)", q.RowsPerGroup)
	}
	return fmt.Sprintf("CASE WHEN count(*) > %[2]d THEN (2::HUGEINT * %[1]s * %[2]d + sign(%[1]s)::HUGEINT * count(*)) // (2::HUGEINT * count(*)) ELSE %[1]s END", total, q.RowsPerGroup)
}

// chosen keeps GroupsPerUnit groups of a unit that has more, those with the lowest keyed hash. The hash is of the unit's own token and
// keys, so that which groups count never depends on other units.
func (q *bounded) chosen(from string) []string {
	hash := q.keyedHash("g.u", q.keys("g."))
	order := append([]string{hash}, q.keys("g.")...)
	many := fmt.Sprintf("many AS (SELECT u FROM %s GROUP BY u HAVING count(*) > %d)", from, q.GroupsPerUnit)
	if heavy := q.heavy(); heavy != "" {
		many = fmt.Sprintf("many AS (SELECT u FROM %s WHERE n > %d)", heavy, q.GroupsPerUnit)
	}
	chosen := fmt.Sprintf("chosen AS (SELECT g.* FROM %[1]s g ANTI JOIN many m ON g.u = m.u UNION ALL "+
		"SELECT g.* FROM %[1]s g SEMI JOIN many m ON g.u = m.u QUALIFY row_number() OVER (PARTITION BY g.u ORDER BY %[2]s) <= %[3]d)",
		from, strings.Join(order, ", "), q.GroupsPerUnit)
	return []string{many, chosen}
}

// heavy is the table of units with more than one row in the one dataset that bounds how many groups a unit can have; "" when there is
// none.
func (q *bounded) heavy() string {
	keys := newNeeds()
	keys.of(q.Keys...)
	datasets, ok := spread(q.Input, keys.cols, q.Unit)
	if !ok || len(datasets) != 1 {
		return ""
	}
	return q.tables[datasets[0]].Heavy
}

// keyedHash orders by md5(salt | unit | keys), each part as text.
func (q *bounded) keyedHash(unit string, keys []string) string {
	parts := []string{Quote(q.salt), Quote("|"), "CAST(" + unit + " AS VARCHAR)"}
	for i, k := range keys {
		text := "CAST(" + k + " AS VARCHAR)"
		switch q.Keys[i].Type() {
		case plan.Date, plan.Timestamp:
			text = "CAST(TRY(epoch_us(" + k + ")) AS VARCHAR)"
		case plan.Double:
			text = "CAST(TRY_CAST(floor(" + k + ") AS HUGEINT) AS VARCHAR)"
		}
		parts = append(parts, Quote("|"), "coalesce("+text+", '\\N')")
	}
	return "md5(concat(" + strings.Join(parts, ", ") + "))"
}

// totals adds up the units of each group.
func (q *bounded) totals() string {
	items := q.keys("")
	for i, s := range q.Sums {
		items = append(items, fmt.Sprintf("%s AS s%d", q.total(i, s), i))
	}
	query := "SELECT " + strings.Join(items, ", ") + " FROM bounded"
	if len(q.Keys) > 0 {
		query += " GROUP BY " + strings.Join(q.keys(""), ", ")
	}
	if q.MinUnits > 1 && len(q.Keys) > 0 {
		query += fmt.Sprintf(" HAVING count(*) >= %d", q.MinUnits)
	}
	return query
}

func (q *bounded) total(i int, s plan.Sum) string {
	switch s.Kind {
	case plan.SumUnits:
		return "count(*)"
	case plan.SumDistinct, plan.SumOwnerUnits:
		return fmt.Sprintf("count(*) FILTER (WHERE v%d)", i)
	case plan.SumHistogram:
		return "0"
	case plan.SumCount:
		if q.OneRow && rowValue(s, func(int) string { return "x" }) == "" {
			return "count(*)"
		}
	}
	return fmt.Sprintf("coalesce(sum(v%d), 0)", i)
}

// leaves counts rows and units in each leaf of a histogram; at most RowsPerGroup rows of a unit in a group, by keyed hash.
func (q *bounded) leaves() string {
	v := fmt.Sprintf("v%d", q.histogram)
	keys := q.keys("")
	items := append(append([]string{}, keys...), "leaf", "count(*) AS n", "count(DISTINCT u) AS units")
	values := fmt.Sprintf("SELECT %s FROM bounded WHERE %s IS NOT NULL", strings.Join(append(append([]string{"u"}, keys...), v+" AS leaf"), ", "), v)
	if !q.OneRow {
		unnested := fmt.Sprintf("SELECT %s FROM bounded", strings.Join(append(append([]string{"u"}, keys...), "unnest("+v+") AS leaf"), ", "))
		order := fmt.Sprintf("md5(concat(%s, '|', CAST(u AS VARCHAR), '|', CAST(leaf AS VARCHAR))), leaf", Quote(q.salt))
		values = fmt.Sprintf("SELECT * FROM (%s) QUALIFY row_number() OVER (PARTITION BY %s ORDER BY %s) <= %d",
			unnested, strings.Join(append([]string{"u"}, keys...), ", "), order, q.RowsPerGroup)
	}
	return fmt.Sprintf("SELECT %s FROM (%s) GROUP BY %s", strings.Join(items, ", "), values, strings.Join(append(append([]string{}, keys...), "leaf"), ", "))
}
