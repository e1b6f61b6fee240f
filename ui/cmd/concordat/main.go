// Command concordat is the command line of a data clean room: mesh, documents, datasets, queries and receipts.
//
// Sees: what ui/cli sees
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"concordat.dev/ui/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(cli.Run(ctx, os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}
