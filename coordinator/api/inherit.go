package api

import (
	"context"
	"io"
	"net/http"
	"slices"

	"connectrpc.com/connect"
	"filippo.io/age"

	"concordat.dev/coordinator/dispatch"
	"concordat.dev/coordinator/seal"
	"concordat.dev/coordinator/state"
	"concordat.dev/policies/approval"
	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/endorse"
	"concordat.dev/protocol/evidence"
	"concordat.dev/protocol/fault"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/handover"
	"concordat.dev/protocol/marble"
)

// pieceSize is how much of a state goes into one command.
const pieceSize = 8 << 20

// maxPackage bounds what a mesh that waits reads. Who signed is verified after the first few kilobytes.
const maxPackage = 1 << 40

// Await makes this cluster wait for the ledger of another mesh: a worker and this coordinator make the identities to which it is sealed.
func (a *API) Await(ctx context.Context, mesh approval.Mesh) error {
	if a.State.Awaits() != nil {
		return nil
	}
	worker, err := dispatch.Do(ctx, a.Workers, nil, func(ctx context.Context, c dispatch.Client) (*concordatv1.MakeHeirResponse, error) {
		r, err := c.MakeHeir(ctx, connect.NewRequest(&concordatv1.MakeHeirRequest{}))
		if err != nil {
			return nil, err
		}
		return r.Msg, nil
	})
	if err != nil {
		return err
	}
	id, err := age.GenerateHybridIdentity()
	if err != nil {
		return err
	}
	signed, err := handover.SignHeir(marble.Coordinator, id.Recipient(), a.Identity.Certificate)
	if err != nil {
		return err
	}
	offer, err := signed.Marshal()
	if err != nil {
		return err
	}
	_, _, err = state.Submit(ctx, a.Replica, a.Now(), state.Await{Awaiting: state.Awaiting{
		Mesh: mesh, Coordinator: offer, CoordinatorIdentity: a.Root.Key(seal.Handover).Seal([]byte(id.String()), heirContext),
		Worker: worker.GetOffer(), WorkerIdentity: worker.GetIdentityWrap(),
	}})
	return err
}

// Successor implements HandoverService.
func (s handoverService) Successor(ctx context.Context, _ *connect.Request[concordatv1.SuccessorRequest]) (*connect.Response[concordatv1.SuccessorResponse], error) {
	const op = "successor"
	if err := s.Replica.Sync(ctx); err != nil {
		return nil, fault.New(op, fault.Unavailable, err)
	}
	waits := s.State.Awaits()
	if waits == nil {
		return connect.NewResponse(&concordatv1.SuccessorResponse{}), nil
	}
	successor := handover.Successor{Root: s.Identity.Root.Raw, MarbleRun: s.Identity.Manifest}
	if len(s.Identity.Quote) > 0 {
		successor.Evidence = []evidence.Evidence{{Kind: evidence.SGX, Report: s.Identity.Quote}}
	}
	var err error
	if successor.Coordinator, err = endorse.Parse(waits.Coordinator); err != nil {
		return nil, err
	}
	if successor.Worker, err = endorse.Parse(waits.Worker); err != nil {
		return nil, err
	}
	out := &concordatv1.SuccessorResponse{Coordinator: waits.Mesh.Coordinator, Mode: waits.Mesh.Mode, Nodes: waits.Mesh.Voters}
	if out.Successor, err = successor.Marshal(); err != nil {
		return nil, err
	}
	return connect.NewResponse(out), nil
}

// takePackage takes a ledger over. It needs no person: the package opens here alone, and a coordinator of the mesh before signed it. Sent again it
// changes nothing.
func (a *API) takePackage(w http.ResponseWriter, r *http.Request) {
	if err := a.inherit(r.Context(), http.MaxBytesReader(w, r.Body, maxPackage)); err != nil {
		a.Logger.Warn().Err(err).Msg("a ledger was not taken over")
		http.Error(w, err.Error(), httpStatus(err))
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (a *API) inherit(ctx context.Context, sealed io.Reader) error {
	const op = "inherit"
	if err := a.Replica.Sync(ctx); err != nil {
		return fault.New(op, fault.Unavailable, err)
	}
	waits := a.State.Awaits()
	switch {
	case a.State.Estate() != nil:
		return nil
	case waits == nil:
		return fault.Newf(op, fault.Conflict, "this mesh waits for no ledger")
	}
	secret, err := a.Root.Key(seal.Handover).Open(waits.CoordinatorIdentity, heirContext)
	if err != nil {
		return fault.New(op, fault.Internal, err)
	}
	id, err := age.ParseHybridIdentity(string(secret))
	if err != nil {
		return fault.New(op, fault.Internal, err)
	}
	e, worker, snapshot, err := handover.OpenLedger(sealed, id, a.Identity.RootDigest())
	if err != nil {
		return fault.New(op, fault.Forbidden, err)
	}
	estate, err := a.sealEstate(ctx, e, waits.WorkerIdentity, worker)
	if err != nil {
		return err
	}
	return a.adopt(ctx, estate, snapshot)
}

// sealEstate has a worker take over its part, and seals both parts for this mesh.
func (a *API) sealEstate(ctx context.Context, e handover.LedgerEstate, identity, worker []byte) (state.Estate, error) {
	const op = "inherit"
	request := &concordatv1.InheritRequest{IdentityWrap: identity, Sealed: worker, Ledger: e.Ledger}
	taken, err := dispatch.Do(ctx, a.Workers, nil, func(ctx context.Context, c dispatch.Client) (*concordatv1.InheritResponse, error) {
		r, err := c.Inherit(ctx, connect.NewRequest(request))
		if err != nil {
			return nil, err
		}
		return r.Msg, nil
	})
	if err != nil {
		return state.Estate{}, a.workerFault(ctx, op, err)
	}
	for founding := range e.Texts {
		if !slices.Contains(taken.GetFoundings(), founding) {
			return state.Estate{}, fault.Newf(op, fault.Forbidden, "%w: the workers' part lacks the collaboration that %s founded", handover.ErrEstate, founding)
		}
	}
	plain, err := canon.Marshal(e)
	if err != nil {
		return state.Estate{}, fault.New(op, fault.Internal, err)
	}
	return state.Estate{Roots: e.Roots, Coordinator: a.Root.Key(seal.Handover).Seal(plain, estateContext), Worker: taken.GetInheritance()}, nil
}

// adopt has the state replicated in pieces, from where an earlier try got to, and then takes it as its own.
func (a *API) adopt(ctx context.Context, estate state.Estate, snapshot []byte) error {
	digest := canon.Sum(snapshot)
	have := 0
	if waits := a.State.Awaits(); waits != nil && waits.Digest == digest {
		have = len(waits.Received)
	}
	for have < len(snapshot) {
		end := min(have+pieceSize, len(snapshot))
		got, _, err := state.Submit(ctx, a.Replica, a.Now(), state.Receive{Digest: digest, Offset: have, Piece: snapshot[have:end]})
		if err != nil {
			return err
		}
		have = got.Have
	}
	_, _, err := state.Submit(ctx, a.Replica, a.Now(), state.Adopt{Digest: digest, Estate: estate})
	return err
}
