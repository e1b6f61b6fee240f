package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
	"github.com/rs/zerolog"

	"concordat.dev/observe"
	"concordat.dev/protocol/gen/concordat/v1/concordatv1connect"
	"concordat.dev/protocol/marble"
	"concordat.dev/worker/admission"
	"concordat.dev/worker/admit"
	"concordat.dev/worker/engine"
	"concordat.dev/worker/follow"
	"concordat.dev/worker/loader"
	"concordat.dev/worker/query"
	"concordat.dev/worker/storage"
)

const (
	headerTimeout   = 10 * time.Second
	shutdownTimeout = 10 * time.Second
	announceEvery   = time.Second
	maxRequest      = 64 << 20
	sweepEvery      = time.Minute
	keepIdle        = 30 * time.Minute // how long rows stay in memory that no query asks for
)

// followLabel derives the key that seals what was seen of ledgers.
const followLabel = "concordat/v1/follow"

// Server is a running worker.
type Server struct {
	cfg      Config
	identity *marble.Identity
	log      zerolog.Logger
	mesh     admit.Mesh
	store    *storage.Store
	secrets  *storage.Wrapper // of this mesh, for what belongs to no collaboration
	estates  estates
	admitted admitted
	loader   *loader.Loader
	ledgers  *follow.Follower
	analyser *query.Analyser
	engine   *engine.Engine
	ingests  *admission.Gate
	http     *http.Server
	metrics  *observe.Server // nil where nothing is told
	tracer   observe.Tracer
	untrace  func(context.Context) error
	serving  atomic.Bool
	done     sync.WaitGroup
	circle   circle
}

// Run activates the marble and serves until the context ends.
func Run(ctx context.Context, cfg Config, getenv func(string) string, log zerolog.Logger) error {
	identity, err := marble.Join(ctx, getenv, cfg.Mesh.MarbleRunManifest)
	if err != nil {
		return err
	}
	cfg.Mesh.MarbleRunManifest = identity.ManifestDigest().String()
	if identity.Secret, err = released(ctx, cfg, identity.Secret); err != nil {
		return err
	}
	s, err := New(ctx, cfg, identity, log)
	if err != nil {
		return err
	}
	return errors.Join(s.Serve(ctx), s.Close()) //nolint:contextcheck // what runs is ended also when the context is
}

// New prepares a worker as an activated marble.
func New(ctx context.Context, cfg Config, identity *marble.Identity, log zerolog.Logger) (*Server, error) {
	s := &Server{cfg: cfg, identity: identity, log: log, mesh: admit.Mesh{
		Mode: cfg.Mode, MarbleRunManifest: cfg.Mesh.MarbleRunManifest, Coordinator: cfg.Mesh.Coordinator, Root: identity.Root,
	}}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("worker: start %s: %w", cfg.Worker, err), s.Close()) //nolint:contextcheck // as above
	}
	return s, nil
}

func (s *Server) open(ctx context.Context) error {
	if err := s.traced(ctx); err != nil {
		return err
	}
	sealing, err := s.identity.Derive(followLabel, follow.KeySize)
	if err != nil {
		return err
	}
	if s.ledgers, err = follow.New(s.cfg.DataDir, sealing); err != nil {
		return err
	}
	if s.secrets, err = storage.NewWrapper(s.identity.Secret); err != nil {
		return err
	}
	if s.store, err = storage.Open(ctx, s.cfg.ObjectStore); err != nil {
		return err
	}
	if s.analyser, err = query.NewAnalyser(); err != nil {
		return err
	}
	memory, err := s.cfg.memory()
	if err != nil {
		return err
	}
	if s.engine, err = engine.Open(engine.Config{Memory: fmt.Sprintf("%dB", memory), Threads: s.cfg.Threads}); err != nil {
		return err
	}
	s.ingests = admission.New(admission.Limits{Running: ingestsAtOnce, Queued: ingestsQueued}, time.Now)
	s.loader = &loader.Loader{Store: s.store, Engine: s.engine, Now: time.Now, Gate: admission.New(s.cfg.limits(), time.Now), Budget: memory}
	return nil
}

// Serve answers coordinators until the context ends.
func (s *Server) Serve(ctx context.Context) error {
	l, err := net.Listen("tcp", s.cfg.Listen)
	if err != nil {
		return fmt.Errorf("worker: listen: %w", err)
	}
	s.cfg.Listen = l.Addr().String()
	mux := http.NewServeMux()
	calls := connect.WithInterceptors(observe.Calls{Tracer: s.tracer, Trusted: true}) // coordinators of this mesh alone
	mux.Handle(concordatv1connect.NewWorkerServiceHandler(service{s}, connect.WithReadMaxBytes(maxRequest), calls))
	mux.Handle(concordatv1connect.NewWorkerHandoverServiceHandler(service{s}, connect.WithReadMaxBytes(maxRequest), calls))
	s.http = &http.Server{Handler: mux, TLSConfig: s.identity.ServerTLS(marble.Coordinator), ReadHeaderTimeout: headerTimeout}
	failed := make(chan error, 2)
	if err := s.observed(failed); err != nil {
		return errors.Join(err, l.Close())
	}
	s.done.Go(func() {
		if err := s.http.ServeTLS(l, "", ""); !errors.Is(err, http.ErrServerClosed) {
			failed <- fmt.Errorf("worker: serve: %w", err)
		}
	})
	for _, address := range s.cfg.Coordinators {
		s.meet(ctx, address, true)
	}
	s.done.Go(func() { s.sweep(ctx) })
	s.log.Info().Str("listen", s.cfg.Listen).Msg("worker serves")
	s.serving.Store(true)
	defer s.serving.Store(false)
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return err
	}
}

// sweep frees datasets that nobody has asked for in a while.
func (s *Server) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := s.loader.Sweep(ctx, keepIdle); err != nil && ctx.Err() == nil {
				s.log.Error().Err(err).Msg("sweep of loaded datasets")
			}
		}
	}
}

// Close ends what is running and frees everything.
func (s *Server) Close() error {
	var errs []error
	if s.http != nil {
		ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
		defer cancel()
		if err := s.http.Shutdown(ctx); err != nil {
			errs = append(errs, s.http.Close())
		}
	}
	errs = append(errs, s.metrics.Close())
	s.done.Wait()
	if s.engine != nil {
		errs = append(errs, s.engine.Close())
	}
	if s.analyser != nil {
		errs = append(errs, s.analyser.Close())
	}
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	if s.untrace != nil {
		ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
		defer cancel()
		errs = append(errs, s.untrace(ctx))
	}
	return errors.Join(errs...)
}
