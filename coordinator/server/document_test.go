package server_test

import (
	"strings"
	"testing"

	"connectrpc.com/connect"

	"concordat.dev/protocol/answer"
	"concordat.dev/protocol/document"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/gen/concordat/v1/concordatv1connect"
)

// A draft is checked over what is in force, judged by a worker though nobody signed it, and is still good for nothing else.
func TestDraft(t *testing.T) {
	m := ready(t, 1, nil)
	dana := m.as("dana", 1)
	c := concordatv1connect.NewDocumentServiceClient(dana.http, dana.base)
	b, err := document.OpenSigned(m.manifest(1, nil).Manifest, m.manifest(1, nil).Policies)
	must(t, err)
	policy := *b.Policies["clinic.patients"]
	stricter := *policy.Release
	stricter.MinUnits = 50
	policy.Release = &stricter
	raw, err := policy.Canonical()
	must(t, err)
	draft := &concordatv1.Draft{Policies: [][]byte{raw}}

	checked, err := c.Check(m.ctx(), connect.NewRequest(&concordatv1.CheckRequest{Collaboration: room, Draft: draft}))
	must(t, err)
	if len(checked.Msg.GetProblems()) > 0 || !strings.Contains(string(checked.Msg.GetManifest()), `"version":2`) {
		t.Fatalf("check: %v %s", checked.Msg.GetProblems(), checked.Msg.GetManifest())
	}
	status, err := dana.GetManifest(m.ctx(), connect.NewRequest(&concordatv1.GetManifestRequest{Collaboration: room}))
	must(t, err)
	compared, err := c.Compare(m.ctx(), connect.NewRequest(&concordatv1.CompareRequest{
		Before: status.Msg.GetDocuments(), After: &concordatv1.Documents{Manifest: checked.Msg.GetManifest(), Policies: checked.Msg.GetPolicies()},
	}))
	must(t, err)
	if len(compared.Msg.GetMeaning()) != 1 || compared.Msg.GetMeaning()[0].GetWhat() != "min_units 10 → 50" {
		t.Errorf("compare: %v", compared.Msg.GetMeaning())
	}
	tried, err := c.Try(m.ctx(), connect.NewRequest(&concordatv1.TryRequest{Collaboration: room, Draft: draft, Sql: "SELECT 1"}))
	must(t, err)
	if a, err := answer.Parse(tried.Msg.GetAnswer()); err != nil || a.Verdict != answer.Released || len(a.Rows) > 0 {
		t.Errorf("try: %v %v", a, err)
	}
	broken, err := c.Try(m.ctx(), connect.NewRequest(&concordatv1.TryRequest{
		Collaboration: room, Draft: &concordatv1.Draft{Policies: [][]byte{[]byte("dataset: [")}}, Sql: "SELECT 1",
	}))
	must(t, err)
	if len(broken.Msg.GetProblems()) != 1 || len(broken.Msg.GetAnswer()) > 0 {
		t.Errorf("a draft that is no YAML: %v", broken.Msg)
	}
	stranger := m.as("stranger", 1)
	for _, err := range []error{
		second(concordatv1connect.NewDocumentServiceClient(stranger.http, stranger.base).Check(m.ctx(), connect.NewRequest(&concordatv1.CheckRequest{Collaboration: room, Draft: draft}))),
		second(concordatv1connect.NewDocumentServiceClient(stranger.http, stranger.base).Explain(m.ctx(), connect.NewRequest(&concordatv1.ExplainRequest{Policy: raw}))),
	} {
		if connect.CodeOf(err) != connect.CodePermissionDenied && connect.CodeOf(err) != connect.CodeUnauthenticated {
			t.Errorf("a stranger: %v", err)
		}
	}
	if again, _ := dana.GetManifest(m.ctx(), connect.NewRequest(&concordatv1.GetManifestRequest{Collaboration: room})); again.Msg.GetDigest() != status.Msg.GetDigest() {
		t.Error("a draft changed what is in force")
	}
}

func second[T any](_ T, err error) error { return err }
