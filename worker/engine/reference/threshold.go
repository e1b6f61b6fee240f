package reference

import (
	"math/big"
	"sort"

	"concordat.dev/sql/eval"
	"concordat.dev/sql/plan"
	"concordat.dev/sql/render"
)

// Detail is what threshold mode asks of one column of one group besides its sum, sets of units aside.
type Detail struct {
	Top1, Top2, Absolute *big.Int
	NonZero              int64
}

// Details are those of every group by the text of its keys (Text), one a column. Of units and conditions each unit counts 1; of
// histograms, each unit with a value.
func Details(b *plan.Bounded, tables Tables, salt string) (map[string][]Detail, error) {
	contents, err := Bound(b, tables, salt)
	if err != nil {
		return nil, err
	}
	sizes := map[string][][]*big.Int{}
	for _, c := range contents {
		name := Text(c.Keys)
		if sizes[name] == nil {
			sizes[name] = make([][]*big.Int, len(b.Sums))
		}
		for i, s := range b.Sums {
			size := new(big.Int)
			if s.Kind == plan.SumHistogram {
				if len(leaves(b, s, c, salt)) > 0 {
					size.SetInt64(1)
				}
			} else {
				size.Abs(Contribution(b, s, c))
			}
			if size.Sign() > 0 {
				sizes[name][i] = append(sizes[name][i], size)
			}
		}
	}
	out := map[string][]Detail{}
	for name, columns := range sizes {
		for _, list := range columns {
			sort.Slice(list, func(i, j int) bool { return list[i].Cmp(list[j]) > 0 })
			d := Detail{Top1: new(big.Int), Top2: new(big.Int), Absolute: new(big.Int), NonZero: int64(len(list))}
			for i, x := range list {
				d.Absolute.Add(d.Absolute, x)
				switch i {
				case 0:
					d.Top1 = x
				case 1:
					d.Top2 = x
				}
			}
			out[name] = append(out[name], d)
		}
	}
	return out, nil
}

// Text names the group of keys.
func Text(keys []any) string { return text(keys) }

// Isolated says of every group whether forcing some comparison true or false changes its units, or those that meet a FILTER, by 1 to
// k-1 (PRIVACY.md R10).
func Isolated(b *plan.Bounded, exempt map[plan.Expr]bool, tables Tables, k int64) map[string]bool {
	out := map[string]bool{}
	forcing := &plan.Forcing{Exempt: exempt}
	for sum := -1; sum < len(b.Sums); sum++ {
		if sum >= 0 && b.Sums[sum].Filter == nil {
			continue
		}
		before := members(b, sum, tables)
		for i := range forcing.Variants(b) {
			after := members(forcing.Variant(b, i), sum, tables)
			for name := range before {
				if n := changed(before[name], after[name]); n > 0 && n < k {
					out[name] = true
				}
			}
			for name := range after {
				if n := changed(before[name], after[name]); n > 0 && n < k {
					out[name] = true
				}
			}
		}
	}
	return out
}

func changed(a, b map[int64]bool) int64 {
	n := int64(0)
	for u := range a {
		if !b[u] {
			n++
		}
	}
	for u := range b {
		if !a[u] {
			n++
		}
	}
	return n
}

// members are the units of every group, or those of them that count in a sum with a FILTER.
func members(b *plan.Bounded, sum int, tables Tables) map[string]map[int64]bool {
	out := map[string]map[int64]bool{}
	for _, row := range eval.Relation(render.Settle(b).Input, tables.source) {
		unit, ok := eval.Value(&plan.Col{Index: b.Unit}, row.Values).(int64)
		keys, kept := keysOf(b, row.Values)
		if !ok || !kept || sum >= 0 && !counts(b.Sums[sum], row.Values) {
			continue
		}
		name := text(keys)
		if out[name] == nil {
			out[name] = map[int64]bool{}
		}
		out[name][unit] = true
	}
	return out
}

func counts(s plan.Sum, row []any) bool {
	met := eval.Value(s.Filter, row) == true
	if s.Kind == plan.SumDistinct || s.Kind == plan.SumOwnerUnits || s.Arg == nil {
		return met
	}
	return met && number(s.Arg, row)
}
