package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/duckdb/duckdb-go/v2"

	"concordat.dev/protocol/upload"
)

// plainly runs work on a plain DuckDB in memory with the bench's threads.
func (b *bench) plainly(ctx context.Context, work func(*sql.DB) error) error {
	c, err := duckdb.NewConnector("", nil)
	if err != nil {
		return err
	}
	db := sql.OpenDB(c)
	if _, err := db.ExecContext(ctx, fmt.Sprintf("SET threads = %d", b.threads)); err != nil {
		return errors.Join(err, db.Close())
	}
	return errors.Join(work(db), db.Close())
}

// duckdb loads the file into memory as anybody would.
func (b *bench) duckdb(ctx context.Context, load string) error {
	return b.plainly(ctx, func(db *sql.DB) error {
		if load != "" {
			_, err := db.ExecContext(ctx, "CREATE TABLE t AS "+fmt.Sprintf(load, b.file))
			return err
		}
		f, err := os.Open(b.file)
		if err != nil {
			return err
		}
		defer f.Close() //nolint:errcheck // only read
		r, err := ipc.NewReader(f)
		if err != nil {
			return err
		}
		defer r.Release()
		conn, err := db.Conn(ctx)
		if err != nil {
			return err
		}
		defer conn.Close() //nolint:errcheck // in memory
		return conn.Raw(func(raw any) error {
			a, err := duckdb.NewArrowFromConn(raw.(*duckdb.Conn))
			if err != nil {
				return err
			}
			release, err := a.RegisterView(r, "v")
			if err != nil {
				return err
			}
			defer release()
			_, err = raw.(*duckdb.Conn).ExecContext(ctx, "CREATE TABLE t AS SELECT * FROM v", nil)
			return err
		})
	})
}

// write makes the Parquet and Arrow files of the CSV file.
func (b *bench) write(ctx context.Context) error {
	if b.format == upload.CSV {
		return nil
	}
	csv := strings.TrimSuffix(strings.TrimSuffix(b.file, ".parquet"), ".arrow") + ".csv"
	return b.plainly(ctx, func(db *sql.DB) error {
		if b.format == upload.Parquet {
			_, err := db.ExecContext(ctx, fmt.Sprintf("COPY (SELECT * FROM read_csv('%s')) TO '%s' (FORMAT parquet)", csv, b.file))
			return err
		}
		conn, err := db.Conn(ctx)
		if err != nil {
			return err
		}
		defer conn.Close() //nolint:errcheck // in memory
		return conn.Raw(func(raw any) error {
			a, err := duckdb.NewArrowFromConn(raw.(*duckdb.Conn))
			if err != nil {
				return err
			}
			rows, err := a.QueryContext(ctx, fmt.Sprintf("SELECT * FROM read_csv('%s')", csv))
			if err != nil {
				return err
			}
			defer rows.Release()
			f, err := os.Create(b.file)
			if err != nil {
				return err
			}
			w := ipc.NewWriter(f, ipc.WithSchema(rows.Schema()))
			for rows.Next() {
				if err := w.Write(rows.RecordBatch()); err != nil {
					return errors.Join(err, f.Close())
				}
			}
			return errors.Join(rows.Err(), w.Close(), f.Close())
		})
	})
}
