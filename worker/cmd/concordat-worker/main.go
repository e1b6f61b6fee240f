// Command concordat-worker is the enclave that sees rows: it judges texts, takes datasets in, and releases aggregates to coordinators
// of its mesh. `concordat-worker sandbox` runs the same code over files of one's own machine.
//
// Sees: plaintext rows
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

	"concordat.dev/protocol/version"
	"concordat.dev/worker/recycle"
	"concordat.dev/worker/sandbox"
	"concordat.dev/worker/server"
)

func main() {
	recycle.CollectEarly()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string) int {
	if len(args) > 0 && args[0] == "sandbox" {
		return sandbox.Main(ctx, args[1:], os.Stdin, os.Stdout, os.Stderr)
	}
	if err := serve(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "concordat-worker:", err)
		if errors.Is(err, server.ErrConfiguration) {
			return 2
		}
		return 1
	}
	return 0
}

func serve(ctx context.Context) error {
	config := flag.String("config", "", "configuration `FILE` (YAML)")
	check := flag.Bool("check-config", false, "say every problem of the configuration and end with 2, or print it with its defaults")
	told := flag.Bool("version", false, "print the version")
	vaults := flag.String("vaults", "", "`FILE` of vaults that have to release a key before anything can be read (YAML)")
	flag.Parse()
	if *told {
		_, err := fmt.Println(server.Program, version.Number)
		return err
	}
	if *config == "" || flag.NArg() > 0 {
		return fmt.Errorf("usage: concordat-worker --config FILE [--check-config] [--vaults FILE], concordat-worker --version, or concordat-worker sandbox --help")
	}
	if *check {
		return server.CheckConfig(*config, *vaults, os.Stdout)
	}
	cfg, err := server.Load(*config)
	if err != nil {
		return err
	}
	cfg.Vaults = *vaults
	level := zerolog.InfoLevel
	if cfg.LogLevel != "" {
		if level, err = zerolog.ParseLevel(cfg.LogLevel); err != nil {
			return fmt.Errorf("configuration: log_level: %w", err)
		}
	}
	log := zerolog.New(os.Stderr).Level(level).With().Timestamp().Str("worker", cfg.Worker).Logger()
	return server.Run(ctx, cfg, os.Getenv, log)
}
