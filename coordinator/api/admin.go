package api

import (
	"context"
	"errors"

	"connectrpc.com/connect"

	"concordat.dev/coordinator/dispatch"
	"concordat.dev/protocol/checkpoint"
	"concordat.dev/protocol/fault"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/gen/concordat/v1/concordatv1connect"
)

type adminService struct{ *API }

var _ concordatv1connect.AdminServiceHandler = adminService{}

// Status implements AdminService. It needs no person: it tells of the mesh, and the ids of collaborations.
func (s adminService) Status(ctx context.Context, _ *connect.Request[concordatv1.StatusRequest]) (*connect.Response[concordatv1.StatusResponse], error) {
	fit := s.fitness(ctx)
	keys, _ := s.ledger() // before the state is read: whoever has them has a ledger
	basis := s.State.Basis()
	out := &concordatv1.StatusResponse{
		Mode: basis.Mesh.Mode, Ledger: basis.Ledger, Node: s.Replica.ID(), Leader: s.Replica.Leader(),
		MarblerunManifest: basis.Mesh.MarbleRunManifest, RootCertificate: basis.Mesh.RootCertificate, Coordinator: basis.Mesh.Coordinator,
		Inherits:       basis.Mesh.Inherits,
		Collaborations: s.State.Collaborations(), Unprotected: s.State.Unprotected(),
		LogSize: uint64(s.State.Tree().Size()), //nolint:gosec // never negative
	}
	if s.Identity != nil && s.Identity.Root != nil {
		out.Root = s.Identity.Root.Raw
	}
	if _, size, ok := s.State.Head(); ok {
		out.CosignedSize = uint64(size) //nolint:gosec // never negative
	}
	for _, w := range s.Cosign.Status() {
		told := &concordatv1.Witness{Key: w.Key, Size: uint64(w.Size)} //nolint:gosec // never negative
		switch {
		case errors.Is(w.Fault, checkpoint.ErrRolledBack), errors.Is(w.Fault, checkpoint.ErrForked):
			told.Fault = w.Fault.Error()
		case w.Fault != nil: // addresses and errors of the network are no business of strangers
			told.Fault = "it does not cosign; this coordinator's log says why"
		}
		out.Witnesses = append(out.Witnesses, told)
	}
	out.Nodes = s.listNodes(ctx)
	for _, w := range s.Workers.Workers() {
		out.Workers = append(out.Workers, &concordatv1.Worker{Id: w.ID, Address: w.Address, Ready: true, Loaded: w.Loaded})
	}
	fit.tell(out)
	if keys != nil {
		var err error
		if out.LogKey, err = keys.endorsement.Marshal(); err != nil {
			return nil, err
		}
	}
	return connect.NewResponse(out), nil
}

// workerService is for workers.
type workerService struct{ *API }

var _ concordatv1connect.CoordinatorServiceHandler = workerService{}

// Announce implements CoordinatorService.
func (s workerService) Announce(_ context.Context, req *connect.Request[concordatv1.AnnounceRequest]) (*connect.Response[concordatv1.AnnounceResponse], error) {
	m := req.Msg
	if m.GetWorker() == "" || m.GetAddress() == "" {
		return nil, fault.Newf("announce", fault.Invalid, "a worker announces its id and its address")
	}
	s.Workers.Announce(dispatch.Worker{ID: m.GetWorker(), Address: m.GetAddress(), Loaded: m.GetLoaded(),
		Running: int(m.GetRunning()), Queued: int(m.GetQueued()), Slots: int(m.GetSlots())})
	out := &concordatv1.AnnounceResponse{Ledger: s.State.Basis().Ledger}
	if s.Coordinators != nil {
		out.Coordinators = s.Coordinators()
	}
	return connect.NewResponse(out), nil
}
