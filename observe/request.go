package observe

import (
	"context"
	"crypto/rand"
	"encoding/hex"

	"connectrpc.com/connect"
	"github.com/rs/zerolog"
)

// HeaderRequest carries the id of a request between processes, and back to whoever asked.
const HeaderRequest = "Concordat-Request"

// FieldRequest is the log's field of it.
const FieldRequest = "request"

type requestKey struct{}

// WithRequest gives a context the id of the request that it works for.
func WithRequest(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestKey{}, id)
}

// Request is the id of the request that a context works for; empty where it works for none.
func Request(ctx context.Context) string {
	id, _ := ctx.Value(requestKey{}).(string)
	return id
}

// NewRequest draws an id: 128 random bits in hex.
func NewRequest() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// Log adds the id to what a logger writes.
func Log(ctx context.Context, log zerolog.Logger) *zerolog.Logger {
	if id := Request(ctx); id != "" {
		log = log.With().Str(FieldRequest, id).Logger()
	}
	return &log
}

// carried is the id that a peer of the mesh sent; another one where it is none.
func carried(text string) string {
	if b, err := hex.DecodeString(text); err != nil || len(b) != 16 {
		return NewRequest()
	}
	return text
}

// Calls is an interceptor that gives each call an id of its request and a span of its trace. Both hold ids alone: a span has the procedure, the
// request's id and the code of the outcome, never a message, which may hold names.
type Calls struct {
	Tracer Tracer
	// Trusted takes ids and traces over that the caller sends: between marbles. Others' are not looked at.
	Trusted bool
}

var _ connect.Interceptor = Calls{}
