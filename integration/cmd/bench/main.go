// Command bench runs the benchmarks of the house one after another, so that none disturbs another, each in a process of its own, so that
// peak memory is its own. It prints their lines "figure NAME VALUE UNIT" and nothing else on standard output. With CONCORDAT_BENCH_SMALL=1
// all take a tenth of the rows.
//
// Invariant: a benchmark that fails is an error of the whole.
//
// Sees: metadata
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
)

// benchmarks are packages of integration/bench with the arguments for all rows and for a tenth of them.
var benchmarks = []struct {
	name        string
	full, small []string
}{
	{"query", nil, []string{"-scale", "0.1"}},
	{"datapath", []string{"-rows", "10000000"}, []string{"-rows", "1000000"}},
	{"mesh", []string{"-rows", "10000000"}, []string{"-rows", "1000000", "-concurrent", "10s"}},
	{"receipt", nil, []string{"-times", "50"}},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	var errs []error
	for _, b := range benchmarks {
		args := b.full
		if os.Getenv("CONCORDAT_BENCH_SMALL") == "1" {
			args = b.small
		}
		binary := dir + "/" + b.name
		build := command(ctx, "go", "build", "-tags", "duckdb_arrow", "-o", binary, "./bench/"+b.name)
		if err := build.Run(); err != nil {
			return fmt.Errorf("build %s: %w", b.name, err)
		}
		if err := command(ctx, binary, args...).Run(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", b.name, err))
		}
	}
	return errors.Join(errs...)
}

func command(ctx context.Context, name string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, name, args...) //nolint:gosec // G204: our own benchmarks
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) } // it ends its own processes
	return c
}
