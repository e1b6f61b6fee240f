// Package clienttest is a coordinator for tests of what speaks to one: TLS on certificates shaped like MarbleRun's, and answers that
// the test sets. It decides nothing and keeps no ledger.
//
// Sees: nothing real
package clienttest

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"concordat.dev/protocol/authn"
	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/endorse"
	"concordat.dev/protocol/endorse/endorsetest"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/gen/concordat/v1/concordatv1connect"
	"connectrpc.com/connect"
)

// Coordinator is a server of the calls of people. Set the fields before the first call.
type Coordinator struct {
	concordatv1connect.UnimplementedAnalystServiceHandler
	concordatv1connect.UnimplementedParticipantServiceHandler
	concordatv1connect.UnimplementedAuditorServiceHandler
	concordatv1connect.UnimplementedAdminServiceHandler
	concordatv1connect.UnimplementedSessionServiceHandler

	Mesh   *endorsetest.Mesh
	Ledger string
	// Answer gives the answer and receipt of a query.
	Answer func(*concordatv1.QueryRequest) (answer, receipt []byte, err error)
	// Begun, where it is set, is told the context of each query.
	Begun func(context.Context)
	// Lists by the name of the call: history, budget, datasets, entries.
	Lists  map[string]string
	Upload *Uploads

	// Manifests, where it is set, is what the coordinator shows as a version of the manifest; 0 asks for the newest.
	Manifests func(version int) *concordatv1.ManifestStatus

	mu        sync.Mutex
	manifest  *concordatv1.ManifestStatus
	id        string
	questions []*concordatv1.QueryRequest
	failing   int
	server    *httptest.Server
}

// New starts a coordinator with a mesh of its own.
func New(t testing.TB) *Coordinator {
	t.Helper()
	c := &Coordinator{Mesh: endorsetest.New(t), Ledger: strings.Repeat("ab", 16), Lists: map[string]string{}}
	c.Start(t, endorse.Coordinator)
	return c
}

// Start serves with a certificate of a marble type; New has done it for coordinators.
func (c *Coordinator) Start(t testing.TB, marbleType string) {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle(concordatv1connect.NewAnalystServiceHandler(c))
	mux.Handle(concordatv1connect.NewParticipantServiceHandler(c))
	mux.Handle(concordatv1connect.NewAuditorServiceHandler(c))
	mux.Handle(concordatv1connect.NewAdminServiceHandler(c))
	mux.Handle(concordatv1connect.NewSessionServiceHandler(c))
	mux.HandleFunc("PUT /upload/{id}/parts/{number}", c.putPart)
	c.Upload = &Uploads{t: t, parts: map[uint32][]byte{}, Refuse: -1}
	certificate := c.Mesh.Marble(t, marbleType)
	certificate.Certificate = append(certificate.Certificate, c.Mesh.Root.Raw)
	c.server = httptest.NewUnstartedServer(mux)
	c.server.TLS = &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{certificate}}
	c.server.StartTLS()
	t.Cleanup(c.server.Close)
}

// Address is HOST:PORT.
func (c *Coordinator) Address() string { return strings.TrimPrefix(c.server.URL, "https://") }

// Root is the digest to pin.
func (c *Coordinator) Root() canon.Digest { return c.Mesh.Pin() }

// Pins are the mesh section of a manifest for this coordinator.
func (c *Coordinator) Pins() document.Mesh {
	digest := canon.Sum([]byte("test")).String()
	return document.Mesh{Mode: "simulation", MarbleRunManifest: digest, RootCertificate: c.Root().String(), Coordinator: digest, Ledger: c.Ledger}
}

// Fail makes the next n calls of queries answer that the coordinator cannot serve them.
func (c *Coordinator) Fail(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failing = n
}

// Questions are the queries that came, failed ones included.
func (c *Coordinator) Questions() []*concordatv1.QueryRequest {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.questions
}

// Status implements AdminService.
func (c *Coordinator) Status(context.Context, *connect.Request[concordatv1.StatusRequest]) (*connect.Response[concordatv1.StatusResponse], error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.Pins()
	s := &concordatv1.StatusResponse{
		Mode: p.Mode, Ledger: p.Ledger, MarblerunManifest: p.MarbleRunManifest, RootCertificate: p.RootCertificate, Coordinator: p.Coordinator,
		Node: "c1", Leader: "c1",
	}
	if c.id != "" {
		s.Collaborations = []string{c.id}
	}
	return connect.NewResponse(s), nil
}

// Get implements SessionService: the key that signed is dana's, of the clinic; without one nobody is signed in.
func (c *Coordinator) Get(_ context.Context, r *connect.Request[concordatv1.GetSessionRequest]) (*connect.Response[concordatv1.Session], error) {
	out := &concordatv1.Session{Mode: "hosted", HostTrust: "trust", Simulation: true, Ledger: c.Ledger, RpId: "host"}
	if k := r.Header().Get(authn.HeaderKey); k != "" {
		out.SignedIn, out.Person, out.Participant, out.Keys = true, "dana@clinic.example", "clinic", []string{"ed25519:other", k}
	}
	return connect.NewResponse(out), nil
}

// Query implements AnalystService.
func (c *Coordinator) Query(ctx context.Context, r *connect.Request[concordatv1.QueryRequest], stream *connect.ServerStream[concordatv1.QueryEvent]) error {
	c.mu.Lock()
	c.questions = append(c.questions, r.Msg)
	fail := c.failing > 0
	if fail {
		c.failing--
	}
	c.mu.Unlock()
	if err := stream.Send(&concordatv1.QueryEvent{Event: &concordatv1.QueryEvent_Phase{Phase: "analyse"}}); err != nil {
		return err
	}
	if c.Begun != nil {
		c.Begun(ctx)
	}
	if fail {
		return connect.NewError(connect.CodeUnavailable, errors.New("no leader"))
	}
	answer, receipt, err := c.Answer(r.Msg)
	if err != nil {
		return err
	}
	return stream.Send(&concordatv1.QueryEvent{Event: &concordatv1.QueryEvent_Answer{Answer: answer}, Receipt: receipt})
}

// History implements AnalystService.
func (c *Coordinator) History(context.Context, *connect.Request[concordatv1.HistoryRequest]) (*connect.Response[concordatv1.HistoryResponse], error) {
	return connect.NewResponse(&concordatv1.HistoryResponse{Entries: []byte(c.Lists["history"])}), nil
}

// Budget implements AnalystService.
func (c *Coordinator) Budget(context.Context, *connect.Request[concordatv1.BudgetRequest]) (*connect.Response[concordatv1.BudgetResponse], error) {
	return connect.NewResponse(&concordatv1.BudgetResponse{Budgets: []byte(c.Lists["budget"])}), nil
}

// ProposeManifest implements ParticipantService: it takes every proposal.
func (c *Coordinator) ProposeManifest(_ context.Context, r *connect.Request[concordatv1.ProposeManifestRequest]) (*connect.Response[concordatv1.ManifestStatus], error) {
	m, err := document.ParseManifestJSON(r.Msg.GetManifest())
	if err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	s := &concordatv1.ManifestStatus{
		Documents: &concordatv1.Documents{Manifest: r.Msg.GetManifest(), Policies: r.Msg.GetPolicies()},
		Digest:    canon.Sum(r.Msg.GetManifest()).String(), State: "proposed",
	}
	for _, p := range m.Participants {
		s.Missing = append(s.Missing, p.ID)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.manifest, c.id = s, m.Collaboration
	return connect.NewResponse(s), nil
}

// SignManifest implements ParticipantService: it keeps every approval, right or wrong, for clients to judge.
func (c *Coordinator) SignManifest(_ context.Context, r *connect.Request[concordatv1.SignManifestRequest]) (*connect.Response[concordatv1.ManifestStatus], error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.manifest == nil {
		return nil, connect.NewError(connect.CodeNotFound, errors.New("no such collaboration"))
	}
	c.manifest.Documents.Approvals = append(c.manifest.Documents.Approvals, r.Msg.GetApproval())
	if n := len(c.manifest.Missing); n > 0 {
		c.manifest.Missing = c.manifest.Missing[1:]
		if n == 1 {
			c.manifest.State = "active"
		}
	}
	return connect.NewResponse(c.manifest), nil
}

// GetManifest implements ParticipantService.
func (c *Coordinator) GetManifest(_ context.Context, r *connect.Request[concordatv1.GetManifestRequest]) (*connect.Response[concordatv1.ManifestStatus], error) {
	if c.Manifests != nil {
		return connect.NewResponse(c.Manifests(int(r.Msg.GetVersion()))), nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.manifest == nil {
		return nil, connect.NewError(connect.CodeNotFound, errors.New("no such collaboration"))
	}
	return connect.NewResponse(c.manifest), nil
}
