package api

import (
	"context"
	"runtime/debug"
	"sync"
	"time"

	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
)

// How long asking the object store and the cluster may take for the status, and how often the store is asked.
const (
	healthLimit  = 500 * time.Millisecond
	storageEvery = 10 * time.Second
)

// health is what a coordinator tells of itself, without any data.
type health struct {
	started time.Time
	mu      sync.Mutex
	checked time.Time
	storage string
}

// fitness fills in how this coordinator is.
func (a *API) fitness(ctx context.Context, out *concordatv1.StatusResponse) {
	ctx, cancel := context.WithTimeout(ctx, healthLimit)
	defer cancel()
	out.Version, out.Started = build(), instant(a.health.started)
	given, waiting := a.Workers.Load()
	out.Running, out.Waiting = uint32(given), uint32(waiting) //nolint:gosec // never negative, and few
	out.CaughtUp = a.Replica.Sync(ctx) == nil
	out.Storage = a.storage(ctx)
	for _, w := range a.Workers.Workers() {
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
		h.checked, h.storage = now, "ok"
		if err := a.Store.Check(ctx); err != nil {
			a.Logger.Warn().Err(err).Msg("the object store does not answer")
			h.storage = "failing"
		}
	}
	return h.storage
}

// build names what runs: the version of the module, or of the source that it was built from, where the build says.
func build() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value[:min(12, len(s.Value))]
		}
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	return "development"
}
