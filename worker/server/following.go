package server

import (
	"context"
	"fmt"

	"connectrpc.com/connect"

	"concordat.dev/protocol/checkpoint"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/gen/concordat/v1/concordatv1connect"
	"concordat.dev/protocol/key"
)

// followed has this worker remember the newest checkpoint that a coordinator tells, so that it notices a ledger that was set back also
// where another worker executed. It takes none that does not extend what it saw. The ledger is the one that the coordinator told before.
func (s *Server) followed(ctx context.Context, client concordatv1connect.FollowServiceClient, ledger string) (string, error) {
	var seen int64
	var err error
	if ledger != "" {
		if seen, err = s.ledgers.Seen(ledger); err != nil {
			return ledger, err
		}
	}
	res, err := client.Follow(ctx, connect.NewRequest(&concordatv1.FollowRequest{Ledger: ledger, Seen: uint64(seen)})) //nolint:gosec // a size
	if err != nil {
		return ledger, err
	}
	m := res.Msg
	if m.GetLedger() != ledger {
		return m.GetLedger(), nil
	}
	if m.GetShorter() > 0 {
		return ledger, fmt.Errorf("%w: %d entries were seen, there are %d", checkpoint.ErrRolledBack, seen, m.GetShorter())
	}
	if len(m.GetCheckpoint()) == 0 {
		return ledger, nil
	}
	log, err := key.ParsePublic(m.GetLog())
	if err != nil {
		return ledger, err
	}
	head, err := checkpoint.Open(string(m.GetCheckpoint()), ledger, log, nil)
	if err != nil {
		return ledger, err
	}
	return ledger, s.ledgers.Extend(ledger, head, seen, m.GetConsistency())
}
