package api

import (
	"context"

	"connectrpc.com/connect"

	"concordat.dev/coordinator/state"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/fault"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/gen/concordat/v1/concordatv1connect"
)

type participantService struct{ *API }

var _ concordatv1connect.ParticipantServiceHandler = participantService{}

// ProposeManifest implements ParticipantService.
func (s participantService) ProposeManifest(ctx context.Context, req *connect.Request[concordatv1.ProposeManifestRequest]) (*connect.Response[concordatv1.ManifestStatus], error) {
	m, err := document.ParseManifestJSON(req.Msg.GetManifest())
	if err != nil {
		if _, denied := s.gate.admitAny(ctx, opPropose); denied != nil {
			return nil, denied
		}
		return nil, fault.New("propose", fault.Invalid, err)
	}
	if _, err := s.gate.admit(ctx, opPropose, m.Collaboration); err != nil {
		return nil, err
	}
	return s.change(ctx, state.Propose{Manifest: req.Msg.GetManifest(), Policies: req.Msg.GetPolicies(), Proposal: req.Msg.GetProposal()})
}

// SignManifest implements ParticipantService.
func (s participantService) SignManifest(ctx context.Context, req *connect.Request[concordatv1.SignManifestRequest]) (*connect.Response[concordatv1.ManifestStatus], error) {
	if _, err := s.gate.admit(ctx, opSign, req.Msg.GetCollaboration()); err != nil {
		return nil, err
	}
	return s.change(ctx, state.Approve{Collaboration: req.Msg.GetCollaboration(), Approval: req.Msg.GetApproval()})
}

// SubmitStatement implements ParticipantService.
func (s participantService) SubmitStatement(ctx context.Context, req *connect.Request[concordatv1.SubmitStatementRequest]) (*connect.Response[concordatv1.ManifestStatus], error) {
	if _, err := s.gate.admit(ctx, opStatement, req.Msg.GetCollaboration()); err != nil {
		return nil, err
	}
	return s.change(ctx, state.Statement{Collaboration: req.Msg.GetCollaboration(), Statement: req.Msg.GetStatement()})
}

// change submits a command about a manifest and tells how the manifest then stands.
func (s participantService) change(ctx context.Context, command state.Body[state.Subject]) (*connect.Response[concordatv1.ManifestStatus], error) {
	subject, _, err := state.Submit(ctx, s.Replica, s.Now(), command)
	if err != nil {
		return nil, err
	}
	if err := s.Store.Delete(ctx, subject.Destroyed...); err != nil { // their keys are gone already
		s.Logger.Warn().Err(err).Str(fieldCollaboration, subject.Collaboration).Msg("objects without keys remain")
	}
	if err := s.Replica.Sync(ctx); err != nil {
		return nil, fault.New("manifest", fault.Unavailable, err)
	}
	return s.status(subject.Collaboration, subject.Version)
}

// GetManifest implements ParticipantService.
func (s participantService) GetManifest(ctx context.Context, req *connect.Request[concordatv1.GetManifestRequest]) (*connect.Response[concordatv1.ManifestStatus], error) {
	if _, err := s.gate.admit(ctx, opGetManifest, req.Msg.GetCollaboration()); err != nil {
		return nil, err
	}
	return s.status(req.Msg.GetCollaboration(), int(req.Msg.GetVersion()))
}

func (s participantService) status(collaboration string, version int) (*connect.Response[concordatv1.ManifestStatus], error) {
	m, ok := s.State.Manifest(collaboration, version)
	if !ok {
		return nil, fault.Newf("manifest", fault.NotFound, "collaboration %q has no version %d of a manifest", collaboration, version)
	}
	return connect.NewResponse(&concordatv1.ManifestStatus{
		Documents: documents(m), Digest: m.Digest.String(), State: string(m.Status),
		Signed: m.Signed, Missing: m.Missing, PausedBy: m.PausedBy, Rejection: m.Rejection,
	}), nil
}
