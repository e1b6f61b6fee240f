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

	"github.com/apache/arrow-go/v18/arrow"
	arrowflight "github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/rs/zerolog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

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

// The limits of a connection.
const (
	maxMessage  = 1 << 20 // of a request: SQL has at most 64 KiB
	maxStreams  = 64
	idleTimeout = 10 * time.Minute
	minPing     = 10 * time.Second
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
	people := authenticator{cfg.Asker}
	s := &Server{listener: l, grpc: grpc.NewServer(
		grpc.Creds(credentials.NewTLS(cfg.TLS)),
		grpc.UnaryInterceptor(people.unary), grpc.StreamInterceptor(people.stream),
		grpc.MaxRecvMsgSize(maxMessage), grpc.MaxConcurrentStreams(maxStreams),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: idleTimeout}),
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

// info says where a schema's rows are to be had: here, by giving the command back.
func info(d *arrowflight.FlightDescriptor, schema *arrow.Schema) *arrowflight.FlightInfo {
	return ticketed(d, d.GetCmd(), schema)
}

func ticketed(d *arrowflight.FlightDescriptor, ticket []byte, schema *arrow.Schema) *arrowflight.FlightInfo {
	return &arrowflight.FlightInfo{
		Schema:           arrowflight.SerializeSchema(schema, memory.DefaultAllocator),
		FlightDescriptor: d,
		Endpoint:         []*arrowflight.FlightEndpoint{{Ticket: &arrowflight.Ticket{Ticket: ticket}}},
		TotalRecords:     -1,
		TotalBytes:       -1,
	}
}

// stream sends batches, which it releases.
func stream(schema *arrow.Schema, batches ...arrow.RecordBatch) (*arrow.Schema, <-chan arrowflight.StreamChunk, error) {
	out := make(chan arrowflight.StreamChunk, len(batches)) // so that nobody has to read them
	for _, b := range batches {
		out <- arrowflight.StreamChunk{Data: b}
	}
	close(out)
	return schema, out, nil
}
