package api

import (
	"context"

	"connectrpc.com/connect"

	"concordat.dev/coordinator/dispatch"
	"concordat.dev/policies/draft"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/fault"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/gen/concordat/v1/concordatv1connect"
)

// documentService tells what drafts mean. It changes nothing, and a draft gives nobody anything.
type documentService struct{ *API }

var _ concordatv1connect.DocumentServiceHandler = documentService{}

// Check implements DocumentService.
func (s documentService) Check(ctx context.Context, req *connect.Request[concordatv1.CheckRequest]) (*connect.Response[concordatv1.CheckResponse], error) {
	if _, err := s.gate.admit(ctx, opDraft, req.Msg.GetCollaboration()); err != nil {
		return nil, err
	}
	out, err := draft.Check(req.Msg.GetDraft(), s.inForce(req.Msg.GetCollaboration()))
	if err != nil {
		return nil, fault.New("check", fault.Invalid, err)
	}
	return connect.NewResponse(out), nil
}

// Explain implements DocumentService.
func (s documentService) Explain(ctx context.Context, req *connect.Request[concordatv1.ExplainRequest]) (*connect.Response[concordatv1.ExplainResponse], error) {
	if _, err := s.gate.admitAny(ctx, opDraft); err != nil {
		return nil, err
	}
	return connect.NewResponse(draft.Explain(req.Msg)), nil
}

// Compare implements DocumentService.
func (s documentService) Compare(ctx context.Context, req *connect.Request[concordatv1.CompareRequest]) (*connect.Response[concordatv1.CompareResponse], error) {
	if _, err := s.gate.admitAny(ctx, opDraft); err != nil {
		return nil, err
	}
	out, err := draft.Compare(req.Msg)
	if err != nil {
		return nil, fault.New("compare", fault.Invalid, err)
	}
	return connect.NewResponse(out), nil
}

// Try implements DocumentService.
func (s documentService) Try(ctx context.Context, req *connect.Request[concordatv1.TryRequest]) (*connect.Response[concordatv1.TryResponse], error) {
	if _, err := s.gate.admit(ctx, opDraft, req.Msg.GetCollaboration()); err != nil {
		return nil, err
	}
	bundle, problems := draft.Open(req.Msg.GetDraft(), s.inForce(req.Msg.GetCollaboration()))
	if len(problems) == 0 {
		problems = draft.Problems(bundle)
	}
	if len(problems) > 0 {
		return connect.NewResponse(&concordatv1.TryResponse{Problems: problems}), nil
	}
	signed, err := bundle.Signable()
	if err != nil {
		return nil, fault.New("try", fault.Invalid, err)
	}
	request := &concordatv1.AnalyzeRequest{
		Documents: &concordatv1.Documents{Manifest: signed.Manifest, Policies: signed.Policies}, Sql: req.Msg.GetSql(), Draft: true,
	}
	analysis, err := dispatch.Do(ctx, s.Workers, nil, func(ctx context.Context, c dispatch.Client) (*concordatv1.AnalyzeResponse, error) {
		r, err := c.Analyze(ctx, connect.NewRequest(request))
		if err != nil {
			return nil, err
		}
		return r.Msg, nil
	})
	if err != nil {
		return nil, s.workerFault(ctx, "try", err)
	}
	return connect.NewResponse(&concordatv1.TryResponse{Answer: analysis.GetAnswer()}), nil
}

// inForce are the documents that a draft starts from, nil where there are none.
func (s documentService) inForce(collaboration string) *document.Bundle {
	m, ok := s.State.Newest(collaboration)
	if !ok {
		return nil
	}
	return m.Bundle
}
