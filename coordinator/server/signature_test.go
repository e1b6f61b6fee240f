package server_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"concordat.dev/protocol/authn"
	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/dsse"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/gen/concordat/v1/concordatv1connect"
	"concordat.dev/protocol/marble"
	"concordat.dev/protocol/statement"
	"concordat.dev/protocol/upload"
)

// capture sends requests on and keeps the last one as it went out, to send it again.
type capture struct {
	next http.RoundTripper
	last *http.Request
	body []byte
}

func (c *capture) RoundTrip(r *http.Request) (*http.Response, error) {
	c.last = r.Clone(context.WithoutCancel(r.Context()))
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		c.body = body
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	return c.next.RoundTrip(r)
}

// Every call of a person but the status of the mesh, and the part of an upload, is refused when its request is unsigned, by a key that nobody
// knows, sent twice, signed for another ledger, long ago, for another call or for another body.
func TestEveryRequestIsSignedForItself(t *testing.T) {
	m := ready(t, 1, nil)
	for path, stream := range callsOfPeople() {
		send := func(name string, signer *authn.Signer, tamper func(*http.Request, []byte) []byte) (int, *capture) {
			t.Helper()
			c := &capture{next: &http.Transport{TLSClientConfig: marble.ClientConfig(canon.Sum(m.ca.Root.Raw), marble.Coordinator), ForceAttemptHTTP2: true}}
			var out http.RoundTripper = c
			if tamper != nil {
				out = tampered{c, tamper}
			}
			if signer != nil {
				out = signer.RoundTripper(out)
			}
			method, contentType, body := http.MethodPost, "application/json", "{}"
			if stream {
				contentType, body = "application/connect+json", "\x00\x00\x00\x00\x02{}"
			}
			if strings.HasPrefix(path, "/upload/") {
				method, body = http.MethodPut, "part"
			}
			r, err := http.NewRequestWithContext(m.ctx(), method, "https://"+m.configs[0].Listen.API+path, strings.NewReader(body))
			must(t, err)
			r.Header.Set("Content-Type", contentType)
			code := m.status2(out, r)
			if name != "" && code != http.StatusUnauthorized {
				t.Errorf("%s: %s: HTTP %d, want %d", path, name, code, http.StatusUnauthorized)
			}
			return code, c
		}
		own := func() *authn.Signer { return &authn.Signer{Key: m.keys["dana"], Audience: m.ledger, Now: time.Now} }
		code, sent := send("", own(), nil)
		if code == http.StatusUnauthorized {
			t.Errorf("%s: a proper request is not let in", path)
		}
		again := sent.last
		again.Body, again.ContentLength = io.NopCloser(bytes.NewReader(sent.body)), int64(len(sent.body))
		if code := m.status2(sent.next, again); code != http.StatusUnauthorized {
			t.Errorf("%s: sent twice: HTTP %d", path, code)
		}
		send("unsigned", nil, nil)
		send("a stranger's key", &authn.Signer{Key: m.keys["stranger"], Audience: m.ledger, Now: time.Now}, nil)
		send("for another ledger", &authn.Signer{Key: m.keys["dana"], Audience: strings.Repeat("0", 32), Now: time.Now}, nil)
		send("long ago", &authn.Signer{Key: m.keys["dana"], Audience: m.ledger, Now: func() time.Time { return time.Now().Add(-time.Hour) }}, nil)
		send("in another's name", own(), func(r *http.Request, b []byte) []byte { r.Header.Set(authn.HeaderKey, m.public("rita")); return b })
		send("for another call", own(), func(r *http.Request, b []byte) []byte { r.URL.RawQuery = "x=1"; return b })
		if !strings.HasPrefix(path, "/upload/") { // a part is compared with the digest while it is read: see TestUploadResumesAndChecksEveryPart
			send("for another body", own(), func(_ *http.Request, b []byte) []byte { return bytes.Replace(b, []byte("{}"), []byte("[]"), 1) })
		}
	}
}

type tampered struct {
	next http.RoundTripper
	by   func(*http.Request, []byte) []byte
}

func (t tampered) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	body = t.by(r, body)
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return t.next.RoundTrip(r)
}

// callsOfPeople are the paths of all calls that need a person, and whether they stream.
func callsOfPeople() map[string]bool {
	out := map[string]bool{"/upload/none/parts/1": false}
	protoregistry.GlobalFiles.RangeFilesByPackage("concordat.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			switch service.Name() {
			case "WorkerService", "CoordinatorService", "WorkerHandoverService", "FollowService": // marbles', on another port
				continue
			case "SessionService": // of browsers: see signin_test.go
				continue
			}
			for j := range service.Methods().Len() {
				method := service.Methods().Get(j)
				out["/"+string(service.FullName())+"/"+string(method.Name())] = method.IsStreamingServer()
			}
		}
		return true
	})
	delete(out, concordatv1connect.AdminServiceStatusProcedure)
	delete(out, concordatv1connect.NodeServiceSelfProcedure)
	delete(out, concordatv1connect.HandoverServiceSuccessorProcedure)
	delete(out, concordatv1connect.NodeServiceRecoverProcedure) // refused by all but those that wait: see nodes_test.go
	return out
}

// status2 sends a request and tells the HTTP status; streams answer 200 and carry their error at the end.
func (m *mesh) status2(by http.RoundTripper, r *http.Request) int {
	m.t.Helper()
	res, err := by.RoundTrip(r)
	must(m.t, err)
	body, err := io.ReadAll(res.Body)
	must(m.t, err)
	must(m.t, res.Body.Close())
	if res.StatusCode == http.StatusOK && strings.Contains(string(body), `"code":"unauthenticated"`) {
		return http.StatusUnauthorized
	}
	return res.StatusCode
}

// change is one change of the state that needs a signature of its own, beside that of the request.
type change struct {
	method string // of the service
	name   string
	by     string // who signs, and who asks
	said   statement.Statement
	send   func(person, []byte) error
	free   bool // any subject is one: a plan that nobody asked yet
	open   bool // the statement itself says what it does
}

// Every change of the state that needs a signature is refused without it, with a wrong key, with a replayed statement, and with one for another
// collaboration, version, ledger or subject; and changes nothing.
func TestEveryStateChangeNeedsItsSignature(t *testing.T) {
	m := ready(t, 1, nil)
	s1, s2 := m.manifest(1, nil), m.manifest(2, func(b *document.Bundle) { b.Manifest.Purpose = "another" })
	s3 := m.manifest(2, func(b *document.Bundle) { b.Manifest.Purpose = "another again" }) // what was rejected is not proposed again
	submit := func(p person, raw []byte) error {
		_, err := p.SubmitStatement(p.ctx(), connect.NewRequest(&concordatv1.SubmitStatementRequest{Collaboration: room, Statement: raw}))
		return err
	}
	propose := func(s document.SignedForm) func(p person, raw []byte) error {
		return func(p person, raw []byte) error {
			_, err := p.ProposeManifest(p.ctx(), connect.NewRequest(&concordatv1.ProposeManifestRequest{Manifest: s.Manifest, Policies: s.Policies, Proposal: raw}))
			return err
		}
	}
	sign := func(p person, raw []byte) error {
		_, err := p.SignManifest(p.ctx(), connect.NewRequest(&concordatv1.SignManifestRequest{Collaboration: room, Approval: raw}))
		return err
	}
	sealed := m.nodes[0].State().Dataset(room, "clinic.patients").Versions[0].Digest
	erase := func(p person, raw []byte) error {
		_, err := p.DeleteDataset(p.ctx(), connect.NewRequest(&concordatv1.DeleteDatasetRequest{Collaboration: room, Dataset: "clinic.patients", Version: 1, Statement: raw}))
		return err
	}
	about := func(action statement.Action, form document.SignedForm, version int) statement.Statement {
		return statement.Statement{Action: action, Ledger: m.ledger, Collaboration: room, Version: version, Subject: form.Digest()}
	}
	plan, offboard, delete1 := about(statement.ApprovePlan, s1, 1), about(statement.Offboard, s1, 1), about(statement.Delete, s1, 1)
	plan.Subject, offboard.Person, delete1.Subject = canon.Sum([]byte("plan")), "ann@clinic", canon.Digest(sealed)
	changes := []change{
		{method: "ProposeManifest", name: "propose", by: "clinic", said: about(statement.Propose, s2, 2), send: propose(s2)},
		{method: "SubmitStatement", name: "reject", by: "registry", said: about(statement.Reject, s2, 2), send: submit, open: true},
		{method: "ProposeManifest", name: "propose again", by: "clinic", said: about(statement.Propose, s3, 2), send: propose(s3)},
		{method: "SignManifest", name: "sign", by: "registry", said: about(statement.Approve, s3, 2), send: sign},
		{method: "SubmitStatement", name: "pause", by: "registry", said: about(statement.Pause, s1, 1), send: submit, open: true},
		{method: "SubmitStatement", name: "resume", by: "registry", said: about(statement.Resume, s1, 1), send: submit, open: true},
		{method: "SubmitStatement", name: "approve a plan", by: "rita", said: plan, send: submit, open: true, free: true},
		{method: "SubmitStatement", name: "off-board", by: "clinic", said: offboard, send: submit, open: true},
		{method: "DeleteDataset", name: "delete", by: "dana", said: delete1, send: erase},
		{method: "SubmitStatement", name: "leave", by: "registry", said: about(statement.Leave, s1, 1), send: submit, open: true},
		{method: "SubmitStatement", name: "revoke", by: "clinic", said: about(statement.Revoke, s1, 1), send: submit, open: true},
	}
	covered := map[string]bool{"CompleteUpload": true, "OpenUpload": true} // below; and needing the request's signature alone
	covered["ChangeNodes"] = true                                          // by TestChangesOfCoordinatorsNeedTheirSignatures
	covered["Save"], covered["Delete"] = true, true                        // one's own texts: the request's signature is all
	covered["HandOver"] = true                                             // manifests that all signed decide it: TestHandover of state
	for _, c := range changes {
		covered[c.method] = true
		m.refuses(t, c)
	}
	reads := map[string]bool{
		"GetManifest": true, "ListPlans": true, "UploadStatus": true, "ListDatasets": true, "Query": true, "History": true, "Budget": true,
		"Checkpoint": true, "Entries": true, "Receipt": true, "Membership": true, "Backup": true, "List": true, "Check": true, "Explain": true, "Compare": true, "Try": true,
	}
	for path := range callsOfPeople() {
		if name := path[strings.LastIndex(path, "/")+1:]; !strings.HasPrefix(path, "/upload/") && !covered[name] && !reads[name] {
			t.Errorf("%s changes the state and is not in this table, or reads and is not named here", name)
		}
	}
}

func (m *mesh) refuses(t *testing.T, c change) {
	t.Helper()
	signed := func(by string, edit func(*statement.Statement)) []byte {
		t.Helper()
		s := c.said
		if s.Action != statement.Propose && s.Action != statement.Approve {
			nonce := make([]byte, 16)
			_, _ = rand.Read(nonce)
			s.Nonce, s.Issued, s.Reason = hex.EncodeToString(nonce), time.Now().UTC().Format(time.RFC3339), "because"
		}
		if edit != nil {
			edit(&s)
		}
		e, err := statement.Sign(s, m.keys[by])
		must(t, err)
		raw, err := e.Marshal()
		must(t, err)
		return raw
	}
	flipped := func() []byte {
		e, err := dsse.Parse(signed(c.by, nil))
		must(t, err)
		e.Signatures[0].Sig[0] ^= 1
		raw, err := e.Marshal()
		must(t, err)
		return raw
	}
	bad := map[string][]byte{
		"no signature":               nil,
		"an empty envelope":          []byte("{}"),
		"a stranger's key":           signed("stranger", nil),
		"an analyst's key":           signed("ann", nil),
		"an auditor's key":           signed("alex", nil),
		"a flipped bit":              flipped(),
		"for another ledger":         signed(c.by, func(s *statement.Statement) { s.Ledger = strings.Repeat("0", 32) }),
		"for another collaboration":  signed(c.by, func(s *statement.Statement) { s.Collaboration = "elsewhere" }),
		"for an earlier version":     signed(c.by, func(s *statement.Statement) { s.Version += 7 }),
		"signed for something else":  m.elsewhere(t, c),
		"signed over another format": m.format(t, c, signed(c.by, nil)),
	}
	if !c.free {
		bad["for another subject"] = signed(c.by, func(s *statement.Statement) { s.Subject = canon.Sum([]byte("another")) })
	}
	if !c.open {
		bad["another action"] = signed(c.by, func(s *statement.Statement) {
			s.Action, s.Nonce, s.Issued = statement.Pause, strings.Repeat("1", 32), time.Now().UTC().Format(time.RFC3339)
		})
	}
	state := m.nodes[0].State()
	size := func() int64 { must(t, m.nodes[0].Sync(m.ctx())); return state.Tree().Size() }
	for name, raw := range bad {
		before := size()
		if err := c.send(m.as(c.by, 0), raw); err == nil || connect.CodeOf(err) == connect.CodeInternal || connect.CodeOf(err) == connect.CodeUnavailable {
			t.Errorf("%s, %s: %v", c.name, name, err)
		}
		if after := size(); after != before {
			t.Errorf("%s, %s: changed the state: %d leaves, then %d", c.name, name, before, after)
		}
	}
	good, before := signed(c.by, nil), size()
	if err := c.send(m.as(c.by, 0), good); err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	after := size()
	if after == before {
		t.Errorf("%s is not in the log", c.name)
	}
	err := c.send(m.as(c.by, 1), good)
	if again := size(); again != after || err == nil && c.said.Action != statement.Propose && c.said.Action != statement.Approve {
		t.Errorf("%s, replayed: %v; %d leaves, then %d", c.name, err, after, again)
	}
}

// elsewhere is the very statement, signed by the right key as something else than a statement.
func (m *mesh) elsewhere(t *testing.T, c change) []byte {
	t.Helper()
	payload, err := canon.Marshal(c.said)
	must(t, err)
	raw, err := dsse.Sign("application/json", payload, m.keys[c.by]).Marshal()
	must(t, err)
	return raw
}

// format is a signed statement whose payload is not the canonical form, signed anew.
func (m *mesh) format(t *testing.T, c change, raw []byte) []byte {
	t.Helper()
	e, err := dsse.Parse(raw)
	must(t, err)
	out, err := dsse.Sign(e.PayloadType, append([]byte(" "), e.Payload...), m.keys[c.by]).Marshal()
	must(t, err)
	return out
}

// An upload is completed by a statement that its steward signed, for this upload, dataset, version, manifest, collaboration and ledger.
func TestUploadNeedsItsSignature(t *testing.T) {
	m := ready(t, 1, nil)
	p := m.as("dana", 0)
	id, target := p.openUpload("clinic.patients", m.manifest(1, nil).Digest())
	body := []byte("part one")
	if code := p.put(id, 1, body); code != http.StatusNoContent {
		t.Fatal(code)
	}
	parts := []upload.Part{{Digest: canon.Sum(body), Size: int64(len(body))}}
	completes := func(by string, edit func(*upload.Target)) (bool, error) {
		wanted := target
		if edit != nil {
			edit(&wanted)
		}
		signer := p
		signer.key = m.keys[by]
		return signer.complete(id, wanted, parts)
	}
	for name, c := range map[string]struct {
		by   string
		edit func(*upload.Target)
	}{
		"a stranger's key":      {"stranger", nil},
		"another steward's key": {"rita", nil},
		"an analyst's key":      {"ann", nil},
		"another ledger":        {"dana", func(t *upload.Target) { t.Ledger = strings.Repeat("0", 32) }},
		"another collaboration": {"dana", func(t *upload.Target) { t.Collaboration = "elsewhere" }},
		"another manifest":      {"dana", func(t *upload.Target) { t.Manifest = canon.Sum([]byte("another")) }},
		"another dataset":       {"dana", func(t *upload.Target) { t.Dataset = "registry.events" }},
		"another version":       {"dana", func(t *upload.Target) { t.Version = 1 }},
		"another upload":        {"dana", func(t *upload.Target) { t.Upload = strings.Repeat("0", 32) }},
	} {
		if registered, err := completes(c.by, c.edit); registered || connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("%s: registered %t, %v", name, registered, err)
		}
	}
	if registered, err := completes("dana", nil); !registered || err != nil {
		t.Fatal(registered, err)
	}
	size := m.nodes[0].State().Tree().Size()
	if _, err := completes("dana", nil); err != nil || m.nodes[0].State().Tree().Size() != size {
		t.Errorf("completed twice: %v", err)
	}
}
