package server_test

import (
	"strings"
	"testing"

	"connectrpc.com/connect"

	"concordat.dev/protocol/document"
)

// A manifest with other rules of the namespace gets no answer from data that was tokenised by those before: persons would be missed without a word.
func TestOtherRulesNeedAnotherUpload(t *testing.T) {
	w := newWorld(t)
	got, err := w.ingest(rows(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.execute(w.request(got.GetSealed(), nil)); err != nil {
		t.Fatal(err)
	}
	// A second identifier that this dataset doesn't have changes nothing for it.
	w.bundle.Manifest.Namespaces["patient"] = document.Namespace{Normalize: "trim", Then: &document.Further{Name: "phone", Normalize: "phone_e164"}}
	if _, err := w.execute(w.request(got.GetSealed(), nil)); err != nil {
		t.Errorf("a second identifier in the namespace: %v\n%s", err, w.log)
	}
	w.bundle.Manifest.Namespaces["patient"] = document.Namespace{Normalize: "lower"}
	if out, err := w.execute(w.request(got.GetSealed(), nil)); connect.CodeOf(err) != connect.CodeInternal || !strings.Contains(w.log.String(), "must be uploaded again") {
		t.Errorf("other rules: %v %s\n%s", err, out.GetAnswer(), w.log)
	}
}
