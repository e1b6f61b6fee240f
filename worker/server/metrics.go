package server

import (
	"context"
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"concordat.dev/observe"
	release "concordat.dev/protocol/version"
	"concordat.dev/worker/admission"
	"concordat.dev/worker/loader"
)

// Program is this binary's name.
const Program = "concordat-worker"

// version names this program in receipts. It is the same in every build of one source, and so is the measurement.
const version = Program + "/" + release.Number

// errNotReady says that this worker takes no work now.
var errNotReady = errors.New("it does not serve yet, or is ending")

func collectors(folder string, loaded *loader.Loader, queries, ingests *admission.Gate) []prometheus.Collector {
	return append(observe.Process(Program, release.Number), observe.Disk(folder), loaded.Metrics(),
		admission.Metrics(map[string]func() admission.Counts{"query": queries.Counts, "ingest": ingests.Counts}))
}

// Metrics describes all that a worker tells.
func Metrics() []observe.Described {
	return observe.Describe(collectors("", &loader.Loader{}, &admission.Gate{}, &admission.Gate{})...)
}

// observed serves metrics and health for whoever runs this process, if the configuration says where.
func (s *Server) observed(failed chan<- error) (err error) {
	registry := prometheus.NewRegistry()
	for _, c := range collectors(s.cfg.DataDir, s.loader, s.loader.Gate, s.ingests) {
		if err := registry.Register(c); err != nil {
			return err
		}
	}
	if s.metrics, err = observe.Listen(s.cfg.Metrics, observe.Handler(registry, s.fit), s.identity.PublicTLS(), s.log); err != nil {
		return err
	}
	s.done.Go(func() {
		if err := s.metrics.Serve(); err != nil {
			failed <- err
		}
	})
	return nil
}

// fit says whether this worker takes work now.
func (s *Server) fit(context.Context) error {
	if !s.serving.Load() {
		return errNotReady
	}
	return nil
}

// traced starts the tracing that the configuration asks for.
func (s *Server) traced(ctx context.Context) error {
	provider, end, err := observe.Export(ctx, s.cfg.Tracing, Program, s.cfg.Worker)
	if err != nil {
		return err
	}
	s.tracer, s.untrace = observe.NewTracer(provider), end
	return nil
}
