package render

import (
	"fmt"
	"strings"

	"concordat.dev/sql/plan"
)

// Details is the SQL for what threshold mode asks of every group besides its sums (PRIVACY.md section 6): columns k0…, then for each
// sum a0… (XOR of its units' keys), b0… (a second one), x0… and y0… (of units with their counted rows), t0… (the two largest absolute
// contributions), n0… (units that contribute) and w0… (the sum of absolute contributions).
//
// DuckDB's hash of several values is the XOR of the last one's with what it makes of the others: of sets, such XORs would be equal where two
// units have one row more each. The hash of the hash is not.
func Details(b *plan.Bounded, params Params) string {
	q := newBounded(b, params)
	q.details = true
	with := q.with()
	items := q.keys("")
	for i, s := range b.Sums {
		counted, value := "TRUE", "1"
		switch s.Kind {
		case plan.SumUnits:
		case plan.SumDistinct, plan.SumOwnerUnits:
			counted = fmt.Sprintf("v%d", i)
		case plan.SumHistogram:
			counted = fmt.Sprintf("v%d IS NOT NULL", i)
		default:
			value = q.total(i, s)
			value = strings.TrimSuffix(strings.TrimPrefix(value, "coalesce(sum("), "), 0)")
			if value == "count(*)" {
				value = "1"
			}
			counted = "coalesce(" + value + ", 0) <> 0"
		}
		salt := Quote(q.salt)
		items = append(items,
			fmt.Sprintf("bit_xor(hash(hash(%s, 1, u))) FILTER (WHERE %s) AS a%d", salt, counted, i),
			fmt.Sprintf("bit_xor(hash(hash(%s, 2, u))) FILTER (WHERE %s) AS b%d", salt, counted, i),
			fmt.Sprintf("bit_xor(hash(hash(%s, 3, u, %s))) FILTER (WHERE %s) AS x%d", salt, value, counted, i),
			fmt.Sprintf("bit_xor(hash(hash(%s, 4, u, %s))) FILTER (WHERE %s) AS y%d", salt, value, counted, i),
			fmt.Sprintf("max(CAST(abs(%s) AS HUGEINT), 2) FILTER (WHERE %s) AS t%d", value, counted, i),
			fmt.Sprintf("count(*) FILTER (WHERE %s) AS n%d", counted, i),
			fmt.Sprintf("coalesce(sum(abs(%s)) FILTER (WHERE %s), 0) AS w%d", value, counted, i))
	}
	query := with + "SELECT " + strings.Join(items, ", ") + " FROM bounded"
	if len(q.Keys) > 0 {
		query += " GROUP BY " + strings.Join(q.keys(""), ", ")
	}
	return query
}

// Members is the SQL for the units of every group, each once: columns k0… and u; with a filter, of the units for which it holds.
func Members(b *plan.Bounded, sum int, params Params) string {
	q := newBounded(b, params)
	query := "SELECT DISTINCT " + strings.Join(append(q.keys(""), "u"), ", ") + " FROM (" + q.rows() + ")"
	if sum < 0 || b.Sums[sum].Filter == nil {
		return query
	}
	switch b.Sums[sum].Kind {
	case plan.SumDistinct, plan.SumOwnerUnits:
		return query + fmt.Sprintf(" WHERE v%d", sum)
	case plan.SumCount:
		return query + fmt.Sprintf(" WHERE v%d = 1", sum)
	}
	return query + fmt.Sprintf(" WHERE v%d IS NOT NULL", sum)
}

// Changed is the SQL that counts, for each group, the units that are in one of two tables of members and not in the other.
func Changed(b *plan.Bounded, before, after string) string {
	keys := newBounded(b, Params{}).keys("")
	items := append(append([]string{}, keys...), "count(*) AS changed")
	both := fmt.Sprintf("((SELECT * FROM %[1]s EXCEPT SELECT * FROM %[2]s) UNION ALL (SELECT * FROM %[2]s EXCEPT SELECT * FROM %[1]s))", before, after)
	query := "SELECT " + strings.Join(items, ", ") + " FROM " + both
	if len(keys) > 0 {
		query += " GROUP BY " + strings.Join(keys, ", ")
	}
	return query
}
