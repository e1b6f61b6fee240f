package engine

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"math/big"
	"time"

	"concordat.dev/sql/plan"
	"concordat.dev/sql/render"
	"concordat.dev/worker/release"
)

// Groups computes the bounded sums of every group. Order and number of the groups are private.
func (e *Engine) Groups(ctx context.Context, b *plan.Bounded, exempt map[plan.Expr]bool, params render.Params, k int64) ([]release.Group, error) {
	g := &grouping{engine: e, bounded: b, params: params, at: map[string]int{}}
	if err := g.sums(ctx); err != nil {
		return nil, g.failure(ctx, err)
	}
	for i, s := range b.Sums {
		if s.Kind == plan.SumHistogram {
			if err := g.histogram(ctx, i); err != nil {
				return nil, g.failure(ctx, err)
			}
		}
	}
	if b.Threshold {
		if err := g.details(ctx); err != nil {
			return nil, g.failure(ctx, err)
		}
		if err := g.isolation(ctx, exempt, k); err != nil {
			return nil, g.failure(ctx, err)
		}
	}
	return g.groups, nil
}

type grouping struct {
	engine  *Engine
	bounded *plan.Bounded
	params  render.Params
	groups  []release.Group
	at      map[string]int
}

func (g *grouping) failure(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return &Failure{"execute", err}
}

// rows runs a query and hands each row over, keys apart from the rest.
func (g *grouping) rows(ctx context.Context, query string, each func(key []any, rest []any) error) error {
	rows, err := g.engine.db.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	return scan(rows, len(g.bounded.Keys), each)
}

func scan(rows *sql.Rows, keys int, each func(key []any, rest []any) error) error {
	names, err := rows.Columns()
	if err != nil {
		return err
	}
	for rows.Next() {
		values := make([]any, len(names))
		into := make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
		for i := range values {
			values[i] = plainValue(values[i])
		}
		if err := each(values[:keys:keys], values[keys:]); err != nil {
			return err
		}
	}
	return rows.Err()
}

// plainValue maps the driver's types to those of release keys.
func plainValue(v any) any {
	switch v := v.(type) {
	case int8:
		return int64(v)
	case int16:
		return int64(v)
	case int32:
		return int64(v)
	case float64:
		if v == 0 {
			return 0.0 // -0 and 0 are one group
		}
	case time.Time:
		return v.UTC()
	}
	return v
}

func integer(v any) *big.Int {
	switch v := v.(type) {
	case int64:
		return big.NewInt(v)
	case *big.Int:
		return v
	}
	return new(big.Int)
}

func (g *grouping) find(key []any) (*release.Group, bool) {
	i, ok := g.at[keyText(key)]
	if !ok {
		return nil, false
	}
	return &g.groups[i], true
}

func keyText(key []any) string { return fmt.Sprintf("%T%#v", key, key) }

func (g *grouping) sums(ctx context.Context) error {
	n := len(g.bounded.Sums)
	return g.rows(ctx, render.Bounded(g.bounded, g.params), func(key, rest []any) error {
		group := release.Group{Keys: key, Sums: make([]*big.Int, n), Leaves: make([]map[int]int64, n)}
		for i, s := range g.bounded.Sums {
			if s.Kind == plan.SumHistogram {
				group.Leaves[i] = map[int]int64{}
				continue
			}
			group.Sums[i] = integer(rest[i])
		}
		g.at[keyText(key)] = len(g.groups)
		g.groups = append(g.groups, group)
		return nil
	})
}

func (g *grouping) histogram(ctx context.Context, sum int) error {
	return g.rows(ctx, render.Histogram(g.bounded, sum, g.params), func(key, rest []any) error {
		group, ok := g.find(key)
		if !ok {
			return nil // fewer units than min_units: left out before
		}
		leaf := int(integer(rest[0]).Int64())
		group.Leaves[sum][leaf] = integer(rest[1]).Int64()
		if g.bounded.Threshold {
			if group.LeafUnits == nil {
				group.LeafUnits = make([]map[int]int64, len(g.bounded.Sums))
			}
			if group.LeafUnits[sum] == nil {
				group.LeafUnits[sum] = map[int]int64{}
			}
			group.LeafUnits[sum][leaf] = integer(rest[2]).Int64()
		}
		return nil
	})
}

// details fills what threshold mode asks of every group besides its sums.
func (g *grouping) details(ctx context.Context) error {
	const width = 7
	n := len(g.bounded.Sums)
	return g.rows(ctx, render.Details(g.bounded, g.params), func(key, rest []any) error {
		group, ok := g.find(key)
		if !ok {
			return nil
		}
		group.UnitSets, group.RowSets = make([][16]byte, n), make([][16]byte, n)
		group.Top1, group.Top2, group.Absolute, group.NonZero = make([]*big.Int, n), make([]*big.Int, n), make([]*big.Int, n), make([]int64, n)
		if group.LeafUnits == nil {
			group.LeafUnits = make([]map[int]int64, n)
		}
		for i := range g.bounded.Sums {
			c := rest[i*width : (i+1)*width]
			group.UnitSets[i], group.RowSets[i] = set(c[0], c[1]), set(c[2], c[3])
			group.Top1[i], group.Top2[i] = top(c[4], 0), top(c[4], 1)
			group.NonZero[i], group.Absolute[i] = integer(c[5]).Int64(), integer(c[6])
		}
		return nil
	})
}

func set(low, high any) (out [16]byte) {
	a, _ := low.(uint64)
	b, _ := high.(uint64)
	binary.BigEndian.PutUint64(out[:8], a)
	binary.BigEndian.PutUint64(out[8:], b)
	return out
}

func top(list any, i int) *big.Int {
	values, _ := list.([]any)
	if i >= len(values) {
		return new(big.Int)
	}
	return integer(values[i])
}

// isolation takes every condition of the plan away, one at a time, and marks the groups of which that changes 1 to k-1 units (R10).
func (g *grouping) isolation(ctx context.Context, exempt map[plan.Expr]bool, k int64) error {
	forcing := &plan.Forcing{Exempt: exempt}
	variants := forcing.Variants(g.bounded)
	if variants == 0 {
		return nil
	}
	conn, err := g.engine.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	for _, sum := range g.filtered() {
		before := "members_before"
		if err := materialise(ctx, conn, before, render.Members(g.bounded, sum, g.params)); err != nil {
			return err
		}
		for i := range variants {
			forced := forcing.Variant(g.bounded, i)
			if err := materialise(ctx, conn, "members_after", render.Members(forced, sum, g.params)); err != nil {
				return err
			}
			if err := g.mark(ctx, conn, before, k); err != nil {
				return err
			}
		}
	}
	for _, name := range []string{"members_before", "members_after"} {
		if _, err := conn.ExecContext(context.WithoutCancel(ctx), "DROP TABLE IF EXISTS "+name); err != nil {
			return err
		}
	}
	return nil
}

// filtered are the cells whose units are tested: those of the group (-1), and those of each FILTER.
func (g *grouping) filtered() []int {
	out := []int{-1}
	seen := map[string]bool{}
	for i, s := range g.bounded.Sums {
		if s.Filter == nil {
			continue
		}
		if p := plan.Fingerprint(s.Filter); !seen[p] {
			seen[p] = true
			out = append(out, i)
		}
	}
	return out
}

func materialise(ctx context.Context, conn *sql.Conn, name, query string) error {
	_, err := conn.ExecContext(ctx, "CREATE OR REPLACE TEMP TABLE "+name+" AS "+query)
	return err
}

func (g *grouping) mark(ctx context.Context, conn *sql.Conn, before string, k int64) error {
	rows, err := conn.QueryContext(ctx, render.Changed(g.bounded, before, "members_after"))
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	return scan(rows, len(g.bounded.Keys), func(key, rest []any) error {
		changed := integer(rest[0]).Int64()
		if group, ok := g.find(key); ok && changed > 0 && changed < k {
			group.Isolated = true
		}
		return nil
	})
}
