package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"connectrpc.com/connect"

	"concordat.dev/coordinator/dispatch"
	"concordat.dev/coordinator/log"
	"concordat.dev/coordinator/state"
	"concordat.dev/protocol/checkpoint"
	"concordat.dev/protocol/fault"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
)

// cosignLimit is how long a query waits for the quorum of its manifest's witnesses.
const cosignLimit = 10 * time.Second

// cosigned returns once the witnesses that the query's manifest demands have cosigned a log that holds this leaf; at once if it demands
// none. Without them nothing leaves.
func (a *API) cosigned(ctx context.Context, q state.Query, leaf int64) error {
	ctx, cancel := context.WithTimeout(ctx, a.CosignLimit)
	defer cancel()
	for {
		changed := a.State.Changed()
		d, demanded := a.State.Demand(q.Collaboration, q.Version)
		if !demanded || d.Size > leaf {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fault.Newf("query", fault.Unavailable,
				"the manifest demands cosignatures of %d of its witnesses, and fewer came: nothing is released. What was reserved stays paid, and asking again costs nothing", d.Quorum)
		}
	}
}

// head is the checkpoint that goes with what was done under the query's manifest: the newest that its witnesses cosigned, or that of the
// whole log where it demands none.
func (a *API) head(q state.Query) (signed string, size int64, err error) {
	if d, demanded := a.State.Demand(q.Collaboration, q.Version); demanded {
		return d.Checkpoint, d.Size, nil
	}
	keys, err := a.ledger()
	if err != nil {
		return "", 0, err
	}
	tree := a.State.Tree()
	b, err := keys.log.Checkpoint(tree, tree.Size())
	return string(b), tree.Size(), err
}

// ask has one worker execute. A worker that saw a larger log, or another size than it was told about, says which one, and is asked again.
// Lag is why this ledger has nothing to tell it; that is no fault of the worker.
func (a *API) ask(ctx context.Context, c dispatch.Client, q state.Query, request *concordatv1.ExecuteRequest) (r *concordatv1.ExecuteResponse, lag, err error) {
	seen := int64(0)
	for range attempts {
		if request.Logged, lag = a.logged(ctx, q, seen); lag != nil {
			return nil, lag, nil
		}
		res, err := c.Execute(ctx, connect.NewRequest(request))
		if seen > 0 && connect.IsWireError(err) && connect.CodeOf(err) == connect.CodeUnavailable { // it lives, and does not believe the proof
			a.Logger.Error().Err(checkpoint.ErrForked).Int64("seen", seen).Str(fieldQuery, q.ID).Msg("a worker saw another log")
			return nil, fault.Newf("execute", fault.Unavailable, "%w: a worker saw %d entries of it", checkpoint.ErrForked, seen), nil
		}
		if err != nil {
			return nil, nil, err
		}
		if r = res.Msg; len(r.GetAnswer()) > 0 || r.GetSeen() == 0 {
			return r, nil, nil
		}
		seen = int64(min(r.GetSeen(), 1<<62)) //nolint:gosec // bounded
	}
	return nil, fault.Newf("execute", fault.Unavailable, "the log grows faster than a worker can follow"), nil
}

// logged proves to a worker that saw the log at a size that the reservation is in it, and that it only grew; nil where no witness is
// demanded.
func (a *API) logged(ctx context.Context, q state.Query, seen int64) (*concordatv1.Logged, error) {
	if _, demanded := a.State.Demand(q.Collaboration, q.Version); !demanded {
		return nil, nil
	}
	if seen > a.State.Tree().Size() {
		if err := a.Replica.Sync(ctx); err != nil {
			return nil, fault.New("execute", fault.Unavailable, err)
		}
		if have := a.State.Tree().Size(); seen > have {
			a.Logger.Error().Err(checkpoint.ErrRolledBack).Int64("seen", seen).Int64("have", have).Msg("a worker saw a longer log")
			return nil, fault.New("execute", fault.Unavailable, fmt.Errorf("%w: a worker saw %d entries, there are %d", checkpoint.ErrRolledBack, seen, have))
		}
	}
	if err := a.cosigned(ctx, q, max(q.Leaf, seen-1)); err != nil {
		return nil, err
	}
	signed, size, err := a.head(q)
	if err != nil {
		return nil, err
	}
	entry, ok := a.State.Entry(q.Leaf)
	if !ok {
		return nil, fmt.Errorf("query %s: its leaf %d is gone", q.ID, q.Leaf)
	}
	tree := a.State.Tree()
	out := &concordatv1.Logged{
		Checkpoint: []byte(signed), Index: uint64(q.Leaf), Salt: entry.Salt, Body: entry.Body, Seen: uint64(seen), //nolint:gosec // neither is negative
	}
	if out.Inclusion, err = tree.Inclusion(size, q.Leaf); err != nil {
		return nil, err
	}
	out.Consistency, err = tree.Consistency(size, seen)
	return out, err
}

// Log serves the transparency log to anybody.
func (a *API) Log() http.Handler { return log.Handler(publicLog{a}) }

// publicLog is the log as the public sees it.
type publicLog struct{ *API }

// Tree implements log.Source.
func (p publicLog) Tree() *log.Tree { return p.State.Tree() }

// Leaves implements log.Source.
func (p publicLog) Leaves(start, end int64) [][]byte { return p.State.Leaves(start, end) }

// Published implements log.Source: the newest checkpoint with a quorum while any manifest in force demands one.
func (p publicLog) Published() ([]byte, error) {
	if signed, _, ok := p.State.Head(); ok {
		return []byte(signed), nil
	}
	keys, err := p.ledger()
	if err != nil {
		return nil, err
	}
	tree := p.State.Tree()
	return keys.log.Checkpoint(tree, tree.Size())
}
