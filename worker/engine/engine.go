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
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/duckdb/duckdb-go/v2"

	"concordat.dev/protocol/document"
	"concordat.dev/sql/render"
)

// ErrEngine is all that leaves of a failure inside the engine. The cause is for the log of the enclave alone.
var ErrEngine = errors.New("the engine failed")

// Failure is an engine's failure with its private cause.
type Failure struct {
	Op    string
	Cause error
}

// Error names the operation only: an engine's text may hold values.
func (f *Failure) Error() string { return "engine: " + f.Op + " failed" }

// Is makes every Failure an ErrEngine.
func (f *Failure) Is(target error) bool { return target == ErrEngine }

// Config are the engine's limits.
type Config struct {
	Memory  string // such as "4GB"; empty: DuckDB's default, 80 % of the machine's
	Threads int    // 0: one a core
	Spill   string // directory for spilling, on storage that the enclave encrypts; empty: no spilling
}

// Engine is a locked-down database in memory. It is safe for concurrent use.
type Engine struct {
	connector *duckdb.Connector
	db        *sql.DB
	mu        sync.RWMutex
	tables    map[string]render.Table
	temporary int
}

// Open starts an engine. Close it.
func Open(cfg Config) (*Engine, error) {
	connector, err := duckdb.NewConnector("", nil)
	if err != nil {
		return nil, &Failure{"open", err}
	}
	e := &Engine{connector: connector, db: sql.OpenDB(connector), tables: map[string]render.Table{}}
	for _, statement := range lockdown(cfg) {
		if _, err := e.db.Exec(statement); err != nil {
			return nil, errors.Join(&Failure{"lock down", fmt.Errorf("%s: %w", statement, err)}, e.Close())
		}
	}
	return e, nil
}

// lockdown is the order that DuckDB wants: extensions, resources, external access, and the lock last.
func lockdown(cfg Config) []string {
	out := []string{
		"SET autoinstall_known_extensions = false", "SET autoload_known_extensions = false", "SET allow_community_extensions = false",
		"SET ieee_floating_point_ops = false", "SET TimeZone = 'UTC'", "SET preserve_insertion_order = false", "SET enable_progress_bar = false",
		"SET temp_directory = " + render.Quote(cfg.Spill),
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

// Load puts a dataset into memory under a name, which then means these rows. The reader's unit column is a 64-bit integer
// (ingest.Numbered). Policy says at which grain and within which bounds queries see the columns.
func (e *Engine) Load(ctx context.Context, name string, policy *document.Policy, reader array.RecordReader) error {
	e.mu.Lock()
	e.temporary++
	id := e.temporary
	e.mu.Unlock()
	conn, err := e.connector.Connect(ctx)
	if err != nil {
		return &Failure{"connect", err}
	}
	defer func() { _ = conn.Close() }()
	arrow, err := duckdb.NewArrowFromConn(conn)
	if err != nil {
		return &Failure{"load", err}
	}
	view, table := fmt.Sprintf("view_%d", id), fmt.Sprintf("data_%d", id)
	release, err := arrow.RegisterView(reader, view)
	if err != nil {
		return &Failure{"load", err}
	}
	// Never anything but one SELECT * into a table: filters and projections on a registered view give wrong rows.
	err = run(ctx, conn, "CREATE TABLE "+table+" AS SELECT * FROM "+view)
	if dropped := run(context.WithoutCancel(ctx), conn, "DROP VIEW IF EXISTS "+view); err == nil {
		err = dropped
	}
	release()
	if err == nil {
		err = reader.Err()
	}
	if err != nil {
		_ = run(context.WithoutCancel(ctx), conn, "DROP TABLE IF EXISTS "+table)
		return &Failure{"load", err}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.tables[name] = describe(table, policy)
	return nil
}

func run(ctx context.Context, conn driver.Conn, statement string) error {
	execer, ok := conn.(driver.ExecerContext)
	if !ok {
		return errors.New("the driver can not execute")
	}
	_, err := execer.ExecContext(ctx, statement, nil)
	return err
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
	if _, err := e.db.ExecContext(ctx, "DROP TABLE "+table.Name); err != nil {
		return &Failure{"drop", err}
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
		out[dataset] = t
	}
	return out, nil
}

// describe prints a dataset's columns as queries see them: measures within their bounds, times at their grain.
func describe(table string, policy *document.Policy) render.Table {
	out := render.Table{Name: table, Columns: map[string]string{}, Raw: map[string]string{}}
	for name, c := range policy.Columns {
		column := render.Identifier(name)
		out.Columns[name] = column
		switch {
		case c.Role == "measure" && c.Bounds != nil:
			out.Columns[name] = bounded(column, c)
		case c.Role == "time" && c.Grain != "":
			out.Columns[name], out.Raw[name] = truncated(column, c), column
		}
	}
	return out
}

func bounded(column string, c document.Column) string {
	low, high := fmt.Sprintf("%v", c.Bounds[0]), fmt.Sprintf("%v", c.Bounds[1])
	kind := "DOUBLE"
	if c.Type == "integer" || c.Type == "bigint" {
		kind = "BIGINT"
		low, high = fmt.Sprintf("%.0f", c.Bounds[0]), fmt.Sprintf("%.0f", c.Bounds[1])
	}
	return fmt.Sprintf("CASE WHEN %[1]s IS NOT NULL THEN least(greatest(CAST(%[1]s AS %[4]s), CAST(%[2]s AS %[4]s)), CAST(%[3]s AS %[4]s)) END", column, low, high, kind)
}

func truncated(column string, c document.Column) string {
	kind := "TIMESTAMP"
	if c.Type == "date" {
		if c.Grain == "day" {
			return column
		}
		kind = "DATE"
	}
	return fmt.Sprintf("CAST(date_trunc(%s, %s) AS %s)", render.Quote(strings.ToLower(c.Grain)), column, kind)
}
