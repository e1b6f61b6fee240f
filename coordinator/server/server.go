package server

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	stdlog "log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"concordat.dev/coordinator/api"
	"concordat.dev/coordinator/dispatch"
	"concordat.dev/coordinator/flight"
	"concordat.dev/coordinator/listen"
	ledgerlog "concordat.dev/coordinator/log"
	"concordat.dev/coordinator/raft"
	"concordat.dev/coordinator/seal"
	"concordat.dev/coordinator/signin"
	"concordat.dev/coordinator/state"
	"concordat.dev/coordinator/store"
	"concordat.dev/coordinator/witness"
	"concordat.dev/observe"
	"concordat.dev/policies/approval"
	"concordat.dev/protocol/key"
	"concordat.dev/protocol/marble"
)

// Server is a running coordinator.
type Server struct {
	cfg      Config
	identity *marble.Identity
	log      zerolog.Logger
	now      func() time.Time // the host's clock, where no test sets it

	state   *state.Machine
	node    *raft.Node
	store   *store.Store
	workers *dispatch.Pool
	api     *api.API
	cosign  *witness.Collector

	sessions *signin.Sessions // nil where nobody can sign in

	flight  *flight.Server  // nil where it is not served
	metrics *observe.Server // likewise
	tracer  observe.Tracer
	untrace func(context.Context) error
	http    []*http.Server
	cancel  context.CancelFunc
	done    sync.WaitGroup
	failed  chan error
}

const (
	headerTimeout   = 10 * time.Second
	idleTimeout     = 2 * time.Minute
	shutdownTimeout = 10 * time.Second
	initEvery       = 100 * time.Millisecond

	maxConnections = 2048    // to each listener
	maxHeaders     = 1 << 16 // bytes
)

// Run activates the marble and serves until the context ends.
func Run(ctx context.Context, cfg Config, getenv func(string) string, log zerolog.Logger) error {
	identity, err := marble.Join(ctx, getenv, cfg.Mesh.MarbleRunManifest)
	if err != nil {
		return err
	}
	cfg.Mesh.MarbleRunManifest = identity.ManifestDigest().String()
	if cfg.Recover {
		if err := Recover(ctx, cfg, identity, log); err != nil {
			return err
		}
	}
	s, err := Start(ctx, cfg, identity, log)
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case err = <-s.failed:
	}
	return errors.Join(err, s.Close(context.WithoutCancel(ctx)))
}

// Start serves as an activated marble. The context bounds the start alone.
func Start(ctx context.Context, cfg Config, identity *marble.Identity, log zerolog.Logger) (*Server, error) {
	return startAt(ctx, cfg, identity, log, time.Now)
}

func startAt(ctx context.Context, cfg Config, identity *marble.Identity, log zerolog.Logger, now func() time.Time) (*Server, error) {
	s := &Server{cfg: cfg, identity: identity, log: log, now: now, state: state.New(), failed: make(chan error, 4)}
	var background context.Context
	background, s.cancel = context.WithCancel(context.Background())
	if err := s.start(ctx, background); err != nil {
		return nil, errors.Join(fmt.Errorf("server: start %s: %w", cfg.Node, err), s.Close(ctx))
	}
	return s, nil
}

func (s *Server) start(ctx, background context.Context) error {
	root, err := seal.NewRoot(s.identity.Secret)
	if err != nil {
		return err
	}
	if s.store, err = store.Open(ctx, s.cfg.ObjectStore); err != nil {
		return err
	}
	voters, err := s.cfg.voters()
	if err != nil {
		return err
	}
	if s.cfg.Join || s.cfg.Recover {
		voters = nil
	}
	s.node, err = raft.Open(raft.Config{ //nolint:contextcheck // the replica outlives the start
		Name: s.cfg.Node, Address: s.cfg.Listen.Raft, Announce: s.cfg.announced(), DataDir: s.cfg.DataDir, Voters: voters, Root: root, TLS: s.identity, Logger: s.log,
		Timeout: s.cfg.Election, Clock: s.now, Floor: func() time.Time { return s.state.Basis().Time },
		Lineage: s.state.Lineage, Workers: s.cfg.workers(),
	}, s.state)
	if err != nil {
		return err
	}
	if err := s.traced(ctx); err != nil {
		return err
	}
	s.workers = dispatch.New(s.identity, s.log, observe.Calls{Tracer: s.tracer})
	s.cosign = witness.New(witness.Config{
		State: s.state, Replica: s.node, Addresses: s.cfg.witnesses(), Now: s.now, Logger: s.log,
	})
	if s.sessions, err = s.cfg.sessions(s.log); err != nil {
		return err
	}
	s.api = api.New(api.Config{
		State: s.state, Replica: s.node, Address: s.cfg.announced(), Workers: s.workers, Store: s.store, Root: root, Identity: s.identity, Cosign: s.cosign,
		CosignLimit: s.cfg.WitnessTimeout, Sessions: s.sessions, Coordinators: s.node.Workers,
		Now: s.now, Logger: s.log, Tracer: s.tracer,
	})
	s.done.Go(func() { s.found(background) })
	people := http.NewServeMux()
	people.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	people.HandleFunc("GET /readyz", s.ready)
	people.Handle(ledgerlog.Prefix, s.api.Log())
	everything, err := s.pages(people)
	if err != nil {
		return err
	}
	public, marbles := s.identity.PublicTLS(), s.identity.ServerTLS(marble.Worker)
	return errors.Join(
		s.serve(s.cfg.Listen.API, everything, public),
		s.serve(s.cfg.Listen.Mesh, s.api.Marbles(), marbles),
		s.serveFlight(),
		s.observed(), //nolint:contextcheck // metrics are read after the start, each time with a context of their own
	)
}

// serveFlight serves programs that speak Flight SQL, if the configuration says where.
func (s *Server) serveFlight() (err error) {
	if s.cfg.Listen.Flight == "" {
		return nil
	}
	config := flight.Config{Asker: s.api, TLS: s.identity.PublicTLS(), Version: version, Logger: s.log}
	if s.flight, err = flight.Listen(config, s.cfg.Listen.Flight); err != nil {
		return err
	}
	s.done.Go(func() {
		if err := s.flight.Serve(); err != nil {
			s.failed <- err
		}
	})
	return nil
}

// serve listens at once and serves until Close.
func (s *Server) serve(address string, handler http.Handler, config *tls.Config) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	l = listen.Bounded(l, maxConnections)
	h := &http.Server{
		Handler: listen.Steady(listen.People, handler), TLSConfig: config, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaders,
		ErrorLog: stdlog.New(s.log.With().Str("listener", address).Logger(), "", 0), // strangers' handshakes
	}
	s.http = append(s.http, h)
	s.done.Go(func() {
		if err := h.ServeTLS(l, "", ""); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- fmt.Errorf("server: %s: %w", address, err)
		}
	})
	return nil
}

// found starts the cluster if this node has to, and gives it a ledger if it leads one that has none.
func (s *Server) found(ctx context.Context) {
	err := s.node.Bootstrap(ctx)
	if err == nil {
		err = s.node.Await(ctx)
	}
	if err != nil {
		if ctx.Err() == nil {
			s.failed <- err
		}
		return
	}
	tick := time.NewTicker(initEvery)
	defer tick.Stop()
	for s.state.Basis().Ledger == "" {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if s.node.IsLeader() {
			if err := s.initialise(ctx); err != nil && ctx.Err() == nil {
				s.log.Warn().Err(err).Msg("the ledger could not be founded yet")
			}
		}
	}
	signer, err := s.api.Open()
	if err != nil {
		s.failed <- fmt.Errorf("server: %w", err)
		return
	}
	s.log.Info().Str("ledger", s.state.Basis().Ledger).Str("node", s.node.ID()).Msg("coordinator serves its ledger")
	s.done.Go(func() { s.carry(ctx) })
	s.done.Go(func() { s.api.Keep(ctx, s.node.Compact) })
	s.cosign.Run(ctx, signer)
}

// initialise draws the ledger id, or makes the cluster wait for the ledger of another mesh. If it has one already, nothing changes.
func (s *Server) initialise(ctx context.Context) error {
	mesh := approval.Mesh{
		Mode: s.cfg.Mode, MarbleRunManifest: s.cfg.Mesh.MarbleRunManifest,
		RootCertificate: s.identity.RootDigest().String(), Coordinator: s.cfg.Mesh.Coordinator,
	}
	for _, n := range s.node.Nodes(ctx) {
		mesh.Voters = append(mesh.Voters, n.ID)
	}
	if s.cfg.AwaitsHandover {
		return s.api.Await(ctx, mesh)
	}
	var id [16]byte
	_, _ = rand.Read(id[:])
	_, _, err := state.Submit(ctx, s.node, s.now(), state.Init{
		Ledger: hex.EncodeToString(id[:]), Founders: s.cfg.Founders, Mesh: mesh,
	})
	return err
}

// ready says whether this coordinator can serve a decision now.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), time.Second)
	defer cancel()
	if err := s.fit(ctx); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// Close ends calls that are under way after a while, or when the context ends, then the replica.
func (s *Server) Close(ctx context.Context) error {
	s.cancel()
	ctx, cancel := context.WithTimeout(ctx, shutdownTimeout)
	defer cancel()
	errs := []error{s.metrics.Close()}
	if s.flight != nil {
		s.flight.Close(ctx)
	}
	for _, h := range s.http {
		if err := h.Shutdown(ctx); err != nil {
			errs = append(errs, err, h.Close())
		}
	}
	if s.node != nil {
		errs = append(errs, s.node.Close())
	}
	s.done.Wait()
	if s.workers != nil {
		s.workers.Close()
	}
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	if s.untrace != nil {
		errs = append(errs, s.untrace(ctx))
	}
	return errors.Join(errs...)
}

func (c Config) voters() ([]raft.Voter, error) {
	var out []raft.Voter
	for _, v := range c.Voters {
		voter := raft.Voter{Name: v.Name, Address: v.Raft}
		if v.Key != "" {
			k, err := key.ParsePublic(v.Key)
			if err != nil {
				return nil, fmt.Errorf("voter %s: %w", v.Name, err)
			}
			voter.Key = k
		}
		out = append(out, voter)
	}
	return out, nil
}
