// Package reference computes the bounded sums of plans slowly and obviously, without SQL: the oracle against which worker/engine is
// tested. It is for tests only.
//
// Invariant: it shares with the engine the plan (settled by sql/render) and nothing of how the plan is executed.
//
// Sees: made-up rows only
package reference

import (
	"crypto/md5" //nolint:gosec // the engine orders by this hash, so the reference has to; it chooses among rows and protects nothing
	"encoding/hex"
	"fmt"
	"math"
	"math/big"
	"sort"
	"strconv"
	"time"

	"concordat.dev/protocol/document"
	"concordat.dev/sql/eval"
	"concordat.dev/sql/plan"
	"concordat.dev/sql/render"
	"concordat.dev/worker/release"
)

// Table is a dataset as ingest keeps it: values in the order of the policy's column names, as sql/eval has them, units as int64.
type Table struct {
	Policy *document.Policy
	Rows   [][]any
}

// Tables are datasets by id.
type Tables map[string]Table

// Content is the rows of one unit in one group.
type Content struct {
	Unit int64
	Keys []any
	Rows [][]any
}

// ErrClaim says that a plan claims a bound to be needless which it is not.
type ErrClaim string

// Error names the claim.
func (e ErrClaim) Error() string { return "the plan claims " + string(e) + ", and a unit breaks it" }

// Groups are the sums of all groups, as engine.Groups promises them. An error is an ErrClaim.
func Groups(b *plan.Bounded, tables Tables, salt string) ([]release.Group, error) {
	contents, err := Bound(b, tables, salt)
	if err != nil {
		return nil, err
	}
	groups := map[string]*release.Group{}
	var order []string
	if len(b.Keys) == 0 {
		none := []any{}
		groups[text(none)], order = empty(b, none), []string{text(none)}
	}
	units := map[string]int64{}
	for _, c := range contents {
		name := text(c.Keys)
		if groups[name] == nil {
			groups[name], order = empty(b, c.Keys), append(order, name)
		}
		units[name]++
		for i, s := range b.Sums {
			if s.Kind == plan.SumHistogram {
				for _, leaf := range leaves(b, s, c, salt) {
					groups[name].Leaves[i][leaf]++
				}
				continue
			}
			groups[name].Sums[i].Add(groups[name].Sums[i], Contribution(b, s, c))
		}
	}
	var out []release.Group
	for _, name := range order {
		if len(b.Keys) == 0 || units[name] >= b.MinUnits {
			out = append(out, *groups[name])
		}
	}
	return out, nil
}

func empty(b *plan.Bounded, keys []any) *release.Group {
	g := &release.Group{Keys: keys, Sums: make([]*big.Int, len(b.Sums)), Leaves: make([]map[int]int64, len(b.Sums))}
	for i, s := range b.Sums {
		if s.Kind == plan.SumHistogram {
			g.Leaves[i] = map[int]int64{}
		} else {
			g.Sums[i] = new(big.Int)
		}
	}
	return g
}

// Bound gives the rows of every unit by group, at most GroupsPerUnit groups of a unit.
func Bound(b *plan.Bounded, tables Tables, salt string) ([]Content, error) {
	byUnit := map[int64][]Content{}
	at := map[string]int{}
	var units []int64
	for _, row := range eval.Relation(render.Settle(b).Input, tables.source) {
		unit, ok := eval.Value(&plan.Col{Index: b.Unit}, row.Values).(int64)
		keys, kept := keysOf(b, row.Values)
		if !ok || !kept {
			continue
		}
		name := strconv.FormatInt(unit, 10) + "\x00" + text(keys)
		i, have := at[name]
		if !have {
			if byUnit[unit] == nil {
				units = append(units, unit)
			}
			i = len(byUnit[unit])
			at[name] = i
			byUnit[unit] = append(byUnit[unit], Content{Unit: unit, Keys: keys})
		}
		byUnit[unit][i].Rows = append(byUnit[unit][i].Rows, row.Values)
	}
	var out []Content
	for _, u := range units {
		chosen := byUnit[u]
		for _, c := range chosen {
			if b.OneRow && len(c.Rows) > 1 {
				return nil, ErrClaim("one row a unit and group")
			}
		}
		if int64(len(chosen)) > b.GroupsPerUnit {
			if b.OneGroup {
				return nil, ErrClaim("one group a unit, or few declared ones")
			}
			sort.Slice(chosen, func(i, j int) bool {
				return hash(salt, u, chosen[i].Keys) < hash(salt, u, chosen[j].Keys)
			})
			chosen = chosen[:b.GroupsPerUnit]
		}
		out = append(out, chosen...)
	}
	return out, nil
}

// keysOf are the group keys of a row; false when one is NULL that the plan does not keep.
func keysOf(b *plan.Bounded, row []any) ([]any, bool) {
	keys := make([]any, len(b.Keys))
	for i, k := range b.Keys {
		keys[i] = eval.Value(k, row)
		if f, ok := keys[i].(float64); ok && f == 0 {
			keys[i] = 0.0 // not -0
		}
		if keys[i] == nil && !b.KeepNull[i] {
			return nil, false
		}
	}
	return keys, true
}

func text(keys []any) string { return fmt.Sprintf("%T%#v", keys, keys) }

func hash(salt string, unit int64, keys []any) string {
	s := salt + "|" + strconv.FormatInt(unit, 10)
	for _, k := range keys {
		s += "|"
		switch k := k.(type) {
		case nil:
			s += `\N`
		case time.Time:
			s += strconv.FormatInt(k.UnixMicro(), 10)
		case float64:
			s += strconv.FormatInt(int64(math.Floor(k)), 10)
		default:
			s += fmt.Sprint(k)
		}
	}
	sum := md5.Sum([]byte(s)) //nolint:gosec // as above
	return hex.EncodeToString(sum[:])
}

// Contribution is what a unit adds to one sum of one group: the sum of its rows, scaled to at most RowsPerGroup of them.
func Contribution(b *plan.Bounded, s plan.Sum, c Content) *big.Int {
	total := new(big.Int)
	for _, row := range c.Rows {
		met := s.Filter == nil || eval.Value(s.Filter, row) == true
		switch s.Kind {
		case plan.SumUnits:
			return big.NewInt(1)
		case plan.SumDistinct, plan.SumOwnerUnits:
			if met {
				return big.NewInt(1)
			}
		case plan.SumCount:
			if met && (s.Arg == nil || number(s.Arg, row)) {
				total.Add(total, big.NewInt(1))
			}
		default:
			if v, ok := steps(s, row); met && ok {
				total.Add(total, v)
			}
		}
	}
	if s.Kind == plan.SumDistinct || s.Kind == plan.SumOwnerUnits {
		return total
	}
	return scaled(total, int64(len(c.Rows)), b.RowsPerGroup)
}

// number says that an argument is there: not NULL, and finite.
func number(e plan.Expr, row []any) bool {
	v := eval.Value(e, row)
	f, isFloat := v.(float64)
	return v != nil && !(isFloat && (math.IsNaN(f) || math.IsInf(f, 0)))
}

// scaled is total R / n when n > R, rounded half away from zero.
func scaled(total *big.Int, n, r int64) *big.Int {
	if n <= r {
		return total
	}
	twice := new(big.Int).Mul(new(big.Int).Abs(total), big.NewInt(2*r))
	twice.Add(twice, big.NewInt(n))
	twice.Quo(twice, big.NewInt(2*n))
	if total.Sign() < 0 {
		twice.Neg(twice)
	}
	return twice
}

// steps is a measure in whole steps of its scale, from the midpoint, clamped; its square for squares.
func steps(s plan.Sum, row []any) (*big.Int, bool) {
	if !number(s.Arg, row) {
		return nil, false
	}
	x, ok := eval.Float(eval.Value(s.Arg, row))
	if !ok {
		return nil, false
	}
	x = math.Min(math.Max(x, s.Low), s.High)
	n, _ := big.NewFloat(math.Round((x - s.Midpoint) / s.Scale)).Int(nil)
	if s.Kind == plan.SumSquare {
		n = new(big.Int).Mul(n, n)
	}
	return n, true
}

// leaves are the leaves of a histogram that a unit's rows fall into, at most RowsPerGroup rows.
func leaves(b *plan.Bounded, s plan.Sum, c Content, salt string) []int {
	var out []int
	for _, row := range c.Rows {
		if s.Filter != nil && eval.Value(s.Filter, row) != true || !number(s.Arg, row) {
			continue
		}
		x, _ := eval.Float(eval.Value(s.Arg, row))
		x = math.Min(math.Max(x, s.Low), s.High)
		n := 1 << s.Levels
		leaf := 0
		if s.High > s.Low {
			leaf = min(int(math.Floor((x-s.Low)/(s.High-s.Low)*float64(n))), n-1)
		}
		out = append(out, leaf)
	}
	rank := func(leaf int) string {
		sum := md5.Sum([]byte(fmt.Sprintf("%s|%d|%d", salt, c.Unit, leaf))) //nolint:gosec // as above
		return hex.EncodeToString(sum[:])
	}
	sort.Slice(out, func(i, j int) bool { return rank(out[i]) < rank(out[j]) })
	return out[:min(int64(len(out)), b.RowsPerGroup)]
}
