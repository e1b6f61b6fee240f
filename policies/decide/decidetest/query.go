package decidetest

import (
	"fmt"

	"concordat.dev/sql/bind"
)

// Query makes a query over a room that is accepted: joins, derived tables, CTEs, EXISTS, IN, windows and aggregations by the unit,
// CASE, FILTER, times, public data, UNION ALL, and one release with keys and aggregates, HAVING, ORDER BY and LIMIT above it.
func (r *Room) Query(c *Choice) string {
	g := &writer{room: r, c: c}
	from := g.from(2)
	g.top = true
	body := g.release(from)
	if len(g.ctes) > 0 {
		body = "WITH " + join(g.ctes, ",\n  ") + "\n" + body
	}
	return body
}

// writer writes one query.
type writer struct {
	room  *Room
	c     *Choice
	ctes  []string
	names int
	scans int
	top   bool
	rows  int // factors of the source that was written last
}

// source is a table expression with an alias, and the columns that it has. All of its names are new.
type source struct {
	sql     string
	columns []column
	factors int // datasets with several rows a unit of which each row meets each
}

func (g *writer) fresh(prefix string) string {
	g.names++
	return fmt.Sprintf("%s%d", prefix, g.names)
}

func (s source) of(kinds ...kind) []column {
	var out []column
	for _, c := range s.columns {
		for _, k := range kinds {
			if c.kind == k {
				out = append(out, c)
			}
		}
	}
	return out
}

func (s source) unit() string { return s.of(unitKind)[0].name }

// from is one source, or a join of two.
func (g *writer) from(depth int) source {
	s := g.joined(depth)
	g.rows = s.factors
	return s
}

// maxFactors is how many relations with several rows a unit may be joined.
const maxFactors = 3

func (g *writer) joined(depth int) source {
	left := g.table(depth)
	if g.scans >= bind.MaxRelations-2 || g.c.Percent(45) {
		return g.public(left)
	}
	right := g.table(depth - 1)
	if left.factors+right.factors > maxFactors {
		return g.public(left)
	}
	kind, outer := "JOIN", g.c.Percent(35)
	if outer {
		kind = "LEFT JOIN"
	}
	on := fmt.Sprintf("%s = %s", left.unit(), right.unit())
	if g.c.Percent(30) {
		on = right.unit() + " = " + left.unit()
	}
	if g.c.Percent(25) {
		on += " AND " + g.condition(pick(g.c, right.columns[1:]...))
	}
	out := source{sql: fmt.Sprintf("%s %s %s ON %s", left.sql, kind, right.sql, on), columns: left.columns, factors: left.factors + right.factors}
	for _, c := range right.columns {
		if c.kind == unitKind && outer {
			c.kind = otherUnit
		}
		out.columns = append(out.columns, c)
	}
	return g.public(out)
}

// public joins public data sometimes.
func (g *writer) public(s source) source {
	texts := s.of(text)
	if len(texts) == 0 || g.scans >= bind.MaxRelations-1 || !g.c.Percent(12) {
		return s
	}
	g.scans++
	a := g.fresh("p")
	sql := fmt.Sprintf("%s %s %s %s ON %s.place = %s", s.sql, pick(g.c, "JOIN", "LEFT JOIN"), Public, a, a, pick(g.c, texts...).name)
	return source{sql, append(append([]column{}, s.columns...), column{kind: text, name: a + ".region"}), s.factors}
}

// table is a dataset, or a query of units over one, as a derived table or a CTE.
func (g *writer) table(depth int) source {
	if depth <= 0 || g.scans >= bind.MaxRelations-3 || g.c.Percent(35) {
		return g.dataset()
	}
	var query string
	var columns []column
	switch g.c.Below(6) {
	case 0:
		query, columns = g.filtered(depth)
	case 1, 2:
		query, columns = g.grouped(depth)
	case 3:
		query, columns = g.windowed(depth)
	case 4:
		query, columns = g.distinct(depth)
	default:
		query, columns = g.union(depth)
	}
	a := g.fresh("t")
	for i := range columns {
		columns[i].name = a + "." + columns[i].name
	}
	if g.c.Percent(50) {
		cte := g.fresh("w")
		g.ctes = append(g.ctes, fmt.Sprintf("%s AS (%s)", cte, query))
		return source{cte + " " + a, columns, g.rows}
	}
	return source{fmt.Sprintf("(%s) %s", query, a), columns, g.rows}
}

func (g *writer) dataset() source {
	g.scans++
	id, a := pick(g.c, g.room.Datasets...), g.fresh("t")
	p := g.room.Policies[id]
	n := func(name string) string { return a + "." + name }
	factors := 1
	if p.Unit.Unique {
		factors = 0
	}
	return source{id + " " + a, []column{
		{kind: unitKind, name: n("id")}, {kind: text, name: n("kind")}, {kind: text, name: n("place")}, {kind: code, name: n("code")},
		{kind: whole, name: n("level"), step: int(*p.Columns["level"].Domain.To)}, {kind: stepped, name: n("amount"), step: 10},
		{kind: stepped, name: n("years"), step: 5, floor: true}, {kind: loose, name: n("score")},
		{kind: moment, name: n("at"), unit: p.Columns["at"].Grain},
	}, factors}
}

// where is up to two conditions and sometimes an EXISTS or an IN.
func (g *writer) where(s source) string {
	var conds []string
	for i := g.c.Below(3); i > 0; i-- {
		c := pick(g.c, s.columns...)
		if c.kind == unitKind || c.kind == loose || c.kind == blended {
			continue
		}
		cond := g.condition(c)
		if d := pick(g.c, s.columns...); g.c.Percent(20) && d.kind != unitKind && d.kind != loose && d.kind != blended {
			cond = "(" + cond + " OR " + g.condition(d) + ")"
		}
		conds = append(conds, cond)
	}
	if moments := s.of(moment); len(moments) > 1 && g.c.Percent(30) {
		conds = append(conds, moments[0].name+" <= "+moments[1].name)
	}
	if g.scans < bind.MaxRelations-2 && g.c.Percent(25) {
		conds = append(conds, g.subquery(s))
	}
	if len(conds) == 0 {
		return ""
	}
	return " WHERE " + join(conds, " AND ")
}

func (g *writer) subquery(s source) string {
	inner := g.dataset()
	extra := ""
	if c := pick(g.c, inner.columns[1:]...); g.c.Percent(60) && c.kind != loose && c.kind != blended {
		extra = " AND " + g.condition(c)
	}
	if g.c.Percent(30) {
		return fmt.Sprintf("%s IN (SELECT %s FROM %s WHERE TRUE%s)", s.unit(), inner.unit(), inner.sql, extra)
	}
	if moments := s.of(moment); len(moments) > 0 && g.c.Percent(40) {
		extra += fmt.Sprintf(" AND %s < %s", moments[0].name, inner.of(moment)[0].name)
	}
	return fmt.Sprintf("%s (SELECT 1 FROM %s WHERE %s = %s%s)", pick(g.c, "EXISTS", "EXISTS", "NOT EXISTS"), inner.sql, inner.unit(), s.unit(), extra)
}
