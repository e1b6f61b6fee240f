// Command mesh measures a real mesh on this machine: how fast a CSV file that a client encrypts becomes a dataset that a query reads, with
// the memory that takes, how long a small query takes from request to receipt, and how many go through when many are asked at once. It
// prints lines "figure NAME VALUE UNIT".
//
// Invariant: a figure is printed only for what was accepted, released and came with a receipt.
//
// Sees: plaintext rows of files that it makes itself, and of the demo's public data
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"testing"
	"time"

	"concordat.dev/integration/harness"
)

func main() {
	rows := flag.Int("rows", defaultRows(), "rows of the file to ingest; 0: none")
	queries := flag.Int("queries", 500, "small queries to ask, one after another; 0: none")
	lasts := flag.Duration("concurrent", time.Minute, "how long 64 queries at once are asked; 0: not at all")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := harness.Run(ctx, func(tb testing.TB) { ask(tb, *queries) })
	err = errors.Join(err, harness.Run(ctx, func(tb testing.TB) { storm(tb, *lasts) }))
	err = errors.Join(err, harness.Run(ctx, func(tb testing.TB) { ingest(tb, *rows) }))
	if err != nil {
		fmt.Fprintln(os.Stderr, "mesh:", err)
		os.Exit(1)
	}
}

func defaultRows() int {
	if os.Getenv("CONCORDAT_BENCH_SMALL") == "1" {
		return 1_000_000
	}
	return 10_000_000
}

func figure(name string, value float64, unit string) {
	fmt.Printf("figure mesh_%s %.4g %s\n", name, value, unit)
}
