package decidetest

import (
	"fmt"
	"strings"
)

// kind is what a generated column may be used for.
type kind int

const (
	unitKind  kind = iota
	otherUnit      // the unit of a nullable side
	text           // a text dimension or label
	whole          // an integer dimension
	code           // a text with prefix 2
	stepped        // a measure with a grain
	loose          // a measure without one
	blended        // numbers of several columns, or computed ones: rows are not told apart or put in order by them
	counted        // an integer that an inner query derived
	moment
)

// column is a column that a generated query can name.
type column struct {
	kind  kind
	name  string // as the text around it calls it
	step  int    // stepped: grain; whole: the largest value
	floor bool   // stepped: an integer, so that <= and > may be written
	unit  string // moment: grain
}

// coarser are the units of time that a moment of a grain may be cut to.
var coarser = map[string][]string{
	"day": {"day", "week", "month", "quarter", "year"}, "week": {"week", "month", "year"}, "month": {"month", "quarter", "year"},
	"quarter": {"quarter", "year"}, "year": {"year"},
}

// condition is a comparison of the column that its policy allows.
func (g *writer) condition(c column) string {
	switch c.kind {
	case otherUnit:
		return c.name + pick(g.c, " IS NULL", " IS NOT NULL")
	case text:
		return pick(g.c, c.name+" = 'a'", c.name+" <> 'b'", c.name+" IN ('a', 'c', 'ash')", c.name+" LIKE 'b%'", c.name+" IS NOT NULL",
			"coalesce("+c.name+", 'z') = 'z'", "lower("+c.name+") = 'a'", "NOT ("+c.name+" = 'a' OR "+c.name+" = 'd')")
	case whole:
		n := g.c.Below(c.step + 1)
		return pick(g.c, fmt.Sprintf("%s = %d", c.name, n), fmt.Sprintf("%s IN (%d, %d)", c.name, n, n+1), fmt.Sprintf("%s <> %d", c.name, n))
	case code:
		return pick(g.c, "left("+c.name+", 1) = 'x'", "left("+c.name+", 2) IN ('x1', 'y2')", "left("+c.name+", 2) <> 'x2'")
	case stepped:
		n := c.step * g.c.Below(90/c.step)
		if c.floor {
			return pick(g.c, fmt.Sprintf("%s < %d", c.name, n), fmt.Sprintf("%s > %d", c.name, n-1), fmt.Sprintf("%s BETWEEN %d AND %d", c.name, n, n+3*c.step-1),
				fmt.Sprintf("%d <= %s", n, c.name), fmt.Sprintf("NOT %s < %d", c.name, n))
		}
		return pick(g.c, fmt.Sprintf("%s < %d", c.name, n), fmt.Sprintf("%s >= %d", c.name, n), c.name+" IS NULL")
	case counted:
		n := g.c.Below(4)
		return pick(g.c, fmt.Sprintf("%s = %d", c.name, n), fmt.Sprintf("%s > %d", c.name, n), fmt.Sprintf("%s BETWEEN 1 AND %d", c.name, n+1), c.name+" <> 2")
	case moment:
		day := fmt.Sprintf("DATE '2026-%02d-%02d'", 1+g.c.Below(3), 1+g.c.Below(28))
		return pick(g.c, c.name+" >= "+day, c.name+" < "+day, fmt.Sprintf("extract(%s FROM %s) = 2026", "year", c.name),
			fmt.Sprintf("date_diff('%s', %s, %s) > 1", g.unitOf(c), c.name, day), fmt.Sprintf("%s + INTERVAL 1 %s <= %s", c.name, g.unitOf(c), day))
	}
	return "TRUE"
}

func (g *writer) unitOf(c column) string { return pick(g.c, coarser[c.unit]...) }

// key is a group key that the column may be: the SQL, and what a column of it is.
func (g *writer) key(c column) (string, column, bool) {
	switch c.kind {
	case text:
		if g.c.Percent(30) {
			return fmt.Sprintf("CASE WHEN %s THEN 'x' WHEN %s = 'b' THEN 'y' END", g.condition(c), c.name), column{kind: text}, true
		}
		return c.name, c, true
	case whole:
		if g.c.Percent(30) {
			return fmt.Sprintf("CASE WHEN %s THEN 1 ELSE 0 END", g.condition(c)), column{kind: counted}, true
		}
		return c.name, c, true
	case code:
		return fmt.Sprintf("left(%s, %d)", c.name, 1+g.c.Below(2)), column{kind: text}, true
	case stepped:
		if g.c.Percent(50) {
			return fmt.Sprintf("CASE WHEN %s < %d THEN 'low' WHEN %s >= %d THEN 'high' ELSE 'some' END", c.name, c.step, c.name, 3*c.step), column{kind: text}, true
		}
		return fmt.Sprintf("floor(%s / %d)", c.name, c.step*(1+g.c.Below(3))), column{kind: counted}, true
	case counted:
		if g.c.Percent(50) {
			return fmt.Sprintf("least(%s, 3)", c.name), column{kind: counted}, true
		}
		return c.name, c, true
	case moment:
		unit := g.unitOf(c)
		if g.c.Percent(30) && unit != "week" {
			return fmt.Sprintf("extract(%s FROM %s)", unit, c.name), column{kind: counted}, true
		}
		return fmt.Sprintf("date_trunc('%s', %s)", unit, c.name), column{kind: moment, unit: unit}, true
	}
	return "", column{}, false
}

// number is a numeric expression of the column that an aggregate may take.
func (g *writer) number(c column) (string, bool) {
	switch c.kind {
	case stepped, loose, blended, counted:
		return pick(g.c, c.name, c.name, c.name, c.name+" * 2", "abs("+c.name+") + 1", "round("+c.name+")", "least(greatest("+c.name+", 0), 20)",
			fmt.Sprintf("CASE WHEN %s IS NULL THEN 0 ELSE %s END", g.known(c), c.name), "coalesce("+c.name+", 5)", "CAST("+c.name+" AS INTEGER)", "-"+c.name,
			c.name+" / 4"), true
	}
	return "", false
}

// known is a column that may be tested for NULL in place of one that may not.
func (g *writer) known(c column) string {
	if c.kind == loose || c.kind == blended {
		return "1"
	}
	return c.name
}

func join(parts []string, with string) string { return strings.Join(parts, with) }
