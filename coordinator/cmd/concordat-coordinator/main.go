// Command concordat-coordinator is the enclave that sees no rows: it replicates manifests, budgets and the log, grants queries to
// workers, and serves people.
//
// Sees: metadata
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/rs/zerolog"

	"concordat.dev/coordinator/server"
	"concordat.dev/protocol/version"
)

func main() {
	err := run()
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "concordat-coordinator:", err)
	if errors.Is(err, server.ErrConfiguration) {
		os.Exit(2)
	}
	os.Exit(1)
}

func run() error {
	config := flag.String("config", "", "configuration `FILE` (YAML)")
	check := flag.Bool("check-config", false, "say every problem of the configuration and end with 2, or print it with its defaults")
	told := flag.Bool("version", false, "print the version")
	flag.Parse()
	if *told {
		_, err := fmt.Println(server.Program, version.Number)
		return err
	}
	if *config == "" || flag.NArg() > 0 {
		return fmt.Errorf("usage: concordat-coordinator --config FILE [--check-config], or concordat-coordinator --version")
	}
	if *check {
		return server.CheckConfig(*config, os.Stdout)
	}
	cfg, err := server.Load(*config)
	if err != nil {
		return err
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
