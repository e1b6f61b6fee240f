// Command query measures what privacy costs a query: the bounded form that the engine runs against the plain DuckDB query over the
// identifiers as they were uploaded (hex digests) and over integers, in the same run on the same machine. It prints lines
// "figure NAME VALUE UNIT"; the ratios are what counts.
//
// Invariant: all forms read the same made-up rows, and only time in the engine is measured, not loading.
//
// Sees: made-up rows only
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "query:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	scale := flag.Float64("scale", 1, "1: 10 million impressions, 2.5 million conversions, 5 million persons")
	threads := flag.Int("threads", 2, "threads of DuckDB")
	rounds := flag.Int("rounds", 3, "rounds; the figures are medians")
	only := flag.String("only", "", "run the queries whose names hold this, for profiles")
	show := flag.Bool("sql", false, "print the SQL of the bounded forms")
	flag.Parse()
	b, err := open(ctx, *scale, *threads)
	if err != nil {
		return err
	}
	defer b.close()
	for _, q := range queries {
		if !strings.Contains(q.name, *only) {
			continue
		}
		if err := b.measure(ctx, q, *rounds, *show); err != nil {
			return fmt.Errorf("%s: %w", q.name, err)
		}
	}
	return nil
}
