package decidetest

import "fmt"

// release is the outermost SELECT: keys and aggregates over a source of units.
func (g *writer) release(s source) string {
	var items, keys []string
	for i := g.c.Below(3); i > 0; i-- {
		if sql, _, ok := g.key(pick(g.c, s.columns...)); ok {
			name := g.fresh("k")
			items = append(items, sql+" AS "+name)
			keys = append(keys, pick(g.c, name, sql, fmt.Sprint(len(items))))
		}
	}
	first := ""
	for i := 1 + g.c.Below(3); i > 0; {
		if sql, ok := g.aggregate(s); ok {
			name := g.fresh("a")
			items, first = append(items, sql+" AS "+name), name
			i--
		}
	}
	query := fmt.Sprintf("SELECT %s FROM %s%s", join(items, ", "), s.sql, g.where(s))
	if len(keys) > 0 {
		query += " GROUP BY " + join(keys, ", ")
	}
	if g.c.Percent(15) {
		query += " HAVING count(DISTINCT " + s.unit() + ") > 2"
	}
	if g.c.Percent(25) {
		query += " ORDER BY " + first + pick(g.c, "", " DESC")
		if g.c.Percent(50) {
			query += " LIMIT 3"
		}
	}
	return query
}

func (g *writer) aggregate(s source) (string, bool) {
	c := pick(g.c, s.columns...)
	filter := g.filter(s)
	switch g.c.Below(10) {
	case 0:
		return "count(*)" + filter, true
	case 1, 2:
		return "count(DISTINCT " + s.unit() + ")" + filter, true
	case 3:
		if c.kind == otherUnit {
			return "count(DISTINCT " + c.name + ")", true
		}
		if c.kind != unitKind && c.kind != code {
			return "count(" + c.name + ")" + filter, true
		}
	}
	number, ok := g.number(c)
	if !ok {
		return "", false
	}
	switch g.c.Below(8) {
	case 0:
		return "avg(" + number + ")" + filter, true
	case 1:
		return "median(" + number + ")" + filter, true
	case 2:
		return fmt.Sprintf("quantile_cont(%s, 0.%d)", number, 1+g.c.Below(8)) + filter, true
	case 3:
		return pick(g.c, "stddev", "variance", "var_pop") + "(" + c.name + ")" + filter, true
	}
	return "sum(" + number + ")" + filter, true
}
