// Package study holds what the demo's questions come to without noise: computed from the tables as they are, by plain SQL that was written
// by hand from the policies and PRIVACY.md section 5, not from the plans of Concordat.
//
// Invariant: nothing here runs code that it is compared with.
//
// Sees: plaintext rows of the demo's public data
package study

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/duckdb/duckdb-go/v2" // the plain engine
)

//go:embed truth/*.sql
var truth embed.FS

// Kinds of truth: with clamping and bounding, and without.
const (
	Bounded = "bounded"
	Raw     = "raw"
)

// Cells are the true values of one question by group and column.
type Cells map[string]float64

// Cell names a value: its group keys as text, in the order of the answer's columns, and its column.
func Cell(keys []any, column string) string {
	var b strings.Builder
	for _, k := range keys {
		fmt.Fprintf(&b, "%v, ", k)
	}
	return b.String() + column
}

// Engine is plain DuckDB over the tables clinic, laboratory and registry.
type Engine struct{ db *sql.DB }

// Open loads the CSV file of each dataset.
func Open(ctx context.Context, files map[string]string) (*Engine, error) {
	db, err := sql.Open("duckdb", "")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	for dataset, file := range files {
		table, _, _ := strings.Cut(dataset, ".")
		query := fmt.Sprintf("CREATE TABLE %s AS SELECT * FROM read_csv('%s', header = true, auto_detect = true, sample_size = -1)", table, strings.ReplaceAll(file, "'", "''")) //nolint:gosec // G201: a test's own names
		if _, err := db.ExecContext(ctx, query); err != nil {
			return nil, errors.Join(fmt.Errorf("load %s: %w", dataset, err), db.Close())
		}
	}
	return &Engine{db}, nil
}

// Close frees the tables.
func (e *Engine) Close() error { return e.db.Close() }

// Truth computes a question of the study, Bounded or Raw. Keys is the number of leading columns that are group keys.
func (e *Engine) Truth(ctx context.Context, question, kind string, keys int) (cells Cells, err error) {
	text, err := truth.ReadFile("truth/" + question + "." + kind + ".sql")
	if err != nil {
		return nil, fmt.Errorf("nobody has written what %s comes to: %w", question, err)
	}
	rows, err := e.db.QueryContext(ctx, string(text))
	if err != nil {
		return nil, fmt.Errorf("%s, %s: %w", question, kind, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	cells = Cells{}
	for rows.Next() {
		values := make([]any, len(names))
		into := make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, fmt.Errorf("%s, %s: %w", question, kind, err)
		}
		for i := keys; i < len(names); i++ {
			if cells[Cell(values[:keys], names[i])], err = number(values[i]); err != nil {
				return nil, fmt.Errorf("%s, %s: %s: %w", question, kind, names[i], err)
			}
		}
	}
	return cells, rows.Err()
}

func number(v any) (float64, error) {
	switch v := v.(type) {
	case int64:
		return float64(v), nil
	case float64:
		return v, nil
	case *big.Int:
		f, _ := new(big.Float).SetInt(v).Float64()
		return f, nil
	case duckdb.Decimal:
		return v.Float64(), nil
	}
	return 0, fmt.Errorf("%T is no number", v)
}
