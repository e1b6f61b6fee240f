// Command concordat-coordinator is the enclave that sees no rows: it replicates manifests, budgets and the log, grants queries to
// workers, and serves people.
//
// Sees: metadata
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/rs/zerolog"

	"concordat.dev/coordinator/server"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "concordat-coordinator:", err)
		os.Exit(1)
	}
}

func run() error {
	config := flag.String("config", "", "configuration `FILE` (YAML)")
	ready := flag.Bool("ready", false, "ask the coordinator that runs by this configuration whether it can decide now, and end")
	flag.Parse()
	if *config == "" || flag.NArg() > 0 {
		return fmt.Errorf("usage: concordat-coordinator --config FILE [--ready]")
	}
	cfg, err := server.Load(*config)
	if err != nil {
		return err
	}
	if *ready {
		return server.Ready(context.Background(), cfg)
	}
	level, err := zerolog.ParseLevel(cfg.LogLevel)
	if err != nil {
		return fmt.Errorf("configuration: log_level: %w", err)
	}
	if cfg.LogLevel == "" {
		level = zerolog.InfoLevel
	}
	log := zerolog.New(os.Stderr).Level(level).With().Timestamp().Str("node", cfg.Node).Logger()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return server.Run(ctx, cfg, os.Getenv, log)
}
