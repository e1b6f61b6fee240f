// Command datapath measures how a CSV file becomes a table that queries read, stage by stage and as a whole, against the time in which
// plain DuckDB loads the same file into memory with the same threads. It prints lines "figure NAME VALUE UNIT".
//
// Invariant: nothing but the baseline reads the file in clear beside the client and ingest.
//
// Sees: plaintext rows of a file that it makes itself
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"

	"concordat.dev/worker/recycle"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "datapath:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	rows := flag.Int("rows", 2_000_000, "rows of the file")
	threads := flag.Int("threads", 2, "threads of DuckDB and of ingest")
	only := flag.String("only", "", "end after this stage, such as csv_ingest, for profiles")
	profile := flag.String("profile", "", "write a CPU profile here")
	flag.Parse()
	runtime.GOMAXPROCS(*threads)
	recycle.CollectEarly() // as the worker's program does
	dir, err := os.MkdirTemp("", "datapath")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // nothing can be done about it
	b := bench{rows: *rows, threads: *threads, dir: dir, file: filepath.Join(dir, "rows.csv"), only: *only, profile: *profile}
	if err := b.generate(); err != nil {
		return err
	}
	return b.all(ctx)
}
