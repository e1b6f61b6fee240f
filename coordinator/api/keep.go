package api

import (
	"context"
	"time"

	"concordat.dev/coordinator/state"
)

// keepEvery is how often a coordinator looks whether data is to be destroyed.
const keepEvery = 10 * time.Second

// Keep destroys what policies let expire, and has this node's disk let go of older states whenever a key was destroyed, until the context
// ends. Compact takes a snapshot and drops all entries before it.
func (a *API) Keep(ctx context.Context, compact func() error) {
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	for { // what was destroyed before the start is compacted again: it may have been while this node was away
		changed := a.State.Changed()
		if now := a.State.Destructions(); now != a.Compacted() {
			if err := compact(); err != nil {
				a.Logger.Warn().Err(err).Msg("entries with destroyed keys remain on this disk, sealed: trying again")
			} else {
				a.compacted.Store(now)
			}
		}
		if a.Replica.Leader() == a.Replica.ID() && a.State.Due(a.Now()) {
			a.expire(ctx)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-changed:
		}
	}
}

// Compacted tells up to which destruction of keys this node's disk has let go of older states.
func (a *API) Compacted() uint64 { return a.compacted.Load() }

func (a *API) expire(ctx context.Context) {
	destroyed, _, err := state.Submit(ctx, a.Replica, a.Now(), state.Expire{})
	if err == nil {
		err = a.Store.Delete(ctx, destroyed.Objects...) // their keys are gone already
	}
	if err != nil {
		a.Logger.Warn().Err(err).Msg("expired data is not all gone: trying again")
	}
}
