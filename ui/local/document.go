package local

import (
	"context"
	"net/http"

	"concordat.dev/policies/draft"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/fault"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/gen/concordat/v1/concordatv1connect"
	"concordat.dev/ui/client"
	"connectrpc.com/connect"
)

// documents answers on this machine what drafts and versions mean: whoever runs the mesh has no word in what a steward reads before signing.
// Try alone goes to the mesh, since a worker judges queries.
type documents struct{ Config }

// handle registers the calls that are answered here.
func (d documents) handle(calls *http.ServeMux) {
	limit := connect.WithReadMaxBytes(2 * maxPayload)
	calls.Handle(concordatv1connect.DocumentServiceCheckProcedure, connect.NewUnaryHandler(concordatv1connect.DocumentServiceCheckProcedure, d.check, limit))
	calls.Handle(concordatv1connect.DocumentServiceExplainProcedure, connect.NewUnaryHandler(concordatv1connect.DocumentServiceExplainProcedure, d.explain, limit))
	calls.Handle(concordatv1connect.DocumentServiceCompareProcedure, connect.NewUnaryHandler(concordatv1connect.DocumentServiceCompareProcedure, d.compare, limit))
}

func (d documents) check(ctx context.Context, req *connect.Request[concordatv1.CheckRequest]) (*connect.Response[concordatv1.CheckResponse], error) {
	inForce, err := d.inForce(ctx, req.Msg.GetCollaboration())
	if err != nil {
		return nil, unreached("check", err)
	}
	out, err := draft.Check(req.Msg.GetDraft(), inForce)
	if err != nil {
		return nil, fault.Connect(fault.New("check", fault.Invalid, err))
	}
	return connect.NewResponse(out), nil
}

func (documents) explain(_ context.Context, req *connect.Request[concordatv1.ExplainRequest]) (*connect.Response[concordatv1.ExplainResponse], error) {
	return connect.NewResponse(draft.Explain(req.Msg)), nil
}

func (documents) compare(_ context.Context, req *connect.Request[concordatv1.CompareRequest]) (*connect.Response[concordatv1.CompareResponse], error) {
	out, err := draft.Compare(req.Msg)
	if err != nil {
		return nil, fault.Connect(fault.New("compare", fault.Invalid, err))
	}
	return connect.NewResponse(out), nil
}

// inForce is the newest version of a collaboration that is, or was, in force; nil before the first.
func (d documents) inForce(ctx context.Context, collaboration string) (*document.Bundle, error) {
	for version := int32(0); ; {
		m, err := client.Unary(ctx, d.Client, &concordatv1.GetManifestRequest{Collaboration: collaboration, Version: version}, client.Services.GetManifest)
		if connect.CodeOf(err) == connect.CodeNotFound {
			return nil, nil //nolint:nilnil // no version is an answer
		}
		if err != nil {
			return nil, err
		}
		b, err := document.OpenSigned(m.GetDocuments().GetManifest(), m.GetDocuments().GetPolicies())
		if err != nil {
			return nil, err
		}
		if m.GetState() != "proposed" && m.GetState() != "rejected" {
			return b, nil
		}
		if version = int32(b.Manifest.Version) - 1; version < 1 { //nolint:gosec // versions are small
			return nil, nil //nolint:nilnil // no version is an answer
		}
	}
}
