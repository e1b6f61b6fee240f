package eval

import (
	"sort"

	"concordat.dev/sql/plan"
)

// window adds the columns of window functions; rows stay in their order.
func window(r *plan.Window, rows []Row) []Row {
	out := make([]Row, len(rows))
	for i, row := range rows {
		out[i] = Row{append(append([]any{}, row.Values...), make([]any, len(r.Funcs))...), row.From}
	}
	width := len(r.Input.Schema())
	for j, f := range r.Funcs {
		parts := map[string][]int{}
		for i, row := range rows {
			name, _ := groupKey(f.Partition, row.Values, stored)
			parts[name] = append(parts[name], i)
		}
		for _, members := range parts {
			for i, v := range windowValues(f, rows, members) {
				out[i].Values[width+j] = v
			}
		}
	}
	return out
}

// windowValues computes one function over one partition. Rows that tie are ordered by all their columns where that matters, as the
// engine orders them by the columns in use.
func windowValues(f plan.WindowFunc, rows []Row, members []int) map[int]any {
	sorted := append([]int{}, members...)
	keys := f.Order
	sort.SliceStable(sorted, func(i, j int) bool {
		a, b := rows[sorted[i]].Values, rows[sorted[j]].Values
		if c := compareBy(keys, a, b); c != 0 {
			return c < 0
		}
		for k := range a {
			col := &plan.Col{Index: k}
			if c := Order(stored(col, a), stored(col, b)); c != 0 {
				return c < 0
			}
		}
		return false
	})
	out := map[int]any{}
	rank, dense := int64(0), int64(0)
	for at, i := range sorted {
		tie := at > 0 && compareBy(keys, rows[sorted[at-1]].Values, rows[i].Values) == 0
		if !tie {
			rank, dense = int64(at)+1, dense+1
		}
		switch f.Func {
		case "row_number":
			out[i] = int64(at) + 1
		case "rank":
			out[i] = rank
		case "dense_rank":
			out[i] = dense
		case "lag", "lead":
			out[i] = neighbour(f, rows, sorted, at)
		case "first_value":
			out[i] = Value(f.Args[0], rows[sorted[0]].Values)
		default:
			out[i] = running(f, rows, sorted, at)
		}
	}
	return out
}

func neighbour(f plan.WindowFunc, rows []Row, sorted []int, at int) any {
	offset := int64(1)
	if len(f.Args) > 1 {
		offset, _ = Value(f.Args[1], nil).(int64)
	}
	to := int64(at) - offset
	if f.Func == "lead" {
		to = int64(at) + offset
	}
	if to >= 0 && to < int64(len(sorted)) {
		return Value(f.Args[0], rows[sorted[to]].Values)
	}
	if len(f.Args) > 2 {
		return cast(Value(f.Args[2], nil), f.T)
	}
	return nil
}

// running aggregates the frame of a row: by default the partition up to the row and those that tie with it, all of it without an order.
func running(f plan.WindowFunc, rows []Row, sorted []int, at int) any {
	end := len(sorted)
	switch {
	case f.Frame == "rows between unbounded preceding and current row":
		end = at + 1
	case f.Frame == "" && len(f.Order) > 0:
		end = at + 1
		for end < len(sorted) && compareBy(f.Order, rows[sorted[end]].Values, rows[sorted[at]].Values) == 0 {
			end++
		}
	}
	var frame [][]any
	for _, i := range sorted[:end] {
		frame = append(frame, rows[i].Values)
	}
	a := plan.Agg{Func: f.Func, Filter: f.Filter, T: f.T}
	if len(f.Args) > 0 {
		a.Arg = f.Args[0]
	}
	return Aggregate(a, frame)
}
