package admit_test

import (
	"os"
	"path/filepath"
	"testing"

	"concordat.dev/protocol/document"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/worker/admit"
)

// A draft that nobody signed is opened to judge texts by; the same documents are no documents to execute under.
func TestDraftGivesNoAuthority(t *testing.T) {
	b, err := document.LoadDir(filepath.Join("..", "..", "ui", "demo", "room"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := b.Signable()
	if err != nil {
		t.Fatal(err)
	}
	d := &concordatv1.Documents{Manifest: s.Manifest, Policies: s.Policies}
	if _, err := admit.Draft(d); err != nil {
		t.Fatal(err)
	}
	if _, err := (admit.Mesh{}).Documents(d); err == nil {
		t.Error("unsigned documents were admitted")
	}
	d.Policies = d.Policies[1:]
	if _, err := admit.Draft(d); err == nil {
		t.Error("a draft without one of its policies was opened")
	}
	if _, err := admit.Draft(&concordatv1.Documents{Manifest: []byte(os.DevNull)}); err == nil {
		t.Error("a draft that is no document was opened")
	}
}
