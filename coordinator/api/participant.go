package api

import (
	"context"
	"encoding/json"
	"time"

	"connectrpc.com/connect"

	"concordat.dev/coordinator/state"
	"concordat.dev/protocol/canon"
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
	who, err := s.gate.admit(ctx, opPropose, m.Collaboration)
	if err != nil {
		return nil, err
	}
	return s.change(ctx, who, opPropose, m.Collaboration, state.Propose{Manifest: req.Msg.GetManifest(), Policies: req.Msg.GetPolicies(), Proposal: req.Msg.GetProposal()})
}

// SignManifest implements ParticipantService.
func (s participantService) SignManifest(ctx context.Context, req *connect.Request[concordatv1.SignManifestRequest]) (*connect.Response[concordatv1.ManifestStatus], error) {
	who, err := s.gate.admit(ctx, opSign, req.Msg.GetCollaboration())
	if err != nil {
		return nil, err
	}
	return s.change(ctx, who, opSign, req.Msg.GetCollaboration(), state.Approve{Collaboration: req.Msg.GetCollaboration(), Approval: req.Msg.GetApproval()})
}

// SubmitStatement implements ParticipantService.
func (s participantService) SubmitStatement(ctx context.Context, req *connect.Request[concordatv1.SubmitStatementRequest]) (*connect.Response[concordatv1.ManifestStatus], error) {
	who, err := s.gate.admit(ctx, opStatement, req.Msg.GetCollaboration())
	if err != nil {
		return nil, err
	}
	return s.change(ctx, who, opStatement, req.Msg.GetCollaboration(), state.Statement{Collaboration: req.Msg.GetCollaboration(), Statement: req.Msg.GetStatement()})
}

// change submits a command about a manifest and tells how the manifest then stands. A signature that may not do it goes into the trail.
func (s participantService) change(ctx context.Context, who actor, op operation, collaboration string, command state.Body[state.Subject]) (*connect.Response[concordatv1.ManifestStatus], error) {
	subject, _, err := state.Submit(ctx, s.Replica, s.Now(), command)
	if fault.KindOf(err) == fault.Forbidden {
		s.denied(ctx, who, op, collaboration, err)
	}
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
	signed := documents(m)
	signed.Leaves = m.Leaves
	return connect.NewResponse(&concordatv1.ManifestStatus{
		Documents: signed, Digest: m.Digest.String(), State: string(m.Status),
		Signed: m.Signed, Missing: m.Missing, PausedBy: m.PausedBy, Rejection: m.Rejection, Off: m.Off, Left: m.Left, By: m.By,
		NotBefore: instant(m.NotBefore),
	}), nil
}

// instant is a time on the wire, empty for none.
func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// planRecord is one plan as it is listed.
type planRecord struct {
	Plan     canon.Digest      `json:"plan"`
	State    string            `json:"state"` // approved | pending
	At       string            `json:"at"`
	Person   string            `json:"person,omitempty"` // who asked first
	SQL      string            `json:"sql,omitempty"`
	Approved map[string]string `json:"approved"` // participant → who signed
	Missing  []string          `json:"missing"`
}

// ListPlans implements ParticipantService: what owners approved, or are asked to approve, where the manifest asks for reviews. Whoever asked,
// the owners concerned and auditors see the text.
func (s participantService) ListPlans(ctx context.Context, req *connect.Request[concordatv1.ListPlansRequest]) (*connect.Response[concordatv1.ListPlansResponse], error) {
	who, err := s.gate.admit(ctx, opListPlans, req.Msg.GetCollaboration())
	if err != nil {
		return nil, err
	}
	records := []planRecord{}
	for _, p := range s.State.Plans(req.Msg.GetCollaboration()) {
		if !who.mayRead(p.Person, p.Owners) {
			continue
		}
		r := planRecord{
			Plan: p.Digest, State: "pending", At: instant(p.At), Person: p.Person, Approved: p.Approved, Missing: append([]string{}, p.Missing(p.Owners)...),
		}
		if len(r.Missing) == 0 {
			r.State = "approved"
		}
		if len(p.SQL) > 0 {
			text, err := s.history(req.Msg.GetCollaboration()).Open(p.SQL, p.Query)
			if err != nil {
				return nil, err
			}
			r.SQL = string(text)
		}
		records = append(records, r)
	}
	b, err := json.Marshal(records)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&concordatv1.ListPlansResponse{Plans: b}), nil
}
