package server

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"concordat.dev/observe"
	"concordat.dev/protocol/answer"
	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/fault"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/worker/admission"
	"concordat.dev/worker/admit"
	"concordat.dev/worker/engine"
	"concordat.dev/worker/loader"
	"concordat.dev/worker/noise"
	"concordat.dev/worker/query"
	"concordat.dev/worker/storage"
)

// What runs at once, and waits, where the configuration does not say.
const (
	queriesPerThread = 2
	defaultQueue     = 256
	ingestsAtOnce    = 2
	ingestsQueued    = 16
	// What taking data in needs beside the engine, by the plaintext of the upload (integration/bench/datapath): columns in Arrow and what sorting and sealing them
	// takes, of packed texts more; runs bound it (storage.Writer).
	ingestLeast, ingestMost, ingestFactor = 64 << 20, 2 << 30, 6
)

// limits are those of the configuration, or the defaults.
func (c Config) limits() admission.Limits {
	out := admission.Limits{Running: c.Queries, Queued: c.Queue}
	if out.Running == 0 {
		threads := c.Threads
		if threads == 0 {
			threads = runtime.GOMAXPROCS(0)
		}
		out.Running = queriesPerThread * threads
	}
	if out.Queued == 0 {
		out.Queued = defaultQueue
	}
	return out
}

// memory is what tables and queries may take, in bytes: as configured, or four fifths of what the process may use.
func (c Config) memory() (int64, error) {
	if c.Memory != "" {
		return admission.ParseBytes(c.Memory)
	}
	total := admission.Machine()
	if total == 0 {
		return 0, errors.New("the memory of this machine can not be told: configure memory, such as 8GB")
	}
	return total / 5 * 4, nil
}

// requests are the datasets of the plan, in its order, each as a worker sealed it for this collaboration.
func (s *Server) requests(documents *admit.Documents, keys collaborationKeys, a *query.Analysis, sealed []*concordatv1.SealedDataset) ([]loader.Request, error) {
	given := map[string]*concordatv1.SealedDataset{}
	for _, d := range sealed {
		given[d.GetDataset()] = d
	}
	var out []loader.Request
	for _, id := range a.Decision.Datasets {
		d, ok := given[id]
		if !ok {
			return nil, fmt.Errorf("load: dataset %s is not among those granted", id)
		}
		if err := s.registered(documents, keys.before, d); err != nil {
			return nil, err
		}
		owner, err := documents.Owner(id)
		if err != nil {
			return nil, err
		}
		bound := binding(documents.Bundle.Manifest, owner, id, d.GetVersion())
		if d.GetOwner() != "" { // the owner's keys may have changed since
			bound.Owner = d.GetOwner()
		}
		out = append(out, loader.Request{
			Binding: bound,
			Sealed:  storage.Sealed{Digest: canon.Digest(d.GetDigest()), Objects: d.GetObjects(), Wrap: d.GetWrap()},
			Policy:  documents.Bundle.Policies[id], Wrapper: keys.wrapper,
		})
	}
	return out, nil
}

// execute runs a plan once there is room for it. One that finds no more memory, since the estimate was too low, runs again when nothing else does.
func (s *Server) execute(ctx context.Context, a *query.Analysis, requests []loader.Request, who string, key noise.Key) (answer.Answer, error) {
	work := loader.Work{Who: who, Datasets: requests, Need: func(rows func(string) int64) int64 {
		return engine.Needs(&a.Decision.Release.Bounded, rows)
	}}
	released, err := s.run(ctx, a, work, key)
	if errors.Is(err, engine.ErrMemory) && ctx.Err() == nil {
		work.Alone = true
		released, err = s.run(ctx, a, work, key)
	}
	return released, err
}

func (s *Server) run(ctx context.Context, a *query.Analysis, work loader.Work, key noise.Key) (answer.Answer, error) {
	waiting, admitted := s.tracer.Span(ctx, "acquire")
	held, err := s.loader.Acquire(waiting, work)
	admitted(err)
	if err != nil {
		return answer.Answer{}, err
	}
	defer held.Release()
	return (&query.Executor{Engine: s.engine, Noise: key}).Execute(ctx, a, held.Datasets)
}

// turn waits until another dataset, of so many bytes, may be taken in, and sets memory aside for it. Done ends that.
func (s *Server) turn(ctx context.Context, op, dataset string, bytes int64) (done func(), err error) {
	switch err := s.ingests.Enter(ctx, dataset, func() bool { return true }); {
	case errors.Is(err, admission.ErrBusy):
		return nil, connectError(fault.New(op, fault.Busy, admission.ErrBusy))
	case err != nil:
		return nil, connectError(fault.New(op, fault.Cancelled, err))
	}
	back, err := s.loader.Aside(ctx, min(ingestLeast+ingestFactor*bytes, ingestMost))
	if err != nil {
		s.ingests.Leave(func() {})
		return nil, connectError(fault.New(op, fault.Internal, err))
	}
	return func() {
		back()
		s.ingests.Leave(func() {})
	}, nil
}

// failed logs the cause of an incident inside and tells nothing of it.
func (s *Server) failed(ctx context.Context, r *concordatv1.ExecuteRequest, err error) error {
	if ctx.Err() != nil {
		return connectError(fault.New("execute", fault.Cancelled, ctx.Err()))
	}
	switch {
	case errors.Is(err, admission.ErrBusy):
		return connectError(fault.New("execute", fault.Busy, admission.ErrBusy))
	case errors.Is(err, loader.ErrTooLarge):
		observe.Log(ctx, s.log).Warn().Str(fieldIncident, r.GetIncident()).Err(err).Msg("query does not fit into memory")
		return connectError(fault.New("execute", fault.TooLarge, loader.ErrTooLarge))
	case errors.Is(err, storage.ErrAway):
		observe.Log(ctx, s.log).Error().Str(fieldIncident, r.GetIncident()).Err(err).Msg("dataset not loaded")
		return connectError(fault.New("execute", fault.Conflict, storage.ErrAway))
	}
	event := observe.Log(ctx, s.log).Error().Str(fieldIncident, r.GetIncident()).Err(err)
	var f *engine.Failure
	if errors.As(err, &f) && s.cfg.Mode == "simulation" {
		event = event.AnErr("cause", f.Cause) // on hardware the host reads this log
	}
	event.Msg("execution failed")
	return connectError(&fault.Fault{Op: "execute", Kind: fault.Internal, Incident: r.GetIncident(), Cause: errEngine})
}

// Stats is what this worker holds and does, for metrics.
func (s *Server) Stats() Stats {
	return Stats{Queries: s.loader.Stats(), Ingests: s.ingests.Counts()}
}

// Stats are counters since the start, and what goes on now.
type Stats struct {
	Queries loader.Stats
	Ingests admission.Counts
}
