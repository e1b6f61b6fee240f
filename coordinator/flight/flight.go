// Package flight serves queries to standard clients of Apache Arrow Flight SQL: ADBC, JDBC, database/sql. Names, judgement, price, receipt and
// refusals are those of every other way to ask; a client that can sign nothing brings a login token (protocol/login).
//
// Invariant: every call but the handshake names a person by a token that counts now; what the person may do is decided by api's gate. Tickets give no
// authority: they carry what their holder sent.
//
// Sees: metadata; released aggregates pass through
package flight

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	arrowflight "github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/rs/zerolog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"concordat.dev/coordinator/listen"
	"concordat.dev/protocol/answer"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/fault"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
)

// Asker is the part of the calls of people that clients of Flight SQL reach.
type Asker interface {
	// Login gives a context that carries the person of a token.
	Login(ctx context.Context, token string) (context.Context, error)
	// Ask takes a query through its life.
	Ask(ctx context.Context, r *concordatv1.QueryRequest, tell func(phase string) error) (answer.Answer, []byte, error)
	// Rooms are the documents in force of the collaborations that know the person.
	Rooms(ctx context.Context) ([]*document.Bundle, error)
}

// Config of a Server.
type Config struct {
	Asker   Asker
	TLS     *tls.Config
	Version string // of this build
	Logger  zerolog.Logger
}

// The limits of the server and of a connection. A call ends after callLimit, which is more than a query takes at most; a connection ends, between
// calls, after connectionAge, so that whoever reads nothing holds nothing for long. What a peer that went away was asking is noticed and cancelled
// after pingEvery and pingLimit.
const (
	maxConnections  = 1024
	maxStreams      = 64      // calls at once on a connection
	maxMessage      = 1 << 20 // of a request, in bytes: SQL has at most 64 KiB
	maxHeaders      = 32 << 10
	handshakeLimit  = 10 * time.Second
	callLimit       = 16 * time.Minute
	idleTimeout     = 10 * time.Minute
	connectionAge   = time.Hour
	connectionGrace = 2 * callLimit
	pingEvery       = 30 * time.Second
	pingLimit       = 20 * time.Second
	minPing         = 10 * time.Second // between pings of a client
)

// Server serves Flight SQL on one address.
type Server struct {
	grpc     *grpc.Server
	listener net.Listener
}

// Listen begins to listen on an address; Serve serves.
func Listen(cfg Config, address string) (*Server, error) {
	calls := &service{Config: cfg}
	calls.Alloc = memory.DefaultAllocator
	if err := calls.describe(); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("flight: listen: %w", err)
	}
	people := authenticator{cfg.Asker, cfg.Logger}
	s := &Server{listener: listen.Bounded(l, maxConnections), grpc: grpc.NewServer(
		grpc.Creds(credentials.NewTLS(cfg.TLS)), grpc.ConnectionTimeout(handshakeLimit),
		grpc.UnaryInterceptor(people.unary), grpc.StreamInterceptor(people.stream),
		grpc.MaxRecvMsgSize(maxMessage), grpc.MaxConcurrentStreams(maxStreams), grpc.MaxHeaderListSize(maxHeaders),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionIdle: idleTimeout, MaxConnectionAge: connectionAge, MaxConnectionAgeGrace: connectionGrace, Time: pingEvery, Timeout: pingLimit,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: minPing, PermitWithoutStream: true}),
	)}
	arrowflight.RegisterFlightServiceServer(s.grpc, flightsql.NewFlightServer(calls))
	return s, nil
}

// Address is where it listens.
func (s *Server) Address() string { return s.listener.Addr().String() }

// Serve serves until Close.
func (s *Server) Serve() error {
	if err := s.grpc.Serve(s.listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("flight: %w", err)
	}
	return nil
}

// Close lets calls that are under way end until the context does.
func (s *Server) Close(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		s.grpc.GracefulStop()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		s.grpc.Stop()
		<-done
	}
}

// service answers the calls of Flight SQL.
type service struct {
	flightsql.BaseServer
	Config
}

// failure is a fault as gRPC tells it; its codes are those of Connect.
func failure(err error) error {
	if _, ok := status.FromError(err); ok {
		return err
	}
	c := fault.Connect(err)
	return status.Error(grpcCode(c.Code()), c.Message())
}
