package client

import (
	"context"
	"crypto/rand"
	"errors"

	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"connectrpc.com/connect"
)

// Question is one query of a person.
type Question struct {
	Collaboration string
	SQL           string
	Rho           float64 // 0: what the policies say
	Explain       bool
	// Idempotency names the request over all its attempts; drawn where it is empty.
	Idempotency string
}

// Reply is the answer as it came, and the receipt of a release.
type Reply struct {
	Answer  []byte // JSON of answer.Answer
	Receipt []byte // JSON of receipt.Receipt, nil unless released
}

// NewIdempotencyKey draws a name for one request.
func NewIdempotencyKey() string { return rand.Text() }

// Query asks, and waits for the answer; phase is told what the coordinator is at. A connection that breaks is taken up again with
// the same idempotency key, so that the price is paid once.
func (c *Client) Query(ctx context.Context, q Question, phase func(string)) (Reply, error) {
	if q.Idempotency == "" {
		q.Idempotency = NewIdempotencyKey()
	}
	request := &concordatv1.QueryRequest{Collaboration: q.Collaboration, Sql: q.SQL, Rho: q.Rho, Explain: q.Explain, IdempotencyKey: q.Idempotency}
	var reply Reply
	err := c.Do(ctx, func(ctx context.Context, s Services) error {
		stream, err := s.Query(ctx, connect.NewRequest(request))
		if err != nil {
			return err
		}
		defer func() { _ = stream.Close() }()
		for stream.Receive() {
			event := stream.Msg()
			if p := event.GetPhase(); p != "" && phase != nil {
				phase(p)
			}
			if a := event.GetAnswer(); len(a) > 0 {
				reply = Reply{Answer: a, Receipt: event.GetReceipt()}
			}
		}
		if reply.Answer != nil {
			return nil
		}
		return broken(stream.Err())
	})
	return reply, err
}

// broken is why a stream ended without its last message: an end without an error is a coordinator that went away.
func broken(err error) error {
	if err == nil {
		return connect.NewError(connect.CodeUnavailable, errors.New("the coordinator ended the stream without an answer"))
	}
	return err
}
