package flight

import (
	"context"
	"encoding/base64"
	"runtime/debug"
	"strings"

	"connectrpc.com/connect"
	"github.com/rs/zerolog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const (
	headerAuthorization = "authorization"
	handshake           = "/arrow.flight.protocol.FlightService/Handshake"
	bearer, basic       = "bearer ", "basic "
)

// grpcCode is a code of Connect in gRPC: they have the same numbers.
func grpcCode(c connect.Code) codes.Code { return codes.Code(c) }

// authenticator puts the person of a token into the context of each call.
type authenticator struct {
	asker Asker
	log   zerolog.Logger
}

// recovered ends a call that panicked, and nothing else with it: the library decodes what strangers with a token send.
func (a authenticator) recovered(method string, err *error) {
	if r := recover(); r != nil {
		a.log.Error().Str("method", method).Bytes("stack", debug.Stack()).Msg("a call panicked")
		*err = status.Error(codes.Internal, "the call failed")
	}
}

func (a authenticator) unary(ctx context.Context, request any, call *grpc.UnaryServerInfo, next grpc.UnaryHandler) (out any, err error) {
	defer a.recovered(call.FullMethod, &err)
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	if ctx, err = a.login(ctx); err != nil {
		return nil, err
	}
	out, err = next(ctx, request)
	if err != nil {
		return nil, failure(err)
	}
	return out, nil
}

func (a authenticator) stream(server any, stream grpc.ServerStream, call *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	defer a.recovered(call.FullMethod, &err)
	ctx, cancel := context.WithTimeout(stream.Context(), callLimit)
	defer cancel()
	if ctx, err = a.login(ctx); err != nil {
		return err
	}
	if call.FullMethod == handshake {
		// Clients with a name and a password log in once and then send what they are given: here the token that the password was.
		token, _ := tokenOf(ctx)
		return stream.SendHeader(metadata.Pairs(headerAuthorization, "Bearer "+token))
	}
	if err := next(server, personStream{stream, ctx}); err != nil {
		return failure(err)
	}
	return nil
}

type personStream struct {
	grpc.ServerStream
	ctx context.Context
}

// Context implements grpc.ServerStream.
func (s personStream) Context() context.Context { return s.ctx }

func (a authenticator) login(ctx context.Context) (context.Context, error) {
	token, ok := tokenOf(ctx)
	if !ok {
		return nil, status.Error(codes.Unauthenticated, "bring a login token, as bearer token or as password: make one with `concordat token`")
	}
	ctx, err := a.asker.Login(ctx, token)
	if err != nil {
		return nil, failure(err)
	}
	return ctx, nil
}

// tokenOf is the token in the header of a call: a bearer token, or the password of basic authentication, whose name does not matter.
func tokenOf(ctx context.Context) (string, bool) {
	all := metadata.ValueFromIncomingContext(ctx, headerAuthorization)
	if len(all) != 1 {
		return "", false
	}
	kind, rest := strings.ToLower(all[0]), all[0]
	switch {
	case strings.HasPrefix(kind, bearer):
		return strings.TrimSpace(rest[len(bearer):]), true
	case strings.HasPrefix(kind, basic):
		raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.TrimSpace(rest[len(basic):]), "=")) // ADBC does not pad
		if err != nil {
			return "", false
		}
		_, password, ok := strings.Cut(string(raw), ":")
		return password, ok
	}
	return "", false
}
