package server_test

import (
	"bytes"
	"slices"
	"testing"

	"connectrpc.com/connect"

	"concordat.dev/protocol/answer"
	"concordat.dev/protocol/document"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/statement"
)

func TestManifestTakesEffectWhenAllSignedTheSameBytes(t *testing.T) {
	m := newMesh(t, 0)
	s := m.manifest(1, nil)
	expect := func(name string, want connect.Code, err error) {
		t.Helper()
		if connect.CodeOf(err) != want {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	_, err := m.propose("registry", 1, s) // no founder, and in no manifest yet: nobody
	expect("proposed by a stranger", connect.CodeUnauthenticated, err)

	tampered := document.SignedForm{Manifest: s.Manifest, Policies: slices.Clone(s.Policies)}
	tampered.Policies[0] = bytes.Replace(tampered.Policies[0], []byte(`"min_units":10`), []byte(`"min_units":11`), 1)
	_, err = m.propose("clinic", 1, tampered)
	expect("a policy with another digest", connect.CodeInvalidArgument, err)

	elsewhere := m.manifest(1, func(b *document.Bundle) { b.Manifest.Mesh.Coordinator = b.Manifest.Mesh.MarbleRunManifest })
	_, err = m.propose("clinic", 1, elsewhere)
	expect("other pins", connect.CodeFailedPrecondition, err)

	status, err := m.propose("clinic", 1, s)
	must(t, err)
	if status.GetState() != "proposed" || status.GetDigest() != s.Digest().String() || len(status.GetMissing()) != 2 {
		t.Errorf("%+v", status)
	}
	_, err = m.sign("stranger", 1, 1, s.Digest())
	expect("signed by a stranger", connect.CodeUnauthenticated, err)
	_, err = m.sign("dana", 1, 1, s.Digest())
	expect("signed by a person", connect.CodePermissionDenied, err)
	_, err = m.sign("registry", 1, 1, elsewhere.Digest())
	expect("other bytes", connect.CodeFailedPrecondition, err)
	status, err = m.sign("registry", 1, 1, s.Digest())
	must(t, err)
	if status.GetState() != "proposed" || !slices.Equal(status.GetMissing(), []string{"clinic"}) {
		t.Errorf("%+v", status)
	}
	status, err = m.sign("clinic", 2, 1, s.Digest())
	must(t, err)
	if status.GetState() != "active" || len(status.GetMissing()) != 0 || len(status.GetDocuments().GetApprovals()) != 2 {
		t.Errorf("%+v", status)
	}
	for i := range 3 { // every coordinator tells the same at once
		r, err := m.as("alex", i).GetManifest(m.ctx(), connect.NewRequest(&concordatv1.GetManifestRequest{Collaboration: room}))
		must(t, err)
		if r.Msg.GetState() != "active" || !bytes.Equal(r.Msg.GetDocuments().GetManifest(), s.Manifest) {
			t.Errorf("coordinator %d: %+v", i, r.Msg)
		}
	}
}

func TestPauseStopsQueriesAtOnce(t *testing.T) {
	m := ready(t, 1, nil)
	say := func(who string, action statement.Action) error {
		r, err := m.as("ann", 0).GetManifest(m.ctx(), connect.NewRequest(&concordatv1.GetManifestRequest{Collaboration: room}))
		must(t, err)
		digest := m.manifest(1, nil).Digest()
		if r.Msg.GetDigest() != digest.String() {
			t.Fatalf("digest %s", r.Msg.GetDigest())
		}
		_, err = m.as(who, 1).SubmitStatement(m.ctx(), connect.NewRequest(&concordatv1.SubmitStatementRequest{
			Collaboration: room, Statement: m.says(who, action, 1, digest),
		}))
		return err
	}
	before, err := m.as("ann", 2).query("SELECT 1", nil)
	must(t, err)
	must(t, say("registry", statement.Pause))
	for _, sql := range []string{"SELECT 1", "SELECT 2"} { // stored answers too
		got, err := m.as("ann", 2).query(sql, nil)
		must(t, err)
		if got.Verdict != answer.Refused || got.Refusals[0].Code != answer.ManifestInactive || len(got.Rows) != 0 {
			t.Errorf("%s while paused: %+v", sql, got.Answer)
		}
	}
	if err := say("clinic", statement.Resume); connect.CodeOf(err) != connect.CodeFailedPrecondition {
		t.Errorf("resumed by who did not pause: %v", err)
	}
	must(t, say("registry", statement.Resume))
	again, err := m.as("ann", 2).query("SELECT 1", nil)
	must(t, err)
	if again.Verdict != answer.Released || *again.Receipt != *before.Receipt {
		t.Errorf("after the pause: %+v", again.Answer)
	}
}

// A pause that comes while a query is executed stops its release, and what was paid stays paid.
func TestPauseDuringExecution(t *testing.T) {
	m := ready(t, 1, nil)
	pause := func() error {
		_, err := m.as("clinic", 0).SubmitStatement(m.ctx(), connect.NewRequest(&concordatv1.SubmitStatementRequest{
			Collaboration: room, Statement: m.says("clinic", statement.Pause, 1, m.manifest(1, nil).Digest()),
		}))
		return err
	}
	m.workers[0].fate.Store(pause)
	got, err := m.as("ann", 0).query("SELECT 1", nil)
	if connect.CodeOf(err) != connect.CodeFailedPrecondition || len(got.Rows) > 0 || len(got.receipt) > 0 {
		t.Errorf("%+v %v", got.Answer, err)
	}
}

func TestNewVersionReplacesPeople(t *testing.T) {
	m := ready(t, 1, nil)
	next := m.manifest(2, func(b *document.Bundle) {
		b.Manifest.People = slices.DeleteFunc(b.Manifest.People, func(p document.Person) bool { return p.ID == "ann@clinic" })
		b.Manifest.People[0].Roles = []string{"analyst"}
	})
	first, err := m.as("ann", 0).query("SELECT 1", nil)
	must(t, err)
	m.activate(2, next)
	if _, err := m.as("ann", 0).query("SELECT 1", nil); connect.CodeOf(err) != connect.CodeUnauthenticated {
		t.Errorf("who left may still ask: %v", err)
	}
	got, err := m.as("dana", 0).query("SELECT 1", nil)
	must(t, err)
	if got.Verdict != answer.Released || *got.Receipt != *first.Receipt || got.Price[0].Rho != 0 {
		t.Errorf("the same question under the next version: %+v", got.Answer)
	}
}
