package decidetest

import "fmt"

// as names an item of an inner SELECT list.
func (g *writer) as(items *[]string, columns *[]column, sql string, c column) {
	c.name = g.fresh("c")
	*items = append(*items, sql+" AS "+c.name)
	*columns = append(*columns, c)
}

func (g *writer) filtered(depth int) (string, []column) {
	s := g.from(depth - 1)
	var items []string
	var columns []column
	for _, c := range s.columns {
		if c.kind == otherUnit || len(columns) > 1 && g.c.Percent(25) {
			continue
		}
		g.as(&items, &columns, c.name, c)
	}
	return fmt.Sprintf("SELECT %s FROM %s%s", join(items, ", "), s.sql, g.where(s)), columns
}

func (g *writer) distinct(depth int) (string, []column) {
	s := g.from(depth - 1)
	var items []string
	var columns []column
	g.as(&items, &columns, s.unit(), column{kind: unitKind})
	for i := 0; i < 1+g.c.Below(2); i++ {
		if sql, c, ok := g.key(pick(g.c, s.columns...)); ok {
			g.as(&items, &columns, sql, c)
		}
	}
	if len(columns) == 1 {
		g.as(&items, &columns, "'only'", column{kind: text})
	}
	return fmt.Sprintf("SELECT DISTINCT %s FROM %s%s", join(items, ", "), s.sql, g.where(s)), columns
}

// grouped aggregates by the unit and sometimes a key.
func (g *writer) grouped(depth int) (string, []column) {
	s := g.from(depth - 1)
	var items []string
	var columns []column
	g.as(&items, &columns, s.unit(), column{kind: unitKind})
	keys := s.unit()
	if sql, c, ok := g.key(pick(g.c, s.columns...)); ok && g.c.Percent(50) {
		g.as(&items, &columns, sql, c)
		keys += ", " + sql
	}
	g.as(&items, &columns, "count(*)"+g.filter(s), column{kind: counted})
	for i := g.c.Below(3); i > 0; i-- {
		if sql, c, ok := g.innerAggregate(s, pick(g.c, s.columns...)); ok {
			g.as(&items, &columns, sql, c)
		}
	}
	having := ""
	if g.c.Percent(15) {
		having = " HAVING count(*) > 1"
	}
	return fmt.Sprintf("SELECT %s FROM %s%s GROUP BY %s%s", join(items, ", "), s.sql, g.where(s), keys, having), columns
}

func (g *writer) innerAggregate(s source, c column) (string, column, bool) {
	filter := g.filter(s)
	switch c.kind {
	case text:
		if g.c.Percent(50) {
			return pick(g.c, "min", "max") + "(" + c.name + ")" + filter, column{kind: text}, true
		}
		return "count(DISTINCT " + c.name + ")" + filter, column{kind: counted}, true
	case whole:
		return "count(" + c.name + ")" + filter, column{kind: counted}, true
	case moment:
		return pick(g.c, "min", "max") + "(" + c.name + ")" + filter, c, true
	case stepped, loose:
		switch g.c.Below(4) {
		case 0:
			return "avg(" + c.name + ")" + filter, column{kind: loose}, true
		case 1:
			return "sum(" + c.name + ")" + filter, column{kind: loose}, true
		}
		return pick(g.c, "min", "max") + "(" + c.name + ")" + filter, c, true
	case blended:
		return pick(g.c, "min", "max", "sum", "avg") + "(" + c.name + ")" + filter, c, true
	case counted:
		return "sum(" + c.name + ")", column{kind: loose}, true
	case otherUnit:
		return "max(CASE WHEN " + c.name + " IS NULL THEN 0 ELSE 1 END)", column{kind: counted}, true
	}
	return "", column{}, false
}

func (g *writer) filter(s source) string {
	c := pick(g.c, s.columns...)
	if c.kind == unitKind || c.kind == loose || c.kind == blended || !g.c.Percent(20) {
		return ""
	}
	return " FILTER (WHERE " + g.condition(c) + ")"
}

// windowed numbers or looks along the rows of each unit. What ties is decided by all columns, so every result is determined.
func (g *writer) windowed(depth int) (string, []column) {
	s := g.from(depth - 1)
	var items []string
	var columns []column
	g.as(&items, &columns, s.unit(), column{kind: unitKind})
	for _, c := range s.columns[1:] {
		if c.kind != otherUnit && g.c.Percent(50) {
			g.as(&items, &columns, c.name, c)
		}
	}
	partition := s.unit()
	c := pick(g.c, s.columns...)
	if c.kind != unitKind && c.kind != otherUnit && c.kind != blended && g.c.Percent(40) {
		partition += ", " + c.name
	}
	by := pick(g.c, s.columns...)
	for by.kind == otherUnit || by.kind == unitKind || by.kind == blended {
		by = pick(g.c, s.columns...)
	}
	over := fmt.Sprintf(" OVER (PARTITION BY %s ORDER BY %s%s)", partition, by.name, pick(g.c, "", " DESC", " NULLS FIRST"))
	sql, made := g.windowFunction(s)
	g.as(&items, &columns, sql+over, made)
	query := fmt.Sprintf("SELECT %s FROM %s%s", join(items, ", "), s.sql, g.where(s))
	if made.kind == counted && g.c.Percent(30) {
		query += fmt.Sprintf(" QUALIFY %s%s <= 2", sql, over)
	}
	return query, columns
}

func (g *writer) windowFunction(s source) (string, column) {
	if len(s.of(blended)) > 0 { // what ties would be put in order by them
		return pick(g.c, "rank()", "dense_rank()", "count(*)"), column{kind: counted}
	}
	c := pick(g.c, s.columns...)
	for c.kind == otherUnit || c.kind == unitKind || c.kind == code {
		c = pick(g.c, s.columns...)
	}
	switch g.c.Below(6) {
	case 0:
		return "lag(" + c.name + ")", c
	case 1:
		return "first_value(" + c.name + ")", c
	case 2:
		if sql, ok := g.number(c); ok {
			return "sum(" + sql + ")", column{kind: blended}
		}
	case 3:
		return pick(g.c, "rank", "dense_rank") + "()", column{kind: counted}
	case 4:
		return "count(*)", column{kind: counted}
	}
	return "row_number()", column{kind: counted}
}

// union unites two queries with the same columns: a unit, a text and a number.
func (g *writer) union(depth int) (string, []column) {
	names := []string{g.fresh("c"), g.fresh("c"), g.fresh("c")}
	most := 0
	part := func() string {
		s := g.from(depth - 1)
		most = max(most, s.factors)
		label, amount := "'"+pick(g.c, "a", "b")+"'", "1"
		if texts := s.of(text); len(texts) > 0 && g.c.Percent(70) {
			label = pick(g.c, texts...).name
		}
		if numbers := s.of(stepped, loose); len(numbers) > 0 {
			amount = pick(g.c, numbers...).name
		}
		return fmt.Sprintf("SELECT %s AS %s, %s AS %s, %s AS %s FROM %s%s", s.unit(), names[0], label, names[1], amount, names[2], s.sql, g.where(s))
	}
	query := part() + " UNION ALL " + part()
	g.rows = most
	return query, []column{{kind: unitKind, name: names[0]}, {kind: text, name: names[1]}, {kind: blended, name: names[2]}}
}
