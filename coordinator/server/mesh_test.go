package server_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"connectrpc.com/connect"
	"github.com/rs/zerolog"

	"concordat.dev/coordinator/server"
	"concordat.dev/protocol/answer"
	"concordat.dev/protocol/authn"
	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/gen/concordat/v1/concordatv1connect"
	"concordat.dev/protocol/key"
	"concordat.dev/protocol/marble"
	"concordat.dev/protocol/marble/marbletest"
	"concordat.dev/protocol/statement"
	"concordat.dev/protocol/upload"
)

const room = "room"

// mesh is three coordinators and workers in this process, over real TLS on loopback.
type mesh struct {
	t       testing.TB
	ca      marbletest.Mesh
	dir     string
	configs []server.Config
	nodes   []*server.Server
	workers []*fakeWorker
	ledger  string
	passed  atomic.Int64           // by how much all clocks lead the host's, in nanoseconds
	keys    map[string]key.Private // clinic, registry: organisations; dana, ann, alex: people
}

func newMesh(t testing.TB, workers int, each ...func(*server.Config)) *mesh {
	t.Helper()
	m := &mesh{t: t, ca: marbletest.New(t), dir: t.TempDir(), nodes: make([]*server.Server, 3), keys: map[string]key.Private{}}
	for _, who := range []string{"clinic", "registry", "dana", "rita", "ann", "alex", "stranger"} {
		k, err := key.Generate()
		must(t, err)
		m.keys[who] = k
	}
	addresses := ports(t, 9)
	var voters []server.Voter
	for i := range 3 {
		voters = append(voters, server.Voter{Name: fmt.Sprint("c", i), Raft: addresses[i]})
	}
	for i := range 3 {
		m.configs = append(m.configs, server.Config{
			Node: voters[i].Name, DataDir: filepath.Join(m.dir, voters[i].Name), ObjectStore: "file://" + filepath.Join(m.dir, "objects"),
			Mode: "simulation", Election: 300 * time.Millisecond, Listen: server.Listen{Raft: addresses[i], Mesh: addresses[3+i], API: addresses[6+i]},
			Voters: voters, Founders: []string{m.public("clinic")},
			Mesh: server.Mesh{MarbleRunManifest: canon.Sum([]byte("m")).String(), Coordinator: canon.Sum([]byte("c")).String()},
		})
	}
	for i := range 3 {
		for _, change := range each {
			change(&m.configs[i])
		}
		m.start(i)
	}
	t.Cleanup(m.stopAll)
	for i := range workers {
		m.addWorker(fmt.Sprint("w", i))
	}
	for i := range 3 {
		m.ledger = m.status(i).GetLedger()
	}
	return m
}

func ports(t testing.TB, n int) []string {
	t.Helper()
	var out []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		defer func() { must(t, l.Close()) }()
		out = append(out, l.Addr().String())
	}
	return out
}

func (m *mesh) addWorker(name string) *fakeWorker {
	var addresses []string
	for _, c := range m.configs {
		addresses = append(addresses, c.Listen.Mesh)
	}
	w := startWorker(m.t, m.ca.Identity(m.t, marble.Worker), name, addresses)
	m.workers = append(m.workers, w)
	return w
}

func (m *mesh) start(i int) {
	m.t.Helper()
	s, err := server.StartAt(m.t.Context(), m.configs[i], m.ca.Identity(m.t, marble.Coordinator), zerolog.Nop(), m.now)
	must(m.t, err)
	m.nodes[i] = s
}

// now is what the clocks of all coordinators and people show.
func (m *mesh) now() time.Time { return time.Now().Add(time.Duration(m.passed.Load())) }

func (m *mesh) stop(i int) {
	if m.nodes[i] != nil {
		if err := m.nodes[i].Close(context.Background()); err != nil {
			m.t.Errorf("stop coordinator %d: %v", i, err)
		}
		m.nodes[i] = nil
	}
}

// stopAll stops at once: each waits a second for its HTTP/2 clients to take note.
func (m *mesh) stopAll() {
	var stopping sync.WaitGroup
	for i := range m.nodes {
		stopping.Go(func() { m.stop(i) })
	}
	stopping.Wait()
}

func (m *mesh) public(who string) string { return m.keys[who].Public().String() }

// person is one client at one coordinator.
type person struct {
	*mesh
	concordatv1connect.AnalystServiceClient
	concordatv1connect.ParticipantServiceClient
	concordatv1connect.AuditorServiceClient
	http *http.Client
	base string
	key  key.Private
}

// as speaks to coordinator i with the key of who; nobody's when empty.
func (m *mesh) as(who string, i int) person {
	var transport http.RoundTripper = &http.Transport{
		TLSClientConfig: marble.ClientConfig(canon.Sum(m.ca.Root.Raw), marble.Coordinator), ForceAttemptHTTP2: true,
	}
	if who != "" {
		transport = authn.Signer{Key: m.keys[who], Audience: m.ledger, Now: m.now}.RoundTripper(transport)
	}
	h := &http.Client{Transport: transport}
	base := "https://" + m.configs[i].Listen.API
	return person{
		mesh: m, http: h, base: base, key: m.keys[who],
		AnalystServiceClient:     concordatv1connect.NewAnalystServiceClient(h, base),
		ParticipantServiceClient: concordatv1connect.NewParticipantServiceClient(h, base),
		AuditorServiceClient:     concordatv1connect.NewAuditorServiceClient(h, base),
	}
}

// status waits until coordinator i serves a ledger and knows a leader.
func (m *mesh) status(i int) *concordatv1.StatusResponse {
	m.t.Helper()
	c := concordatv1connect.NewAdminServiceClient(m.as("", i).http, "https://"+m.configs[i].Listen.API)
	for ctx := m.ctx(); ; {
		r, err := c.Status(ctx, connect.NewRequest(&concordatv1.StatusRequest{}))
		must(m.t, err)
		if len(r.Msg.GetLogKey()) > 0 && r.Msg.GetLeader() != "" {
			return r.Msg
		}
	}
}

func (m *mesh) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute) // nothing is measured by it
	m.t.Cleanup(cancel)
	return ctx
}

func (m *mesh) manifest(version int, change func(*document.Bundle)) document.SignedForm {
	m.t.Helper()
	text := fmt.Sprintf(`
apiVersion: concordat.dev/v1
kind: Manifest
collaboration: room
version: %d
purpose: testing
expires: 2999-12-31
participants:
  - {id: clinic, name: Clinic, keys: [%q]}
  - {id: registry, name: Registry, keys: [%q]}
people:
  - {id: dana@clinic, participant: clinic, roles: [steward], keys: [%q]}
  - {id: rita@registry, participant: registry, roles: [steward], keys: [%q]}
  - {id: ann@clinic, participant: clinic, roles: [analyst], keys: [%q]}
  - {id: alex@registry, participant: registry, roles: [auditor], keys: [%q]}
namespaces: {patient: {normalize: trim}}
datasets:
  - {id: clinic.patients, owner: clinic, policy: policies/clinic.yaml}
  - {id: registry.events, owner: registry, policy: policies/registry.yaml}
release: {time_grid: 50ms}
mesh: {mode: simulation, marblerun_manifest: %q, root_certificate: %q, coordinator: %q, ledger: %q}
`, version, m.public("clinic"), m.public("registry"), m.public("dana"), m.public("rita"), m.public("ann"), m.public("alex"),
		canon.Sum([]byte("m")), canon.Sum(m.ca.Root.Raw), canon.Sum([]byte("c")), m.ledger)
	policy := func(dataset, owner string) *fstest.MapFile {
		return &fstest.MapFile{Data: fmt.Appendf(nil, `
apiVersion: concordat.dev/v1
kind: Policy
dataset: %s
owner: %s
unit: {column: id, namespace: patient, unique: true}
columns:
  id: {type: varchar, role: identifier}
aggregates: [count]
release: {mechanism: differential_privacy, min_units: 10}
budget: {rho: 1, delta: 1e-6, period: 30d, lifetime_rho: 3}
`, dataset, owner)}
	}
	b, err := document.LoadFS(fstest.MapFS{
		"manifest.yaml": &fstest.MapFile{Data: []byte(text)}, "policies/clinic.yaml": policy("clinic.patients", "clinic"),
		"policies/registry.yaml": policy("registry.events", "registry"),
	})
	must(m.t, err)
	if change != nil {
		change(b)
	}
	s, err := b.Signable()
	must(m.t, err)
	return s
}

// says signs a statement about a version of the manifest.
func (m *mesh) says(who string, action statement.Action, version int, subject canon.Digest) []byte {
	m.t.Helper()
	s := statement.Statement{Action: action, Ledger: m.ledger, Collaboration: room, Version: version, Subject: subject}
	if action != statement.Propose && action != statement.Approve {
		nonce := make([]byte, 16)
		_, _ = rand.Read(nonce)
		s.Nonce, s.Issued, s.Reason = hex.EncodeToString(nonce), time.Now().UTC().Format(time.RFC3339), "because"
	}
	e, err := statement.Sign(s, m.keys[who])
	must(m.t, err)
	raw, err := e.Marshal()
	must(m.t, err)
	return raw
}

// activate has a manifest proposed by clinic and signed by both.
func (m *mesh) activate(version int, s document.SignedForm) {
	m.t.Helper()
	_, err := m.propose("clinic", version, s)
	must(m.t, err)
	for i, who := range []string{"clinic", "registry"} {
		_, err := m.sign(who, i+1, version, s.Digest())
		must(m.t, err)
	}
}

func (m *mesh) propose(who string, version int, s document.SignedForm) (*concordatv1.ManifestStatus, error) {
	r, err := m.as(who, 0).ProposeManifest(m.ctx(), connect.NewRequest(&concordatv1.ProposeManifestRequest{
		Manifest: s.Manifest, Policies: s.Policies, Proposal: m.says(who, statement.Propose, version, s.Digest()),
	}))
	if err != nil {
		return nil, err
	}
	return r.Msg, nil
}

func (m *mesh) sign(who string, at, version int, digest canon.Digest) (*concordatv1.ManifestStatus, error) {
	r, err := m.as(who, at).SignManifest(m.ctx(), connect.NewRequest(&concordatv1.SignManifestRequest{
		Collaboration: room, Approval: m.says(who, statement.Approve, version, digest),
	}))
	if err != nil {
		return nil, err
	}
	return r.Msg, nil
}

// upload brings one version of a dataset in two parts, and tells whether it was registered.
func (m *mesh) upload(who, dataset string, digest canon.Digest) bool {
	m.t.Helper()
	p := m.as(who, 0)
	id, target := p.openUpload(dataset, digest)
	var parts []upload.Part
	for i, body := range [][]byte{[]byte("part one"), []byte("part two")} {
		if code := p.put(id, i+1, body); code != http.StatusNoContent {
			m.t.Fatalf("part %d: HTTP %d", i+1, code)
		}
		parts = append(parts, upload.Part{Digest: canon.Sum(body), Size: int64(len(body))})
	}
	registered, err := p.complete(id, target, parts)
	must(m.t, err)
	return registered
}

func (p person) openUpload(dataset string, digest canon.Digest) (string, upload.Target) {
	p.t.Helper()
	r, err := p.OpenUpload(p.ctx(), connect.NewRequest(&concordatv1.OpenUploadRequest{Collaboration: room, Dataset: dataset, IdempotencyKey: rand.Text()}))
	must(p.t, err)
	return r.Msg.GetUploadId(), upload.Target{
		Ledger: p.ledger, Collaboration: room, Manifest: digest, Dataset: dataset, Version: r.Msg.GetVersion(), Upload: r.Msg.GetUploadId(),
	}
}

func (p person) put(id string, number int, body []byte) int {
	p.t.Helper()
	url := fmt.Sprintf("%s/upload/%s/parts/%d", p.base, id, number)
	req, err := http.NewRequestWithContext(p.ctx(), http.MethodPut, url, bytes.NewReader(body))
	must(p.t, err)
	res, err := p.http.Do(req)
	must(p.t, err)
	must(p.t, res.Body.Close())
	return res.StatusCode
}

func (p person) complete(id string, target upload.Target, parts []upload.Part) (bool, error) {
	p.t.Helper()
	e, err := upload.Sign(upload.Statement{
		Target: target, Format: upload.CSV, Columns: []string{"id"}, Parts: parts, Client: "test", Issued: time.Now().UTC().Format(time.RFC3339),
		Report: "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj",
	}, p.key)
	must(p.t, err)
	raw, err := e.Marshal()
	must(p.t, err)
	stream, err := p.CompleteUpload(p.ctx(), connect.NewRequest(&concordatv1.CompleteUploadRequest{UploadId: id, Statement: raw}))
	must(p.t, err)
	defer func() { must(p.t, stream.Close()) }()
	registered := false
	for stream.Receive() {
		registered = stream.Msg().GetRegistered()
	}
	return registered, stream.Err()
}

// ready is a mesh with a manifest in force and data in both datasets.
func ready(t testing.TB, workers int, change func(*document.Bundle), each ...func(*server.Config)) *mesh {
	t.Helper()
	m := newMesh(t, workers, each...)
	s := m.manifest(1, change)
	m.activate(1, s)
	for who, dataset := range map[string]string{"dana": "clinic.patients", "rita": "registry.events"} {
		if !m.upload(who, dataset, s.Digest()) {
			t.Fatalf("%s was not registered", dataset)
		}
	}
	return m
}

// reply is what one query came to.
type reply struct {
	answer.Answer
	receipt []byte
	phases  []string
}

func (p person) query(sql string, change func(*concordatv1.QueryRequest)) (reply, error) {
	p.t.Helper()
	r := &concordatv1.QueryRequest{Collaboration: room, Sql: sql, IdempotencyKey: rand.Text()}
	if change != nil {
		change(r)
	}
	stream, err := p.Query(p.ctx(), connect.NewRequest(r))
	must(p.t, err)
	defer func() { must(p.t, stream.Close()) }()
	var out reply
	for stream.Receive() {
		e := stream.Msg()
		if phase := e.GetPhase(); phase != "" {
			out.phases = append(out.phases, phase)
		}
		if raw := e.GetAnswer(); len(raw) > 0 {
			out.Answer, err = answer.Parse(raw)
			must(p.t, err)
			out.receipt = e.GetReceipt()
		}
	}
	return out, stream.Err()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
