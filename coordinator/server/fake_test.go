package server_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"filippo.io/age"

	"concordat.dev/protocol/answer"
	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/checkpoint"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/event"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/gen/concordat/v1/concordatv1connect"
	"concordat.dev/protocol/grant"
	"concordat.dev/protocol/marble"
	"concordat.dev/protocol/receipt"
	"concordat.dev/protocol/upload"
)

// fakeWorker judges no SQL and sees no rows: it admits every text, reads both datasets for rho 0.1 an owner, and releases its length.
// What it signs and checks is as a worker does.
type fakeWorker struct {
	concordatv1connect.UnimplementedWorkerServiceHandler
	t        testing.TB
	name     string
	identity *marble.Identity
	server   *http.Server
	address  string
	stop     context.CancelFunc
	done     sync.WaitGroup

	executions atomic.Int32
	fate       atomic.Value // func() error, called before each execution
	ledger     sync.Mutex
	seen       checkpoint.Checkpoint // the newest of the ledger, where witnesses are demanded
	refuse     atomic.Bool           // of uploads
}

const fakePrice = 0.1

func startWorker(t testing.TB, identity *marble.Identity, name string, coordinators []string) *fakeWorker {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	w := &fakeWorker{t: t, name: name, identity: identity, address: l.Addr().String()}
	mux := http.NewServeMux()
	mux.Handle(concordatv1connect.NewWorkerServiceHandler(w))
	w.server = &http.Server{Handler: mux, TLSConfig: identity.ServerTLS(marble.Coordinator), ReadHeaderTimeout: time.Second}
	w.done.Go(func() {
		if err := w.server.ServeTLS(l, "", ""); !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("worker %s: %v", name, err)
		}
	})
	var ctx context.Context
	ctx, w.stop = context.WithCancel(context.Background())
	for _, address := range coordinators {
		w.done.Go(func() { w.announce(ctx, address) })
	}
	t.Cleanup(w.kill)
	return w
}

func (w *fakeWorker) kill() {
	w.stop()
	_ = w.server.Close()
	w.done.Wait()
}

func (w *fakeWorker) announce(ctx context.Context, address string) {
	transport := &http.Transport{TLSClientConfig: w.identity.ClientTLS(marble.Coordinator), ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	c := concordatv1connect.NewCoordinatorServiceClient(&http.Client{Transport: transport}, "https://"+address)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		_, _ = c.Announce(ctx, connect.NewRequest(&concordatv1.AnnounceRequest{Worker: w.name, Address: w.address})) // the coordinator may be down
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (w *fakeWorker) open(d *concordatv1.Documents) (*document.Bundle, error) {
	if len(d.GetApprovals()) == 0 {
		return nil, connect.NewError(connect.CodePermissionDenied, errors.New("nobody approved the documents"))
	}
	return document.OpenSigned(d.GetManifest(), d.GetPolicies())
}

func (w *fakeWorker) Analyze(_ context.Context, req *connect.Request[concordatv1.AnalyzeRequest]) (*connect.Response[concordatv1.AnalyzeResponse], error) {
	b, err := w.open(req.Msg.GetDocuments())
	if req.Msg.GetDraft() {
		b, err = document.OpenSigned(req.Msg.GetDocuments().GetManifest(), req.Msg.GetDocuments().GetPolicies())
	}
	if err != nil {
		return nil, err
	}
	a := answer.Answer{Verdict: answer.Released, Mechanism: "differential_privacy"}
	out := &concordatv1.AnalyzeResponse{}
	if strings.Contains(req.Msg.GetSql(), "forbidden") {
		a.Verdict, a.Refusals = answer.Refused, []answer.Refusal{{Code: answer.HiddenColumn, Message: "hidden"}}
	} else {
		for _, d := range b.Manifest.Datasets {
			a.Price = append(a.Price, answer.Price{Owner: d.Owner, Namespace: "patient", Rho: cmp.Or(req.Msg.GetRho(), fakePrice)})
			out.Datasets = append(out.Datasets, d.ID)
		}
		out.PlanDigest = canon.Sum([]byte("plan of " + req.Msg.GetSql())).String()
		out.Question = canon.Sum([]byte(strings.ToLower(req.Msg.GetSql()))).String()
	}
	if out.Answer, err = json.Marshal(a); err != nil {
		return nil, err
	}
	return connect.NewResponse(out), nil
}

func (w *fakeWorker) Execute(_ context.Context, req *connect.Request[concordatv1.ExecuteRequest]) (*connect.Response[concordatv1.ExecuteResponse], error) {
	w.executions.Add(1)
	if fate, ok := w.fate.Load().(func() error); ok && fate != nil {
		if err := fate(); err != nil {
			return nil, err
		}
	}
	b, err := w.open(req.Msg.GetDocuments())
	if err != nil {
		return nil, err
	}
	g, digest, err := w.checkGrant(req.Msg, b)
	if err != nil {
		return nil, connect.NewError(connect.CodePermissionDenied, err)
	}
	if demanded := b.Manifest.Witnesses; demanded != nil && demanded.Quorum > 0 {
		if seen, err := w.checkLogged(req.Msg, b, g); err != nil || seen > 0 {
			return connect.NewResponse(&concordatv1.ExecuteResponse{Seen: seen}), err
		}
	}
	a := answer.Answer{
		Verdict: answer.Released, Columns: []answer.Column{{Name: "n", Type: "bigint", Kind: answer.Aggregate}},
		Rows: [][]any{{len(req.Msg.GetSql())}}, Intervals: [][]*answer.Interval{{{0, 1000}}}, Mechanism: "differential_privacy",
	}
	result, err := a.Result().Marshal()
	if err != nil {
		return nil, err
	}
	release := receipt.Release{
		Ledger: g.Ledger, Collaboration: g.Collaboration, Version: g.Version, Manifest: g.Manifest, Mode: b.Manifest.Mesh.Mode, Query: g.Query,
		Datasets: g.Datasets, SQL: g.SQL, PlanDigest: g.Plan, Question: g.Question, Mechanism: a.Mechanism, Parameters: json.RawMessage(`{}`),
		Price: g.Price, Grant: digest, Worker: receipt.Worker{Version: "test", Noise: "none"},
	}
	for _, d := range g.Datasets {
		entry, _ := b.Manifest.Dataset(d.ID)
		release.Policies = append(release.Policies, receipt.Policy{Dataset: d.ID, Digest: canon.Digest(entry.PolicyDigest)})
	}
	body, err := receipt.Sign(release, result, w.identity.Certificate)
	if err != nil {
		return nil, err
	}
	out := &concordatv1.ExecuteResponse{}
	if out.ReceiptBody, err = body.Marshal(); err != nil {
		return nil, err
	}
	out.Answer, err = json.Marshal(a)
	return connect.NewResponse(out), err
}

func (w *fakeWorker) checkGrant(r *concordatv1.ExecuteRequest, b *document.Bundle) (grant.Grant, canon.Digest, error) {
	signed, err := grant.Parse(r.GetGrant())
	if err != nil {
		return grant.Grant{}, "", err
	}
	g, _, err := signed.Verify(canon.Digest(b.Manifest.Mesh.RootCertificate), w.identity.Root, b.Manifest.Mesh.Ledger)
	if err != nil {
		return grant.Grant{}, "", err
	}
	if g.SQL != canon.Sum([]byte(r.GetSql())) || g.Manifest != canon.Sum(r.GetDocuments().GetManifest()) || len(g.Datasets) != len(r.GetDatasets()) {
		return grant.Grant{}, "", errors.New("the grant is for another query")
	}
	for i, d := range r.GetDatasets() {
		if g.Datasets[i].Sealed.String() != d.GetDigest() || len(d.GetWrap()) == 0 {
			return grant.Grant{}, "", errors.New("the grant is for other data")
		}
	}
	return g, canon.Sum(signed.Grant.Payload), nil
}

// checkLogged demands what a worker does of the witnessed log.
func (w *fakeWorker) checkLogged(r *concordatv1.ExecuteRequest, b *document.Bundle, g grant.Grant) (seen uint64, err error) {
	w.ledger.Lock()
	defer w.ledger.Unlock()
	if w.seen.Size > 0 && uint64(w.seen.Size) != r.GetLogged().GetSeen() { //nolint:gosec // never negative
		return uint64(w.seen.Size), nil //nolint:gosec // never negative
	}
	signed, err := grant.Parse(r.GetGrant())
	if err != nil {
		return 0, err
	}
	keys, err := grant.VerifyKeys(signed.Keys, canon.Digest(b.Manifest.Mesh.RootCertificate), w.identity.Root, b.Manifest.Mesh.Ledger)
	if err != nil {
		return 0, err
	}
	l, none := r.GetLogged(), connect.NewError(connect.CodeUnavailable, errors.New("not witnessed"))
	head, err := checkpoint.Open(string(l.GetCheckpoint()), g.Ledger, keys.Log, b.Manifest.Witnesses.Keys)
	if err != nil || len(head.Cosigned) < b.Manifest.Witnesses.Quorum {
		w.t.Errorf("a checkpoint of %d cosignatures: %v", len(head.Cosigned), err)
		return 0, none
	}
	if err := head.Includes(int64(l.GetIndex()), checkpoint.Leaf(l.GetSalt(), l.GetBody()), l.GetInclusion()); err != nil { //nolint:gosec // compared only
		w.t.Error(err)
		return 0, none
	}
	e, reserved, err := event.ReservationOf(l.GetBody())
	if err != nil || e.Ledger != g.Ledger || reserved.Query != g.Query || !slices.Equal(reserved.Price, g.Price) || !slices.Equal(reserved.Datasets, g.Datasets) {
		w.t.Errorf("the log holds reservation %+v: %v, granted is %+v", reserved, err, g)
		return 0, none
	}
	if err := head.Extends(w.seen, l.GetConsistency()); err != nil {
		w.t.Error(err)
		return 0, none
	}
	w.seen = head
	return 0, nil
}

func (w *fakeWorker) OpenUpload(_ context.Context, req *connect.Request[concordatv1.WorkerOpenUploadRequest]) (*connect.Response[concordatv1.WorkerOpenUploadResponse], error) {
	b, err := w.open(req.Msg.GetDocuments())
	if err != nil {
		return nil, err
	}
	identity, err := age.GenerateHybridIdentity()
	if err != nil {
		return nil, err
	}
	offer, err := upload.SignOffer(upload.Target{
		Ledger: b.Manifest.Mesh.Ledger, Collaboration: b.Manifest.Collaboration, Manifest: canon.Sum(req.Msg.GetDocuments().GetManifest()),
		Dataset: req.Msg.GetDataset(), Version: req.Msg.GetVersion(), Upload: req.Msg.GetUploadId(),
	}, identity.Recipient(), w.identity.Certificate)
	if err != nil {
		return nil, err
	}
	raw, err := offer.Marshal()
	return connect.NewResponse(&concordatv1.WorkerOpenUploadResponse{Recipient: raw, IdentityWrap: []byte(identity.String())}), err
}

func (w *fakeWorker) Ingest(_ context.Context, req *connect.Request[concordatv1.IngestRequest]) (*connect.Response[concordatv1.IngestResponse], error) {
	m := req.Msg
	if len(m.GetIdentityWrap()) == 0 || len(m.GetStatement()) == 0 || len(m.GetParts()) == 0 {
		return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("something is missing"))
	}
	if w.refuse.Load() {
		return connect.NewResponse(&concordatv1.IngestResponse{Report: []byte(`{"rows":0}`)}), nil
	}
	sealed := canon.Sum(slices.Concat([]byte(m.GetUploadId()), m.GetStatement()))
	return connect.NewResponse(&concordatv1.IngestResponse{Accepted: true, Report: []byte(`{"rows":3}`), Sealed: &concordatv1.SealedDataset{
		Dataset: m.GetDataset(), Version: m.GetVersion(), Digest: sealed.String(), Objects: []string{"datasets/" + m.GetUploadId()},
		Wrap: []byte("wrap of " + m.GetUploadId()), Registration: []byte("{}"),
	}}), nil
}
