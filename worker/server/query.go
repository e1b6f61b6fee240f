package server

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"

	"connectrpc.com/connect"

	"concordat.dev/protocol/answer"
	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/endorse"
	"concordat.dev/protocol/fault"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/gen/concordat/v1/concordatv1connect"
	"concordat.dev/protocol/grant"
	"concordat.dev/protocol/receipt"
	"concordat.dev/protocol/upload"
	"concordat.dev/worker/admit"
	"concordat.dev/worker/query"
	"concordat.dev/worker/storage"
)

// The log's fields: ids and digests, never text or values.
const (
	fieldIncident = "incident"
	fieldQuery    = "query"
	fieldDataset  = "dataset"
	fieldUpload   = "upload"
)

// service answers coordinators.
type service struct{ *Server }

var _ concordatv1connect.WorkerServiceHandler = service{}

// errEngine is all that a coordinator hears of a failure inside.
var errEngine = errors.New("execution failed")

// documents admits what every call begins with.
func (s *Server) documents(op string, d *concordatv1.Documents) (*admit.Documents, error) {
	if d == nil {
		return nil, connectError(fault.Newf(op, fault.Invalid, "documents are missing"))
	}
	out, err := s.admitted.documents(s.mesh, d)
	if err != nil {
		return nil, connectError(fault.New(op, fault.Forbidden, err))
	}
	return out, nil
}

func connectError(err error) error { return fault.Connect(err) }

// Analyze judges and prices a text. No data is touched.
func (s service) Analyze(ctx context.Context, req *connect.Request[concordatv1.AnalyzeRequest]) (*connect.Response[concordatv1.AnalyzeResponse], error) {
	bundle, err := s.judgedBy(req.Msg)
	if err != nil {
		return nil, err
	}
	a, err := s.analyser.Analyse(ctx, bundle, req.Msg.GetSql(), req.Msg.GetRho())
	if err != nil {
		return nil, connectError(fault.New("analyse", fault.Internal, err))
	}
	out := &concordatv1.AnalyzeResponse{Datasets: a.Decision.Datasets, Rowless: a.Rowless()}
	if out.Answer, err = a.Answer("").MarshalJSON(); err != nil {
		return nil, connectError(fault.New("analyse", fault.Internal, err))
	}
	if !a.Refused() {
		out.PlanDigest, out.Question = a.Decision.Release.Digest, a.Question.String()
	}
	return connect.NewResponse(out), nil
}

// judgedBy are the documents that a text is judged by: signed ones, or a draft, under which nothing is ever executed.
func (s *Server) judgedBy(r *concordatv1.AnalyzeRequest) (*document.Bundle, error) {
	if !r.GetDraft() {
		documents, err := s.documents("analyse", r.GetDocuments())
		if err != nil {
			return nil, err
		}
		return documents.Bundle, nil
	}
	bundle, err := admit.Draft(r.GetDocuments())
	if err != nil {
		return nil, connectError(fault.New("analyse", fault.Invalid, err))
	}
	return bundle, nil
}

// Execute decides again from the signed documents, checks the grant, and releases.
func (s service) Execute(ctx context.Context, req *connect.Request[concordatv1.ExecuteRequest]) (*connect.Response[concordatv1.ExecuteResponse], error) {
	const op = "execute"
	documents, err := s.documents(op, req.Msg.GetDocuments())
	if err != nil {
		return nil, err
	}
	keys, err := s.keys(documents, req.Msg.GetDocuments())
	if err != nil {
		return nil, connectError(fault.New(op, fault.Forbidden, err))
	}
	if seen := s.elsewhere(documents, req.Msg.GetLogged()); seen > 0 {
		return connect.NewResponse(&concordatv1.ExecuteResponse{Seen: seen}), nil
	}
	a, err := s.analyser.Analyse(ctx, documents.Bundle, req.Msg.GetSql(), req.Msg.GetRho())
	if err != nil {
		return nil, s.failed(ctx, req.Msg, err)
	}
	if a.Refused() {
		return nil, connectError(fault.Newf(op, fault.Forbidden, "the policies refuse this text"))
	}
	granted, err := s.mesh.Grant(req.Msg.GetGrant(), documents, claim(a, req.Msg))
	if err != nil {
		return nil, connectError(fault.New(op, fault.Forbidden, err))
	}
	if seen, err := s.witnessed(documents, granted, req.Msg); err != nil || seen > 0 {
		return connect.NewResponse(&concordatv1.ExecuteResponse{Seen: seen}), err
	}
	requests, err := s.requests(documents, keys, a, req.Msg.GetDatasets())
	if err != nil {
		return nil, s.failed(ctx, req.Msg, err)
	}
	released, err := s.execute(ctx, a, requests, granted.Participant+" "+granted.Person, keys.noise)
	if err != nil {
		return nil, s.failed(ctx, req.Msg, err)
	}
	released.QueryID = granted.Query
	out, err := s.evidence(a, granted.Grant, granted.Digest, released)
	if err != nil {
		return nil, s.failed(ctx, req.Msg, err)
	}
	return connect.NewResponse(out), nil
}

// claim is what the grant has to say.
func claim(a *query.Analysis, r *concordatv1.ExecuteRequest) admit.Claim {
	out := admit.Claim{SQL: r.GetSql(), Plan: a.Decision.Release.Digest, Question: a.Question, Datasets: r.GetDatasets(), Price: map[string]grant.Price{}}
	for _, p := range a.Decision.Prices {
		out.Price[admit.PriceKey(p.Owner, p.Namespace)] = grant.Price{Rho: int64(p.Rho), Queries: p.Queries}
	}
	return out
}

// registered checks that a worker of this mesh, or of one before it, sealed the file from what a steward signed for this dataset and version.
func (s *Server) registered(documents *admit.Documents, before []*x509.Certificate, d *concordatv1.SealedDataset) error {
	e, err := endorse.Parse(d.GetRegistration())
	if err != nil {
		return fmt.Errorf("registration of %s: %w", d.GetDataset(), err)
	}
	r, err := upload.VerifyRegistration(e, s.mesh.RootDigest(), s.mesh.Root)
	for i := len(before) - 1; i >= 0 && errors.Is(err, endorse.ErrChain); i-- {
		r, err = upload.VerifyRegistration(e, endorse.RootDigest(before[i]), before[i])
	}
	if err != nil {
		return err
	}
	m := documents.Bundle.Manifest
	if r.Ledger != m.Mesh.Ledger || r.Collaboration != m.Collaboration || r.Dataset != d.GetDataset() || r.Version != d.GetVersion() || r.Sealed.String() != d.GetDigest() {
		return fmt.Errorf("registration of %s: it is for another dataset", d.GetDataset())
	}
	rules, err := rulesOf(documents.Bundle, d.GetDataset())
	if err != nil {
		return err
	}
	if r.Tokens != rules {
		return fmt.Errorf("registration of %s: its identifiers were made tokens by other rules than those that namespace and policy have now; it must be uploaded again", d.GetDataset())
	}
	return nil
}

func binding(m *document.Manifest, owner document.Participant, dataset string, version uint32) storage.Binding {
	return storage.Binding{Ledger: m.Mesh.Ledger, Collaboration: m.Collaboration, Owner: owner.Keys[0], Dataset: dataset, Version: version}
}

// evidence signs what was released, from what, under which grant.
func (s *Server) evidence(a *query.Analysis, g grant.Grant, granted canon.Digest, released answer.Answer) (*concordatv1.ExecuteResponse, error) {
	result, err := released.Result().Marshal()
	if err != nil {
		return nil, err
	}
	worker, err := s.worker()
	if err != nil {
		return nil, err
	}
	r := receipt.Release{
		Ledger: g.Ledger, Collaboration: g.Collaboration, Version: g.Version, Manifest: g.Manifest, Mode: s.cfg.Mode, Query: g.Query, Datasets: g.Datasets,
		SQL: g.SQL, Plan: a.Decision.Release.Plan, PlanDigest: g.Plan, Question: g.Question, Mechanism: released.Mechanism, Parameters: a.ParametersJSON(), Price: g.Price, Grant: granted,
		Worker: worker,
	}
	for i, id := range a.Decision.Datasets {
		r.Policies = append(r.Policies, receipt.Policy{Dataset: id, Digest: a.Policies[i]})
	}
	slices.SortFunc(r.Policies, func(a, b receipt.Policy) int { return strings.Compare(a.Dataset, b.Dataset) })
	body, err := receipt.Sign(r, result, s.identity.Certificate)
	if err != nil {
		return nil, err
	}
	out := &concordatv1.ExecuteResponse{}
	if out.ReceiptBody, err = body.Marshal(); err != nil {
		return nil, err
	}
	out.Answer, err = released.MarshalJSON()
	return out, err
}
