// Command concordat-worker is the enclave that sees rows. `concordat-worker sandbox` runs the same code over local files.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"concordat.dev/worker/sandbox"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string) int {
	if len(args) > 0 && args[0] == "sandbox" {
		return sandbox.Main(ctx, args[1:], os.Stdin, os.Stdout, os.Stderr)
	}
	return 2
}
