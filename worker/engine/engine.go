// Package engine runs bounded plans in DuckDB. It is the only package besides sql/parse that links DuckDB, and the only one that
// holds rows in memory beyond a batch.
//
// Invariant: the database has no access to files, network or extensions, its configuration is locked, and it runs only SQL that
// sql/render printed; its error texts stay here.
//
// Sees: plaintext rows
package engine

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"github.com/duckdb/duckdb-go/v2"

	"concordat.dev/sql/render"
)

// ErrEngine is all that leaves of a failure inside the engine. The cause is for the log of the enclave alone.
var ErrEngine = errors.New("the engine failed")

// ErrMemory says that it failed since it had no more memory: what else ran at the same time took it, or the plan takes more than there is.
var ErrMemory = errors.New("the engine has no more memory")

// Failure is an engine's failure with its private cause.
type Failure struct {
	Op    string
	Cause error
}

// Error names the operation only: an engine's text may hold values.
func (f *Failure) Error() string { return "engine: " + f.Op + " failed" }

// Is makes every Failure an ErrEngine, and one of a query that found no more memory an ErrMemory.
func (f *Failure) Is(target error) bool {
	var d *duckdb.Error
	return target == ErrEngine || target == ErrMemory && errors.As(f.Cause, &d) && d.Type == duckdb.ErrorTypeOutOfMemory
}

// Config are the engine's limits.
type Config struct {
	Memory  string // such as "4GB"; empty: DuckDB's default, 80 % of the machine's
	Threads int    // 0: one a core
}

// Engine is a locked-down database in memory. It is safe for concurrent use.
type Engine struct {
	connector *duckdb.Connector
	db        *sql.DB
	mu        sync.RWMutex
	tables    map[string]loaded
	temporary int
}

// maxIdle is how many connections are kept for the next queries.
const maxIdle = 16

// Open starts an engine. Close it.
func Open(cfg Config) (*Engine, error) {
	connector, err := duckdb.NewConnector("", nil)
	if err != nil {
		return nil, &Failure{"open", err}
	}
	e := &Engine{connector: connector, db: sql.OpenDB(connector), tables: map[string]loaded{}}
	e.db.SetMaxIdleConns(maxIdle)
	for _, statement := range lockdown(cfg) {
		if _, err := e.db.Exec(statement); err != nil {
			return nil, errors.Join(&Failure{"lock down", fmt.Errorf("%s: %w", statement, err)}, e.Close())
		}
	}
	return e, nil
}

// lockdown is the order that DuckDB wants: extensions, resources, external access, and the lock last. Nothing is spilled: a query that finds
// no memory fails.
func lockdown(cfg Config) []string {
	out := []string{
		"SET autoinstall_known_extensions = false", "SET autoload_known_extensions = false", "SET allow_community_extensions = false",
		"SET ieee_floating_point_ops = false", "SET TimeZone = 'UTC'", "SET preserve_insertion_order = false", "SET enable_progress_bar = false",
		"SET temp_directory = ''", // rows never go to a disk
	}
	if cfg.Memory != "" {
		out = append(out, "SET memory_limit = "+render.Quote(cfg.Memory))
	}
	if cfg.Threads > 0 {
		out = append(out, fmt.Sprintf("SET threads = %d", cfg.Threads))
	}
	return append(out, "SET enable_external_access = false", "SET lock_configuration = true")
}

// Close frees the database and all rows in it.
func (e *Engine) Close() error { return errors.Join(e.db.Close(), e.connector.Close()) }

// Memory is how many bytes the database holds now, rows of datasets and of running queries together.
func (e *Engine) Memory(ctx context.Context) (int64, error) {
	var n int64
	if err := e.db.QueryRowContext(ctx, "SELECT CAST(sum(memory_usage_bytes) AS BIGINT) FROM duckdb_memory()").Scan(&n); err != nil {
		return 0, &Failure{"measure memory", err}
	}
	return n, nil
}

// Drop forgets a dataset and frees its rows.
func (e *Engine) Drop(ctx context.Context, name string) error {
	e.mu.Lock()
	table, ok := e.tables[name]
	delete(e.tables, name)
	e.mu.Unlock()
	if !ok {
		return nil
	}
	for _, statement := range table.forget {
		if _, err := e.db.ExecContext(ctx, statement); err != nil {
			return &Failure{"drop", err}
		}
	}
	return nil
}

// Tables tells where datasets are; names maps each dataset id to the name it was loaded under.
func (e *Engine) Tables(names map[string]string) (render.Tables, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	out := render.Tables{}
	for dataset, name := range names {
		t, ok := e.tables[name]
		if !ok {
			return nil, &Failure{"find dataset", errors.New(name + " is not loaded")}
		}
		out[dataset] = t.Table
	}
	return out, nil
}
