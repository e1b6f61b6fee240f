package server

import (
	"context"
	"fmt"
	"time"

	"concordat.dev/protocol/marble"
	"concordat.dev/worker/keyrelease"
)

// releaseTimeout bounds how long a start waits for all vaults together.
const releaseTimeout = 3 * time.Minute

// released is the root that everything of this worker derives from: the mesh's secret, and with a file of vaults their keys as well.
func released(ctx context.Context, cfg Config, secret []byte) ([]byte, error) {
	if cfg.Vaults == "" {
		return secret, nil
	}
	file, err := keyrelease.Load(cfg.Vaults)
	if err != nil {
		return nil, fmt.Errorf("worker: %w", err)
	}
	sources, err := file.Sources(marble.Quote())
	if err != nil {
		return nil, fmt.Errorf("worker: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, releaseTimeout)
	defer cancel()
	root, err := keyrelease.Root(ctx, secret, sources...)
	if err != nil {
		return nil, fmt.Errorf("worker: %w", err)
	}
	return root, nil
}
