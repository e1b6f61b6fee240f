package draft_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"concordat.dev/policies/draft"
	"concordat.dev/protocol/document"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
)

// room is the demo's collaboration, as a directory and in the form that is signed.
func room(t *testing.T, change func(dataset, policy string) string) (*document.Bundle, *concordatv1.Documents) {
	t.Helper()
	source := filepath.Join("..", "..", "ui", "demo", "room")
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(source)); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "policies", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		id := strings.TrimSuffix(filepath.Base(f), ".yaml")
		if err := os.WriteFile(f, []byte(change(id, string(raw))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b, err := document.LoadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := b.Signable()
	if err != nil {
		t.Fatal(err)
	}
	return b, &concordatv1.Documents{Manifest: s.Manifest, Policies: s.Policies}
}

func same(_, policy string) string { return policy }

func TestCompare(t *testing.T) {
	_, before := room(t, same)
	_, after := room(t, func(id, policy string) string {
		if id == "clinic.patients" {
			return strings.Replace(policy, "min_units: 10", "min_units: 50", 1)
		}
		return policy
	})
	got, err := draft.Compare(&concordatv1.CompareRequest{Before: before, After: after})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.GetMeaning()) != 1 || got.GetMeaning()[0].GetEffect() != "tighter" || got.GetMeaning()[0].GetOwner() != "clinic" {
		t.Errorf("meaning: %v", got.GetMeaning())
	}
	if n := len(got.GetFields()); n != 2 { // the policy's field, and its digest in the manifest
		t.Errorf("fields: %v", got.GetFields())
	}
	none, err := draft.Compare(&concordatv1.CompareRequest{Before: before, After: before})
	if err != nil || len(none.GetMeaning())+len(none.GetFields()) != 0 {
		t.Errorf("a version and itself: %v %v", none, err)
	}
	after.Policies = after.Policies[1:]
	if _, err := draft.Compare(&concordatv1.CompareRequest{Before: before, After: after}); err == nil {
		t.Error("a version without one of its policies was compared")
	}
}

func TestCheck(t *testing.T) {
	inForce, _ := room(t, same)
	policy, err := inForce.Policies["clinic.patients"].Canonical()
	if err != nil {
		t.Fatal(err)
	}
	// Nothing was signed here, so keys and the mesh are missing: exactly that is said.
	got, err := draft.Check(&concordatv1.Draft{Policies: [][]byte{policy}}, inForce)
	if err != nil || len(got.GetManifest()) > 0 || len(got.GetProblems()) == 0 {
		t.Fatalf("%v %v", got, err)
	}
	for _, p := range got.GetProblems() {
		if p.GetDocument() != "manifest" || p.GetMessage() == "" || p.GetFix() == "" {
			t.Errorf("problem without document, message or advice: %v", p)
		}
	}
	got, err = draft.Check(&concordatv1.Draft{Policies: [][]byte{[]byte("dataset: [")}}, inForce)
	if err != nil || len(got.GetProblems()) != 1 || got.GetProblems()[0].GetLine() != 1 {
		t.Fatalf("%v %v", got, err)
	}
}

func TestExplain(t *testing.T) {
	b, _ := room(t, same)
	policy, err := b.Policies["clinic.patients"].Canonical()
	if err != nil {
		t.Fatal(err)
	}
	got := draft.Explain(&concordatv1.ExplainRequest{Policy: policy})
	if len(got.GetColumns()) != len(b.Policies["clinic.patients"].Columns) || len(got.GetSentences()) < 4 {
		t.Errorf("%v", got)
	}
	if bad := draft.Explain(&concordatv1.ExplainRequest{Policy: []byte("{}")}); len(bad.GetProblems()) == 0 {
		t.Errorf("an empty policy was explained: %v", bad)
	}
}
