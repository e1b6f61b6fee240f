package decidetest

import (
	"fmt"
	"time"

	"concordat.dev/protocol/document"
)

// Rows makes the rows of every dataset for units 1 to units: values in the order of Schema, as sql/eval has them (int64, float64,
// string, bool, time.Time, nil). Units are int64, as the engine numbers them. They are what ingest would keep: inside the domains, no
// row without a unit. Measures may lie outside their bounds and times between the steps of their grain: the scan sees to that.
func (r *Room) Rows(c *Choice, units int) map[string][][]any {
	out := map[string][][]any{}
	for _, id := range r.Datasets {
		p := r.Policies[id]
		for u := 1; u <= units; u++ {
			n := c.Below(5)
			if p.Unit.Unique {
				n = min(n, 1)
			}
			for ; n > 0; n-- {
				out[id] = append(out[id], r.row(c, p, int64(u)))
			}
		}
	}
	for i, name := range append(placeNames, "unknown") {
		out[Public] = append(out[Public], []any{int64(i % 3), name, pick[any](c, "hill", "sea", nil)})
	}
	return out
}

var placeNames = []string{"ash", "birch", "cedar", "elm"}

func (r *Room) row(c *Choice, p *document.Policy, unit int64) []any {
	var out []any
	for _, column := range r.Schema(p.Dataset) {
		v := value(c, p.Columns[column.Name], column.Name, unit)
		if column.Name != p.Unit.Column && c.Percent(8) {
			v = nil
		}
		out = append(out, v)
	}
	return out
}

func value(c *Choice, column document.Column, name string, unit int64) any {
	switch name {
	case "id":
		return unit
	case "place":
		return pick(c, placeNames...)
	case "code":
		return fmt.Sprintf("%s%s%d", pick(c, "x", "y"), pick(c, "1", "2"), c.Below(100))
	case "kind":
		return pick(c, column.Domain.Values...)
	case "level":
		return int64(c.Below(int(*column.Domain.To) + 1))
	case "amount":
		return float64(c.Below(24000)-8000) / 100
	case "years":
		return int64(c.Below(110) - 5)
	case "score":
		return int64(c.Below(25) - 12)
	case "at":
		at := time.Date(2025, 11, 20, 0, 0, 0, 0, time.UTC).Add(time.Duration(c.Below(120*24*60)) * time.Minute)
		if column.Type == "date" {
			at = at.Truncate(24 * time.Hour)
		}
		return at
	}
	return "s" + fmt.Sprint(c.Below(1000))
}
