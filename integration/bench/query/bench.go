package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/duckdb/duckdb-go/v2"

	"concordat.dev/policies/decide"
	"concordat.dev/protocol/document"
	"concordat.dev/sql/bind"
	"concordat.dev/sql/parse"
	"concordat.dev/sql/plan"
	"concordat.dev/sql/render"
	"concordat.dev/worker/engine"
)

// bench holds the same rows in plain tables and in the engine.
type bench struct {
	connector *duckdb.Connector
	plain     *sql.DB
	engine    *engine.Engine
	parser    *parse.Parser
	policies  map[string]*document.Policy
	tables    render.Tables
}

func open(ctx context.Context, scale float64, threads int) (*bench, error) {
	b := &bench{policies: policies()}
	var err error
	if b.connector, err = duckdb.NewConnector("", nil); err != nil {
		return nil, err
	}
	b.plain = sql.OpenDB(b.connector)
	if b.engine, err = engine.Open(engine.Config{Threads: threads}); err != nil {
		return nil, err
	}
	if b.parser, err = parse.New(); err != nil {
		return nil, err
	}
	for _, statement := range generate(scale, threads) {
		if _, err := b.plain.ExecContext(ctx, statement); err != nil {
			return nil, fmt.Errorf("%s: %w", statement, err)
		}
	}
	return b, b.load(ctx)
}

func (b *bench) close() {
	_ = errors.Join(b.plain.Close(), b.connector.Close(), b.engine.Close(), b.parser.Close())
}

// generate makes the plain tables, in no order: persons' identifiers are SHA-256 in hex, or 63-bit integers.
func generate(scale float64, threads int) []string {
	persons, impressions, conversions := int(5e6*scale), int(1e7*scale), int(2.5e6*scale)
	letter := func(prefix, of string, n int) string {
		return fmt.Sprintf("'%s' || chr(97 + (%s %% %d)::INTEGER)", prefix, of, n)
	}
	return []string{
		fmt.Sprintf("SET threads = %d", threads), "SET preserve_insertion_order = false", "SET TimeZone = 'UTC'",
		fmt.Sprintf("CREATE TABLE persons AS SELECT range AS p, (hash(range + 77) >> 1)::BIGINT AS n, sha256(range::VARCHAR) AS hex FROM range(%d)", persons),
		fmt.Sprintf("CREATE TABLE raw_i AS SELECT p, h, %s AS campaign, ['ios', 'android', 'web'][1 + (h // 20) %% 3] AS device, "+
			"TIMESTAMP '2026-01-01' + to_seconds((h // 64) %% (180 * 86400)) AS shown_at "+
			"FROM (SELECT (hash(range) >> 2)::BIGINT AS h, (hash(range * 3 + 1) %% %d)::BIGINT AS p FROM range(%d))", letter("c", "h", campaigns), persons, impressions),
		fmt.Sprintf("CREATE TABLE raw_c AS SELECT p, h, (h %% 50000) / 100.0::DOUBLE AS amount, %s AS product, "+
			"TIMESTAMP '2026-01-01' + to_seconds((h // 640000) %% (180 * 86400)) AS converted_at "+
			"FROM (SELECT (hash(-range) >> 2)::BIGINT AS h, (hash(range * 5 + 2) %% %d)::BIGINT AS p FROM range(%d))", letter("p", "h // 50000", products), persons, conversions),
		"CREATE TABLE hex_i AS SELECT hex AS id, campaign, device, shown_at FROM raw_i JOIN persons USING (p)",
		"CREATE TABLE hex_c AS SELECT hex AS id, amount, product, converted_at FROM raw_c JOIN persons USING (p)",
		"CREATE TABLE int_i AS SELECT n AS id, campaign, device, shown_at FROM raw_i JOIN persons USING (p)",
		"CREATE TABLE int_c AS SELECT n AS id, amount, product, converted_at FROM raw_c JOIN persons USING (p)",
		fmt.Sprintf("CREATE TABLE hex_m AS SELECT sha256(range::VARCHAR) AS id, (hash(range * 7) %% %d)::INTEGER AS region FROM range(%d)", regions, impressions),
		fmt.Sprintf("CREATE TABLE hex_a AS SELECT sha256(range::VARCHAR) AS id, (hash(range * 11) %% 50000) / 100.0::DOUBLE AS balance FROM range(%d, %d)", impressions/2, impressions+impressions/2),
		fmt.Sprintf("CREATE TABLE int_m AS SELECT (hash(range + 77) >> 1)::BIGINT AS id, (hash(range * 7) %% %d)::INTEGER AS region FROM range(%d)", regions, impressions),
		fmt.Sprintf("CREATE TABLE int_a AS SELECT (hash(range + 77) >> 1)::BIGINT AS id, (hash(range * 11) %% 50000) / 100.0::DOUBLE AS balance FROM range(%d, %d)", impressions/2, impressions+impressions/2),
		"DROP TABLE raw_i", "DROP TABLE raw_c", "DROP TABLE persons",
	}
}

// load hands the rows with integer identifiers to the engine as sealed datasets come: in the order of their units.
func (b *bench) load(ctx context.Context) error {
	names := map[string]string{}
	for _, t := range tables {
		id, query := t.dataset, "SELECT "+t.columns+" FROM int"+t.suffix+" ORDER BY id"
		names[id] = id
		conn, err := b.connector.Connect(ctx)
		if err != nil {
			return err
		}
		arrow, err := duckdb.NewArrowFromConn(conn)
		if err != nil {
			return err
		}
		reader, err := arrow.QueryContext(ctx, query)
		if err != nil {
			return err
		}
		begin := time.Now()
		if err := b.engine.Load(ctx, id, b.policies[id], reader); err != nil {
			return errors.Join(err, cause(err))
		}
		reader.Release()
		figure("query_load_"+strings.ReplaceAll(id, ".", "_"), time.Since(begin).Seconds(), "s")
		if err := conn.Close(); err != nil {
			return err
		}
	}
	var err error
	b.tables, err = b.engine.Tables(names)
	return err
}

func cause(err error) error {
	var f *engine.Failure
	if errors.As(err, &f) {
		return f.Cause
	}
	return nil
}

// bounded is the plan that the engine runs for a query.
func (b *bench) bounded(ctx context.Context, q query) (*plan.Bounded, error) {
	text := q.named(func(t table) string { return t.dataset })
	tree, refused, err := b.parser.Parse(ctx, text)
	if err != nil {
		return nil, err
	}
	if tree == nil {
		return nil, fmt.Errorf("not read: %v", refused.All())
	}
	catalog := bind.Catalog{Datasets: map[string][]plan.Column{}}
	for id, p := range b.policies {
		for _, name := range slices.Sorted(keys(p.Columns)) {
			catalog.Datasets[id] = append(catalog.Datasets[id], plan.Column{Name: name, Type: plan.Type(p.Columns[name].Type)})
		}
	}
	d := decide.Decide(decide.Request{Plan: bind.Bind(tree, catalog, refused), Policies: b.policies}, refused)
	if d.Release == nil {
		return nil, fmt.Errorf("refused: %+v", d.Refusals)
	}
	return &d.Release.Bounded, nil
}

func keys(m map[string]document.Column) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func (b *bench) plainly(ctx context.Context, q query, prefix string) error {
	text := q.named(func(t table) string { return prefix + t.suffix })
	rows, err := b.plain.QueryContext(ctx, text)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		continue
	}
	return rows.Err()
}

// measure runs the three forms in turn, so that whatever else the machine does meets all of them.
func (b *bench) measure(ctx context.Context, q query, rounds int, show bool) error {
	bounded, err := b.bounded(ctx, q)
	if err != nil {
		return err
	}
	params := render.Params{Tables: b.tables, Salt: "73616c74"}
	if show {
		fmt.Fprintf(os.Stderr, "%s: %s\n\n", q.name, render.Bounded(bounded, params))
	}
	forms := map[string]func() error{
		"hex": func() error { return b.plainly(ctx, q, "hex") },
		"int": func() error { return b.plainly(ctx, q, "int") },
		"private": func() error {
			groups, err := b.engine.Groups(ctx, bounded, nil, params, 1)
			if err == nil && len(groups) == 0 {
				err = errors.New("no groups")
			}
			return errors.Join(err, cause(err))
		},
	}
	times := map[string][]float64{}
	for range rounds {
		for _, name := range []string{"hex", "private", "int"} {
			runtime.GC()
			begin := time.Now()
			if err := forms[name](); err != nil {
				return err
			}
			times[name] = append(times[name], time.Since(begin).Seconds()*1000)
		}
	}
	peaks := map[string]float64{}
	for _, name := range []string{"hex", "private"} {
		if peaks[name], err = b.peak(ctx, name, forms[name]); err != nil {
			return err
		}
		figure("query_"+q.name+"_peak_"+name, peaks[name]/1e6, "MB")
	}
	figure("query_"+q.name+"_peak_ratio", peaks["private"]/peaks["hex"], "of plain DuckDB over hex ids")
	for _, name := range []string{"hex", "int", "private"} {
		figure("query_"+q.name+"_"+name, median(times[name]), "ms")
	}
	figure("query_"+q.name+"_ratio_hex", median(times["private"])/median(times["hex"]), "of plain DuckDB over hex ids")
	figure("query_"+q.name+"_ratio_int", median(times["private"])/median(times["int"]), "of plain DuckDB over integer ids")
	return nil
}

// peak is the most memory that a database holds during a run, beyond its tables. It is sampled, in a run that is not timed.
func (b *bench) peak(ctx context.Context, name string, form func() error) (float64, error) {
	sample := b.engine.Memory
	if name != "private" {
		sample = func(ctx context.Context) (n int64, err error) {
			err = b.plain.QueryRowContext(ctx, "SELECT CAST(sum(memory_usage_bytes) AS BIGINT) FROM duckdb_memory()").Scan(&n)
			return n, err
		}
	}
	before, err := sample(ctx)
	if err != nil {
		return 0, err
	}
	done := make(chan error, 1)
	go func() { done <- form() }()
	most := before
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			return float64(most - before), err
		case <-tick.C:
			n, err := sample(ctx)
			if err != nil {
				return 0, errors.Join(err, <-done)
			}
			most = max(most, n)
		}
	}
}

func median(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}

func figure(name string, value float64, unit string) {
	fmt.Printf("figure %s %.4g %s\n", name, value, unit)
}
