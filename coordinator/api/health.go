package api

import (
	"context"
	"sync"
	"time"

	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/version"
)

// How long asking the object store and the cluster may take for the status, and how often the store is asked.
const (
	healthLimit  = 500 * time.Millisecond
	storageEvery = 10 * time.Second
)

// What is told of the object store.
const (
	storageOK      = "ok"
	storageFailing = "failing"
)

// health is what a coordinator tells of itself, without any data.
type health struct {
	started time.Time
	mu      sync.Mutex
	checked time.Time
	storage string
}

// fitness is how a coordinator is now.
type fitness struct {
	*API
	caughtUp bool
	storage  string
}

// fitness asks the cluster and the object store, which may take a moment: the rest of a status is read afterwards.
func (a *API) fitness(ctx context.Context) fitness {
	ctx, cancel := context.WithTimeout(ctx, healthLimit)
	defer cancel()
	return fitness{a, a.Replica.Sync(ctx) == nil, a.storage(ctx)}
}

// tell fills in how this coordinator is.
func (f fitness) tell(out *concordatv1.StatusResponse) {
	out.Version, out.Started, out.CaughtUp, out.Storage = version.Number, instant(f.health.started), f.caughtUp, f.storage
	given, waiting := f.Workers.Load()
	out.Running, out.Waiting = uint32(given), uint32(waiting) //nolint:gosec // never negative, and few
	for _, w := range f.Workers.Workers() {
		for _, told := range out.GetWorkers() {
			if told.GetId() == w.ID {
				told.Running, told.Queued, told.Slots = uint32(w.Running), uint32(w.Queued), uint32(w.Slots) //nolint:gosec // never negative, and few
			}
		}
	}
}

// storage says whether the object store answers. Strangers ask for the status too, so it is not asked each time.
func (a *API) storage(ctx context.Context) string {
	h := &a.health
	h.mu.Lock()
	defer h.mu.Unlock()
	if now := a.Now(); h.storage == "" || now.Sub(h.checked) >= storageEvery {
		h.checked, h.storage = now, storageOK
		if err := a.Store.Check(ctx); err != nil {
			a.Logger.Warn().Err(err).Msg("the object store does not answer")
			h.storage = storageFailing
		}
	}
	return h.storage
}
