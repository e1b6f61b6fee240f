package api

import (
	"context"
	"math"

	"connectrpc.com/connect"

	"concordat.dev/protocol/checkpoint"
	"concordat.dev/protocol/fault"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/gen/concordat/v1/concordatv1connect"
	"concordat.dev/protocol/key"
)

// followService tells workers how far the witnessed log is, whether they execute or not: a ledger that is set back later meets their memory.
type followService struct{ *API }

var _ concordatv1connect.FollowServiceHandler = followService{}

// Follow implements FollowService. It answers by what this replica holds, without asking the others: the next announcement comes soon.
func (s followService) Follow(ctx context.Context, req *connect.Request[concordatv1.FollowRequest]) (*connect.Response[concordatv1.FollowResponse], error) {
	const op = "follow"
	keys, err := s.ledger()
	if err != nil {
		return nil, err
	}
	out := &concordatv1.FollowResponse{Ledger: keys.ledger}
	if req.Msg.GetLedger() != keys.ledger {
		return connect.NewResponse(out), nil
	}
	seen := int64(min(req.Msg.GetSeen(), math.MaxInt64)) //nolint:gosec // bounded
	if tree := s.State.Tree(); seen > tree.Size() {      // this replica is behind, or the ledger was set back
		if err := s.Replica.Sync(ctx); err != nil {
			return nil, fault.New(op, fault.Unavailable, err)
		}
		if have := s.State.Tree().Size(); seen > have {
			out.Shorter = uint64(have) //nolint:gosec // a size
			s.Logger.Error().Err(checkpoint.ErrRolledBack).Int64("seen", seen).Int64("have", have).Msg("a worker saw a longer log")
			return connect.NewResponse(out), nil
		}
	}
	signed, size, ok := s.State.Head()
	if !ok || size <= seen {
		return connect.NewResponse(out), nil
	}
	logSeed, _ := s.seeds(keys.ledger)
	logKey, err := key.FromSeed(logSeed)
	if err != nil {
		return nil, fault.New(op, fault.Internal, err)
	}
	out.Log, out.Checkpoint = logKey.Public().String(), []byte(checkpoint.Keep(signed, keys.ledger, nil))
	if out.Consistency, err = s.State.Tree().Consistency(size, seen); err != nil {
		return nil, fault.New(op, fault.Internal, err)
	}
	return connect.NewResponse(out), nil
}
