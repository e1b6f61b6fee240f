package harness

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"concordat.dev/protocol/answer"
	"concordat.dev/protocol/document"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/key"
	"concordat.dev/protocol/statement"
	"concordat.dev/ui/client"
)

// Names of people that every room has besides the steward of each participant; the outsider is in no manifest.
const (
	Analyst  = "analyst"
	Auditor  = "auditor"
	Outsider = "outsider"
)

// StewardOf names the steward of a participant.
func StewardOf(participant string) string { return "steward@" + participant }

// Room is a collaboration in a mesh, and all keys of its people.
type Room struct {
	Mesh      *Mesh
	Documents client.Documents // as they are in force
	Keys      map[string]key.Private
	tb        testing.TB
	clients   map[string]*client.Client
}

// Draft reads a manifest directory and gives every participant a key and a steward, the first an analyst and the last an auditor. It is
// pinned to this mesh; change, which may be nil, has the last word.
func (m *Mesh) Draft(dir string, change func(*document.Bundle)) *Room {
	m.tb.Helper()
	bundle, err := document.LoadDir(dir)
	if err != nil {
		m.tb.Fatal(err)
	}
	r := &Room{Mesh: m, Keys: map[string]key.Private{Outsider: NewKey(m.tb)}, tb: m.tb, clients: map[string]*client.Client{}}
	person := func(name, participant, role string) {
		r.Keys[name] = NewKey(m.tb)
		bundle.Manifest.People = append(bundle.Manifest.People, document.Person{
			ID: name, Participant: participant, Roles: []string{role}, Keys: []string{r.Keys[name].Public().String()},
		})
	}
	participants := bundle.Manifest.Participants
	for i, p := range participants {
		r.Keys[p.ID] = NewKey(m.tb)
		participants[i].Keys = []string{r.Keys[p.ID].Public().String()}
		person(StewardOf(p.ID), p.ID, "steward")
	}
	person(Analyst, participants[0].ID, "analyst")
	person(Auditor, participants[len(participants)-1].ID, "auditor")
	pins := client.Running(m.Ask())
	bundle.Manifest.Mesh = &pins
	if change != nil {
		change(bundle)
	}
	r.Documents = Sealed(m.tb, bundle)
	return r
}

// Sealed gives a bundle the form in which it is signed.
func Sealed(tb testing.TB, bundle *document.Bundle) client.Documents {
	tb.Helper()
	form, err := bundle.Signable()
	if err != nil {
		tb.Fatal(err)
	}
	return client.Documents{Bundle: bundle, Raw: form, Digest: form.Digest()}
}

// Agree drafts a room and has all its participants sign it.
func (m *Mesh) Agree(dir string, change func(*document.Bundle)) *Room {
	m.tb.Helper()
	r := m.Draft(dir, change)
	if _, err := r.Propose(m.Founder, r.Documents); err != nil {
		m.tb.Fatal(err)
	}
	r.SignAll()
	return r
}

// In is the same room for a subtest, which then fails by itself.
func (r *Room) In(tb testing.TB) *Room {
	here := *r
	here.tb, here.Mesh = tb, r.Mesh.In(tb)
	return &here
}

// SignAll has every participant approve the documents of the room, which then are active.
func (r *Room) SignAll() {
	r.tb.Helper()
	state := ""
	for _, p := range r.Documents.Manifest.Participants {
		status, err := r.Sign(p.ID, r.Documents)
		if err != nil {
			r.tb.Fatal(err)
		}
		state = status.GetState()
	}
	if state != "active" {
		r.tb.Fatalf("signed by all, the manifest is %s", state)
	}
}

// Propose hands documents in with the signature of a key.
func (r *Room) Propose(by key.Private, d client.Documents) (*concordatv1.ManifestStatus, error) {
	proposal, err := r.signed(d, statement.Propose, by)
	if err != nil {
		return nil, err
	}
	return client.Unary(r.tb.Context(), r.Mesh.Client(by), &concordatv1.ProposeManifestRequest{Manifest: d.Raw.Manifest, Policies: d.Raw.Policies, Proposal: proposal},
		client.Services.ProposeManifest)
}

// Sign approves documents in the name of a participant.
func (r *Room) Sign(participant string, d client.Documents) (*concordatv1.ManifestStatus, error) {
	approval, err := r.signed(d, statement.Approve, r.Keys[participant])
	if err != nil {
		return nil, err
	}
	return r.SubmitApproval(participant, approval)
}

// SubmitApproval hands an approval in, whatever it is, over the connection of a participant.
func (r *Room) SubmitApproval(participant string, approval []byte) (*concordatv1.ManifestStatus, error) {
	return client.Unary(r.tb.Context(), r.As(participant), &concordatv1.SignManifestRequest{Collaboration: r.ID(), Approval: approval}, client.Services.SignManifest)
}

func (r *Room) signed(d client.Documents, action statement.Action, k key.Private) ([]byte, error) {
	envelope, err := statement.Sign(d.Statement(action), k)
	if err != nil {
		return nil, err
	}
	return envelope.Marshal()
}

// ID is the collaboration's.
func (r *Room) ID() string { return r.Documents.Manifest.Collaboration }

// As is the connection of a person or participant of the room.
func (r *Room) As(name string) *client.Client {
	r.tb.Helper()
	if r.clients[name] == nil {
		k, ok := r.Keys[name]
		if !ok {
			r.tb.Fatalf("the room has no %s", name)
		}
		r.clients[name] = r.Mesh.Client(k)
	}
	return r.clients[name]
}

// Replace has a participant or person go on with another key.
func (r *Room) Replace(name string, k key.Private) {
	r.Keys[name] = k
	delete(r.clients, name)
}

// Version drafts the next version of the room's manifest.
func (r *Room) Version(change func(*document.Bundle)) client.Documents {
	r.tb.Helper()
	next, err := document.OpenSigned(r.Documents.Raw.Manifest, r.Documents.Raw.Policies)
	if err != nil {
		r.tb.Fatal(err)
	}
	next.Manifest.Version++
	for i := range next.Manifest.Datasets { // the form of a directory, in which the digest is computed
		d := &next.Manifest.Datasets[i]
		d.PolicyDigest, d.Policy = "", "policies/"+d.ID+".yaml"
	}
	change(next)
	return Sealed(r.tb, next)
}

// Uploading is an upload by the steward of the dataset's owner, to be run.
func (r *Room) Uploading(dataset, file string) *client.Upload {
	r.tb.Helper()
	i := slices.IndexFunc(r.Documents.Manifest.Datasets, func(d document.Dataset) bool { return d.ID == dataset })
	if i < 0 {
		r.tb.Fatalf("the room has no dataset %s", dataset)
	}
	steward := StewardOf(r.Documents.Manifest.Datasets[i].Owner)
	return &client.Upload{
		Client: r.As(steward), Documents: r.Documents, Dataset: dataset, File: file, Steward: r.Keys[steward], Program: "integration", Home: r.tb.TempDir(),
	}
}

// Upload uploads a file and expects that it is accepted.
func (r *Room) Upload(dataset, file string) {
	r.tb.Helper()
	report, err := r.Uploading(dataset, file).Run(r.tb.Context())
	if err != nil {
		r.tb.Fatal(err)
	}
	if !Accepted(r.tb, report) {
		r.tb.Fatalf("%s was not accepted: %s", file, report)
	}
}

// UploadText uploads text as a file.
func (r *Room) UploadText(dataset, text string) []byte {
	r.tb.Helper()
	report, err := r.Uploading(dataset, File(r.tb, dataset+".csv", text)).Run(r.tb.Context())
	if err != nil {
		r.tb.Fatal(err)
	}
	return report
}

// File writes a file of the test.
func File(tb testing.TB, name, text string) string {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	return file
}

// Answered is an answer with the receipt that came with it.
type Answered struct {
	answer.Answer
	Receipt []byte
}

// Query asks as a person of the room. It may be called from any goroutine after As was for the person.
func (r *Room) Query(ctx context.Context, person string, q client.Question) (Answered, error) {
	q.Collaboration = r.ID()
	c := r.clients[person]
	if c == nil {
		return Answered{}, fmt.Errorf("%s is not connected", person)
	}
	reply, err := c.Query(ctx, q, nil)
	if err != nil {
		return Answered{}, err
	}
	a, err := answer.Parse(reply.Answer)
	return Answered{a, reply.Receipt}, err
}

// Released asks as the analyst and expects a release.
func (r *Room) Released(sql string) Answered {
	r.tb.Helper()
	r.As(Analyst)
	a, err := r.Query(r.tb.Context(), Analyst, client.Question{SQL: sql})
	if err != nil {
		r.tb.Fatal(err)
	}
	if a.Verdict != answer.Released {
		r.tb.Fatalf("%s: %s %+v", sql, a.Verdict, a.Refusals)
	}
	return a
}
