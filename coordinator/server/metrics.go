package server

import (
	"context"
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"concordat.dev/coordinator/api"
	"concordat.dev/coordinator/dispatch"
	"concordat.dev/coordinator/raft"
	"concordat.dev/coordinator/witness"
	"concordat.dev/observe"
	release "concordat.dev/protocol/version"
)

// Program is this binary's name.
const Program = "concordat-coordinator"

// version names this program to clients.
const version = Program + "/" + release.Number

// errNotReady says that a decision could not be served now.
var errNotReady = errors.New("no leader or no ledger yet")

func collectors(folder string, node *raft.Node, workers *dispatch.Pool, cosign *witness.Collector, calls *api.API) []prometheus.Collector {
	out := append(observe.Process(Program, release.Number), observe.Disk(folder), node.Metrics(), workers.Metrics(), cosign.Metrics())
	return append(out, calls.Metrics()...)
}

// Metrics describes all that a coordinator tells.
func Metrics() []observe.Described {
	return observe.Describe(collectors("", &raft.Node{}, &dispatch.Pool{}, &witness.Collector{}, &api.API{})...)
}

// observed serves metrics and health for whoever runs this process, if the configuration says where.
func (s *Server) observed() (err error) {
	registry := prometheus.NewRegistry()
	for _, c := range collectors(s.cfg.DataDir, s.node, s.workers, s.cosign, s.api) {
		if err := registry.Register(c); err != nil {
			return err
		}
	}
	if s.metrics, err = observe.Listen(s.cfg.Metrics, observe.Handler(registry, s.fit), s.identity.PublicTLS(), s.log); err != nil {
		return err
	}
	s.done.Go(func() {
		if err := s.metrics.Serve(); err != nil {
			s.failed <- err
		}
	})
	return nil
}

// traced starts the tracing that the configuration asks for.
func (s *Server) traced(ctx context.Context) error {
	provider, end, err := observe.Export(ctx, s.cfg.Tracing, Program, s.cfg.Node)
	if err != nil {
		return err
	}
	s.tracer, s.untrace = observe.NewTracer(provider), end
	return nil
}

// fit says whether this coordinator can serve a decision now.
func (s *Server) fit(ctx context.Context) error {
	if s.node.Removed() {
		return raft.ErrRemoved
	}
	if err := s.node.Sync(ctx); err != nil || s.state.Basis().Ledger == "" {
		return errNotReady
	}
	return nil
}
