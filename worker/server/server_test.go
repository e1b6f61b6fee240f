package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"filippo.io/age"
	"github.com/rs/zerolog"

	"concordat.dev/protocol/answer"
	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/gen/concordat/v1/concordatv1connect"
	"concordat.dev/protocol/grant"
	"concordat.dev/protocol/key"
	"concordat.dev/protocol/marble"
	"concordat.dev/protocol/marble/marbletest"
	"concordat.dev/protocol/receipt"
	"concordat.dev/protocol/statement"
	"concordat.dev/protocol/upload"
	"concordat.dev/worker/ingest"
	"concordat.dev/worker/server"
	"concordat.dev/worker/storage"
)

const (
	ledger  = "00112233445566778899aabbccddeeff"
	dataset = "clinic.patients"
	text    = "SELECT male, count(DISTINCT id) AS n, avg(age) AS age FROM clinic.patients GROUP BY male"
)

// world is one worker, the coordinator that calls it, and a clinic with a signed manifest.
type world struct {
	server   *server.Server
	t        *testing.T
	mesh     marbletest.Mesh
	clinic   key.Private
	grantKey key.Private
	bundle   *document.Bundle
	cfg      server.Config
	reader   *age.HybridIdentity // that reports are sealed to
	tolerate *upload.Tolerance
	client   concordatv1connect.WorkerServiceClient
	log      *bytes.Buffer
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func newWorld(t *testing.T, change ...func(*server.Config)) *world {
	t.Helper()
	w := &world{t: t, mesh: marbletest.New(t), clinic: must[key.Private](t)(key.Generate()), grantKey: must[key.Private](t)(key.Generate()), log: &bytes.Buffer{}, reader: must[*age.HybridIdentity](t)(age.GenerateHybridIdentity())}
	pin := canon.Sum([]byte("pin")).String()
	p := document.Policy{
		APIVersion: document.APIVersion, Kind: "Policy", Dataset: dataset, Owner: "clinic", Unit: document.Unit{Column: "id", Namespace: "patient", Unique: true},
		Columns: map[string]document.Column{
			"id":   {Type: "varchar", Role: "identifier"},
			"male": {Type: "integer", Role: "dimension", Domain: &document.Domain{Values: []any{int64(0), int64(1)}}},
			"age":  {Type: "integer", Role: "measure", Bounds: &[2]float64{18, 100}, Grain: "5"},
		},
		Aggregates: []string{"count", "count_distinct", "avg"}, Release: &document.Release{Mechanism: document.DifferentialPrivacy, MinUnits: 10},
		Budget: &document.Budget{Rho: 0.5, Delta: 1e-6, Period: "30d", LifetimeRho: 3},
	}
	w.bundle = &document.Bundle{Policies: map[string]*document.Policy{dataset: p.WithDefaults()}, Manifest: &document.Manifest{
		APIVersion: document.APIVersion, Kind: "Manifest", Collaboration: "test", Version: 1, Purpose: "test", Expires: "2099-12-31",
		Participants: []document.Participant{{ID: "clinic", Name: "Clinic", Keys: []string{w.clinic.Public().String()}}},
		People:       []document.Person{{ID: "ana@clinic.example", Participant: "clinic", Roles: []string{"analyst"}, Keys: []string{must[key.Private](t)(key.Generate()).Public().String()}}},
		Namespaces:   map[string]document.Namespace{"patient": {Normalize: "trim"}},
		Datasets:     []document.Dataset{{ID: dataset, Owner: "clinic", Policy: "policies/" + dataset + ".yaml"}},
		Mesh:         &document.Mesh{Mode: "simulation", MarbleRunManifest: pin, Coordinator: pin, Ledger: ledger},
	}}
	identity := w.mesh.Identity(t, marble.Worker)
	w.bundle.Manifest.Mesh.RootCertificate = identity.RootDigest().String()
	l := must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
	address := l.Addr().String()
	_ = l.Close()
	w.cfg = server.Config{Worker: "w1", ObjectStore: "file://" + t.TempDir(), Mode: "simulation", Listen: address, Coordinators: []string{"127.0.0.1:1"},
		Mesh: server.Mesh{MarbleRunManifest: pin, Coordinator: pin}, Threads: 1}
	for _, c := range change {
		c(&w.cfg)
	}
	s := must[*server.Server](t)(server.New(t.Context(), w.cfg, identity, zerolog.New(w.log)))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	w.server, w.client = s, w.as(marble.Coordinator)
	w.waitReady(address)
	return w
}

// as connects as a marble of a type.
func (w *world) as(marbleType string) concordatv1connect.WorkerServiceClient {
	transport := &http.Transport{TLSClientConfig: w.mesh.Identity(w.t, marbleType).ClientTLS(marble.Worker), ForceAttemptHTTP2: true}
	w.t.Cleanup(transport.CloseIdleConnections)
	return concordatv1connect.NewWorkerServiceClient(&http.Client{Transport: transport}, "https://"+w.cfg.Listen)
}

func (w *world) waitReady(address string) {
	for range 200 {
		c, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			_ = c.Close()
			return
		}
		<-time.After(10 * time.Millisecond)
	}
	w.t.Fatal("the worker does not listen")
}

func (w *world) documents() *concordatv1.Documents {
	form := must[document.SignedForm](w.t)(w.bundle.Signable())
	m := w.bundle.Manifest
	approval := must[interface{ Marshal() ([]byte, error) }](w.t)(statement.Sign(statement.Statement{
		Action: statement.Approve, Ledger: m.Mesh.Ledger, Collaboration: m.Collaboration, Version: m.Version, Subject: form.Digest(),
	}, w.clinic))
	return &concordatv1.Documents{Manifest: form.Manifest, Policies: form.Policies, Approvals: [][]byte{must[[]byte](w.t)(approval.Marshal())}}
}

// ingest uploads a CSV text; change may spoil the request.
func (w *world) ingest(csv string, change func(*concordatv1.IngestRequest)) (*concordatv1.IngestResponse, error) {
	t, documents := w.t, w.documents()
	offered := must[*connect.Response[concordatv1.WorkerOpenUploadResponse]](t)(w.client.OpenUpload(t.Context(), connect.NewRequest(&concordatv1.WorkerOpenUploadRequest{
		Documents: documents, Dataset: dataset, Version: 1, UploadId: "u1",
	})))
	target := upload.Target{Ledger: ledger, Collaboration: "test", Manifest: canon.Sum(documents.GetManifest()), Dataset: dataset, Version: 1, Upload: "u1"}
	identity := w.mesh.Identity(t, marble.Worker)
	recipient, err := upload.VerifyOffer(parseEndorsement(t, offered.Msg.GetRecipient()), identity.RootDigest(), identity.Root, target)
	if err != nil {
		t.Fatal(err)
	}
	var sealed bytes.Buffer
	part := must[upload.Part](t)(upload.EncryptPart(&sealed, recipient, target.Header(1), strings.NewReader(csv)))
	store := must[*storage.Store](t)(storage.Open(t.Context(), w.cfg.ObjectStore))
	defer func() { _ = store.Close() }()
	if err := store.Put(t.Context(), "uploads/u1/1", sealed.Bytes()); err != nil {
		t.Fatal(err)
	}
	envelope := must[interface{ Marshal() ([]byte, error) }](t)(upload.Sign(upload.Statement{
		Target: target, Format: upload.CSV, Columns: []string{"id", "male", "age"}, Parts: []upload.Part{part}, Client: "test", Issued: "2026-11-23T12:00:00Z",
		Report: w.reader.Recipient().String(), Tolerate: w.tolerate,
	}, w.clinic))
	request := &concordatv1.IngestRequest{
		Documents: documents, Dataset: dataset, Version: 1, UploadId: "u1", IdentityWrap: offered.Msg.GetIdentityWrap(),
		Statement: must[[]byte](t)(envelope.Marshal()), Parts: []string{"uploads/u1/1"},
	}
	if change != nil {
		change(request)
	}
	r, err := w.client.Ingest(t.Context(), connect.NewRequest(request))
	if err != nil {
		return nil, err
	}
	return r.Msg, nil
}

// report opens the report of an ingest.
func (w *world) report(r *concordatv1.IngestResponse) (out ingest.Report) {
	w.t.Helper()
	if err := json.Unmarshal(must[[]byte](w.t)(upload.OpenReport(w.reader, r.GetReport())), &out); err != nil {
		w.t.Fatal(err)
	}
	return out
}

// rows is a file of 400 patients.
func rows() string {
	var b strings.Builder
	b.WriteString("id,male,age\n")
	for i := range 400 {
		fmt.Fprintf(&b, "p%d,%d,%d\n", i, i%2, 20+i%60)
	}
	return b.String()
}

// request is a complete execution; change may spoil its grant.
func (w *world) request(sealed *concordatv1.SealedDataset, change func(*grant.Grant)) *concordatv1.ExecuteRequest {
	t, documents := w.t, w.documents()
	judged := must[*connect.Response[concordatv1.AnalyzeResponse]](t)(w.client.Analyze(t.Context(), connect.NewRequest(&concordatv1.AnalyzeRequest{Documents: documents, Sql: text}))).Msg
	g := grant.Grant{
		Query: "q1", Ledger: ledger, Collaboration: "test", Version: 1, Manifest: canon.Sum(documents.GetManifest()), Person: "ana@clinic.example", Participant: "clinic",
		SQL: canon.Sum([]byte(text)), Plan: canon.Digest(judged.GetPlanDigest()), Question: canon.Digest(judged.GetQuestion()), Index: 7, Reserved: "2026-11-23T15:00:00Z",
		Datasets: []grant.Dataset{{ID: dataset, Version: 1, Sealed: canon.Digest(sealed.GetDigest())}},
		Price:    []grant.Price{{Owner: "clinic", Namespace: "patient", Rho: 15_000_000}},
	}
	if change != nil {
		change(&g)
	}
	keys, err := grant.EndorseKeys(grant.Keys{Ledger: g.Ledger, Log: w.grantKey.Public(), Grant: w.grantKey.Public()}, w.mesh.Marble(t, marble.Coordinator))
	if err != nil {
		t.Fatal(err)
	}
	signed := must[grant.Signed](t)(grant.Sign(g, w.grantKey, keys))
	return &concordatv1.ExecuteRequest{Documents: documents, Sql: text, Grant: must[[]byte](t)(signed.Marshal()), Datasets: []*concordatv1.SealedDataset{sealed}, Incident: "i1"}
}

func (w *world) execute(r *concordatv1.ExecuteRequest) (*concordatv1.ExecuteResponse, error) {
	out, err := w.client.Execute(w.t.Context(), connect.NewRequest(r))
	if err != nil {
		return nil, err
	}
	return out.Msg, nil
}

func TestQueryFromUploadToReceipt(t *testing.T) {
	w := newWorld(t)
	got, err := w.ingest(rows(), nil)
	if err != nil || !got.GetAccepted() {
		t.Fatalf("ingest: %v, report %s", err, got.GetReport())
	}
	first, err := w.execute(w.request(got.GetSealed(), nil))
	if err != nil {
		t.Fatalf("execute: %v\n%s", err, w.log)
	}
	a := must[answer.Answer](t)(answer.Parse(first.GetAnswer()))
	if a.Verdict != answer.Released || len(a.Rows) != 2 || a.Mechanism != document.DifferentialPrivacy {
		t.Fatalf("answer %s", first.GetAnswer())
	}
	identity := w.mesh.Identity(t, marble.Worker)
	release, result, err := receipt.OpenBody(parseEndorsement(t, first.GetReceiptBody()), identity.RootDigest(), identity.Root)
	if err != nil {
		t.Fatal(err)
	}
	if want := canon.Sum(must[[]byte](t)(a.Result().Marshal())); result != want || release.Query != "q1" || release.SQL != canon.Sum([]byte(text)) {
		t.Errorf("the receipt is for result %s of query %s, want %s", result, release.Query, want)
	}
	program := must[marble.Measurements](t)(identity.Measurements())
	if release.Plan == "" || receipt.DigestPlan(release.Plan) != release.PlanDigest || release.Worker.Measure != program.Worker || !bytes.Equal(release.Worker.MarbleRun, identity.Manifest) {
		t.Errorf("the receipt lacks the plan, or what program the worker is: %+v", release)
	}
	again, err := w.execute(w.request(got.GetSealed(), nil))
	if err != nil || !bytes.Equal(again.GetAnswer(), first.GetAnswer()) {
		t.Errorf("the same question has another release: %v\n%s\n%s", err, first.GetAnswer(), again.GetAnswer())
	}
}

func TestExecuteRefusesWhatNoGrantCovers(t *testing.T) {
	w := newWorld(t)
	got, err := w.ingest(rows(), nil)
	if err != nil {
		t.Fatal(err)
	}
	sealed := got.GetSealed()
	for name, c := range map[string]struct {
		grant   func(*grant.Grant)
		request func(*concordatv1.ExecuteRequest)
		says    string
	}{
		"another ledger":     {grant: func(g *grant.Grant) { g.Ledger = strings.Repeat("f", 32) }, says: "ledger"},
		"another manifest":   {grant: func(g *grant.Grant) { g.Manifest = canon.Sum([]byte("x")) }, says: "another manifest"},
		"another version":    {grant: func(g *grant.Grant) { g.Version = 2 }, says: "another manifest"},
		"another text":       {grant: func(g *grant.Grant) { g.SQL = canon.Sum([]byte("x")) }, says: "another text"},
		"another plan":       {grant: func(g *grant.Grant) { g.Plan = canon.Sum([]byte("x")) }, says: "another plan"},
		"other data":         {grant: func(g *grant.Grant) { g.Datasets[0].Version = 2 }, says: "another data"},
		"too low a price":    {grant: func(g *grant.Grant) { g.Price[0].Rho = 14_999_999 }, says: "another price"},
		"nobody pays":        {grant: func(g *grant.Grant) { g.Price = nil }, says: "another price"},
		"another collective": {grant: func(g *grant.Grant) { g.Collaboration = "other" }, says: "another collaboration"},
		"text changed":       {request: func(r *concordatv1.ExecuteRequest) { r.Sql = strings.Replace(text, "male, ", "", 1) }, says: ""},
		"refused text":       {request: func(r *concordatv1.ExecuteRequest) { r.Sql = "SELECT * FROM clinic.patients" }, says: "refuse"},
		"unsigned documents": {request: func(r *concordatv1.ExecuteRequest) { r.Documents.Approvals = nil }, says: "not signed by clinic"},
		"changed policy": {request: func(r *concordatv1.ExecuteRequest) {
			r.Documents.Policies[0] = bytes.Replace(r.Documents.Policies[0], []byte(`"min_units":10`), []byte(`"min_units":1`), 1)
		}, says: "digest"},
		"no grant": {request: func(r *concordatv1.ExecuteRequest) { r.Grant = nil }, says: "grant"},
	} {
		t.Run(name, func(t *testing.T) {
			r := w.request(sealed, c.grant)
			if c.request != nil {
				c.request(r)
			}
			out, err := w.execute(r)
			if err == nil {
				t.Fatalf("released %s", out.GetAnswer())
			}
			if code := connect.CodeOf(err); code != connect.CodePermissionDenied {
				t.Errorf("code %v: %v", code, err)
			}
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %q lacks %q", err, c.says)
			}
		})
	}
}

// TestFailuresAreConstant damages the sealed file: the caller hears the incident and nothing else.
func TestFailuresAreConstant(t *testing.T) {
	w := newWorld(t)
	got, err := w.ingest(rows(), nil)
	if err != nil {
		t.Fatal(err)
	}
	store := must[*storage.Store](t)(storage.Open(t.Context(), w.cfg.ObjectStore))
	defer func() { _ = store.Close() }()
	object := got.GetSealed().GetObjects()[0]
	body := must[[]byte](t)(store.Get(t.Context(), object, 1<<30))
	body[len(body)/2] ^= 1
	if err := store.Put(t.Context(), object, body); err != nil {
		t.Fatal(err)
	}
	_, err = w.execute(w.request(got.GetSealed(), nil))
	if connect.CodeOf(err) != connect.CodeInternal || !strings.Contains(err.Error(), "i1") || strings.Contains(err.Error(), "sealed") {
		t.Errorf("the failure says %q", err)
	}
	if !strings.Contains(w.log.String(), `"incident":"i1"`) {
		t.Errorf("the log does not name the incident: %s", w.log)
	}
}

func TestIngestRefuses(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		change func(*concordatv1.IngestRequest)
		says   string
	}{
		"signed by a stranger": {change: func(r *concordatv1.IngestRequest) {
			r.Statement = bytes.Replace(r.Statement, []byte(`"sig":"`), []byte(`"sig":"AAAA`), 1)
		}, says: ""},
		"another upload":  {change: func(r *concordatv1.IngestRequest) { r.UploadId = "u2" }, says: "another upload"},
		"another version": {change: func(r *concordatv1.IngestRequest) { r.Version = 2 }, says: "another upload"},
		"missing part":    {change: func(r *concordatv1.IngestRequest) { r.Parts[0] = "uploads/u1/9" }, says: "missing"},
		"no parts":        {change: func(r *concordatv1.IngestRequest) { r.Parts = nil }, says: "0 are there"},
		"wrap of another": {change: func(r *concordatv1.IngestRequest) { r.IdentityWrap[5] ^= 1 }, says: "doesn't open"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := w.ingest(rows(), c.change)
			if err == nil {
				t.Fatalf("accepted: %v, report %s", got.GetAccepted(), got.GetReport())
			}
			if code := connect.CodeOf(err); code != connect.CodeInvalidArgument || !strings.Contains(err.Error(), c.says) {
				t.Errorf("code %v, error %q lacks %q", code, err, c.says)
			}
		})
	}
}

// Why a file as a whole is not taken may name what stands in it: its owner alone is told, nobody who reads the answer or the worker's log.
func TestUnreadableFilesAreReported(t *testing.T) {
	w := newWorld(t)
	for csv, says := range map[string]string{
		"id,male\np1,0\n": "the header lacks age", "Ann Example,0,30\n": "the header lacks", "<html>": "a web page", "id,male,age\n": "no row that can be kept",
		"id,male,age\n,0,30\n": "no row that can be kept", "id,male,age\nAnn Example,0," + strings.Repeat("9", 2<<20) + "\n": "longer than 1 MiB",
	} {
		got, err := w.ingest(csv, nil)
		if err != nil || got.GetAccepted() || got.GetSealed() != nil {
			t.Errorf("%.30q: accepted %v, %v", csv, got.GetAccepted(), err)
			continue
		}
		if e := w.report(got).Errors; len(e) != 1 || e[0].Kind != "file" || !strings.Contains(e[0].Cause, says) {
			t.Errorf("%.30q: report %+v, want %q", csv, e, says)
		}
	}
	if header := w.log.String(); strings.Contains(header, "Ann") || strings.Contains(header, "lacks") {
		t.Errorf("the log tells of the file: %s", header)
	}
}

func TestBadRowsAreReported(t *testing.T) {
	w := newWorld(t)
	got, err := w.ingest("id,male,age\np1,0,30\np1,1,40\n", nil)
	if err != nil || got.GetAccepted() || got.GetSealed() != nil {
		t.Fatalf("a duplicate in a unique dataset: accepted %v, %v", got.GetAccepted(), err)
	}
	if bytes.Contains(got.GetReport(), []byte("duplicate")) {
		t.Errorf("the coordinator reads %s", got.GetReport())
	}
	if report := w.report(got); report.Accepted || len(report.Errors) != 1 || report.Errors[0].Column != "id" {
		t.Errorf("report %+v", report)
	}
}

// The owner's tolerance is what the steward signed; values in the report are for the owner's eyes.
func TestToleratedRowsAreLeftOut(t *testing.T) {
	w := newWorld(t)
	const csv = "id,male,age\np1,0,thirty\np2,1,40\np3,0,50\np4,1,60\n"
	for _, c := range []struct {
		tolerate *upload.Tolerance
		accepted bool
	}{
		{nil, false}, {&upload.Tolerance{Rows: 1}, true}, {&upload.Tolerance{Share: 0.2}, false}, {&upload.Tolerance{Share: 0.25}, true},
	} {
		w.tolerate = c.tolerate
		got, err := w.ingest(csv, nil)
		if err != nil || got.GetAccepted() != c.accepted {
			t.Fatalf("%+v: accepted %v, %v", c.tolerate, got.GetAccepted(), err)
		}
		report := w.report(got)
		if report.Accepted != c.accepted || report.Rows != 3 || report.Dropped.Bad != 1 || len(report.Errors) != 1 || report.Errors[0].Value != `"thirty"` || report.ErrorCounts["type"] != 1 {
			t.Errorf("%+v: %+v", c.tolerate, report)
		}
	}
	if strings.Contains(w.log.String(), "thirty") {
		t.Errorf("a value in the log: %s", w.log)
	}
}

func TestOnlyCoordinatorsAreServed(t *testing.T) {
	w := newWorld(t)
	request := connect.NewRequest(&concordatv1.AnalyzeRequest{Documents: w.documents(), Sql: text})
	if _, err := w.as(marble.Worker).Analyze(t.Context(), request); err == nil {
		t.Error("a marble of the wrong type was served")
	}
	w.mesh = marbletest.New(t) // certificates of another MarbleRun
	if _, err := w.as(marble.Coordinator).Analyze(t.Context(), request); err == nil {
		t.Error("a coordinator of another mesh was served")
	}
}

func TestConfigIsStrict(t *testing.T) {
	good := "worker: w\nobject_store: file:///tmp\nmode: simulation\nlisten: 127.0.0.1:1\ncoordinators: [\"127.0.0.1:2\"]\n"
	for name, c := range map[string]struct{ text, says string }{
		"unknown key":  {good + "surprise: 1\n", "surprise"},
		"repeated key": {good + "worker: x\n", "worker"},
		"no mode":      {strings.Replace(good, "mode: simulation\n", "", 1), "mode"},
		"bad address":  {strings.Replace(good, "127.0.0.1:1", "nowhere", 1), "nowhere"},
		"bad announce": {good + "announce: worker-1\n", "worker-1"},
		"bad memory":   {good + "memory: 8 gallons\n", "8 gallons"},
		"bad queue":    {good + "queue: -1\n", "queue"},
		"no queries":   {good + "queries: -2\n", "queries"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "worker.yaml")
			write(t, path, c.text)
			if _, err := server.Load(path); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v lacks %q", err, c.says)
			}
		})
	}
	path := filepath.Join(t.TempDir(), "worker.yaml")
	write(t, path, good)
	if cfg, err := server.Load(path); err != nil || cfg.Worker != "w" {
		t.Errorf("good configuration: %+v, %v", cfg, err)
	}
}
