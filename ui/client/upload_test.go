package client_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"concordat.dev/protocol/document"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/key"
	"concordat.dev/protocol/statement"
	"concordat.dev/protocol/upload"
	"concordat.dev/ui/client"
	"concordat.dev/ui/client/clienttest"
	"concordat.dev/ui/sample"
)

func newKey(t *testing.T) key.Private {
	t.Helper()
	k, err := key.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// room is a fake mesh with a manifest that one participant signed, and a connection of its steward.
type room struct {
	*clienttest.Coordinator
	upload client.Upload
}

func newRoom(t *testing.T, text string) *room {
	t.Helper()
	c := clienttest.New(t)
	organisation, steward := newKey(t), newKey(t)
	pins := c.Pins()
	bundle := &document.Bundle{
		Manifest: &document.Manifest{
			APIVersion: document.APIVersion, Kind: "Manifest", Collaboration: "test", Version: 1, Purpose: "test", Expires: "2099-12-31",
			Participants: []document.Participant{{ID: "clinic", Name: "Clinic", Keys: []string{organisation.Public().String()}}},
			People:       []document.Person{{ID: "dana", Participant: "clinic", Roles: []string{"steward"}, Keys: []string{steward.Public().String()}}},
			Namespaces:   map[string]document.Namespace{"patient": {}},
			Datasets:     []document.Dataset{{ID: "clinic.patients", Owner: "clinic", Policy: "p.yaml"}},
			Mesh:         &pins,
		},
		Policies: map[string]*document.Policy{"clinic.patients": {APIVersion: document.APIVersion, Kind: "Policy", Dataset: "clinic.patients", Owner: "clinic",
			Unit: document.Unit{Column: "id", Namespace: "patient"}, Columns: map[string]document.Column{"id": {Type: "varchar", Role: "identifier"}}}},
	}
	form, err := bundle.Signable()
	if err != nil {
		t.Fatal(err)
	}
	cl, err := client.New(client.Config{Addresses: []string{c.Address()}, Root: c.Root(), Key: steward, Ledger: c.Ledger})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Unary(t.Context(), cl, &concordatv1.ProposeManifestRequest{Manifest: form.Manifest, Policies: form.Policies}, client.Services.ProposeManifest); err != nil {
		t.Fatal(err)
	}
	d, err := cl.Documents(t.Context(), "test", 0)
	if err != nil || d.Complete() {
		t.Fatal(err, d.Signed)
	}
	envelope, err := statement.Sign(d.Statement(statement.Approve), organisation)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := envelope.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Unary(t.Context(), cl, &concordatv1.SignManifestRequest{Collaboration: "test", Approval: raw}, client.Services.SignManifest); err != nil {
		t.Fatal(err)
	}
	if d, err = cl.Documents(t.Context(), "test", 0); err != nil || !d.Complete() {
		t.Fatal(err, d.Missing)
	}
	file := filepath.Join(t.TempDir(), "patients.csv")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return &room{c, client.Upload{
		Client: cl, Documents: d, Dataset: "clinic.patients", File: file, Steward: steward, Program: "test", Home: t.TempDir(), PartSize: 10,
	}}
}

const text = "\ufeffid,\"a b\"\n1,2\n3,4\n5,6\n7,8\n9,10\n"

func TestUpload(t *testing.T) {
	r := newRoom(t, text)
	var done, total int64
	r.upload.Progress = func(d, _, n int64) { done, total = d, n }
	report, err := r.upload.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(report, []byte(`"accepted":true`)) || string(r.Upload.Plain) != text {
		t.Errorf("%s\n%q", report, r.Upload.Plain)
	}
	if s := r.Upload.Signed; len(s.Parts) != 4 || strings.Join(s.Columns, "|") != "id|a b" || s.Client != "test" {
		t.Errorf("%+v", s)
	}
	if done != total || total != int64(len(text)) {
		t.Errorf("%d of %d", done, total)
	}
	if id := r.Upload.Signed.Report; !strings.HasPrefix(id, "age1pq1") || r.Upload.Signed.Tolerate != nil {
		t.Errorf("report to %q, tolerate %v", id, r.Upload.Signed.Tolerate)
	}
	if left, _ := filepath.Glob(filepath.Join(r.upload.Home, "uploads", "*")); len(left) > 0 {
		t.Errorf("state is left behind: %v", left)
	}
}

func TestInterruptedUploadSendsOnlyWhatIsMissing(t *testing.T) {
	r := newRoom(t, text)
	r.Upload.Refuse = 2
	if _, err := r.upload.Run(t.Context()); err == nil {
		t.Fatal("the interruption is no error")
	}
	r.Upload.Refuse = -1
	r.upload.Tolerate = upload.Tolerance{Rows: 3}
	if _, err := r.upload.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	first := r.Upload.Signed
	if first.Tolerate == nil || first.Tolerate.Rows != 3 {
		t.Errorf("signed %+v", first.Tolerate)
	}
	for i, part := range first.Parts {
		if part.Plain <= 0 { // what lies at a place of a Parquet file is found by it
			t.Errorf("the statement does not say how much part %d holds: %+v", i+1, part)
		}
	}
	// One that was on its way beside the refused one may have arrived without its sender hearing of it.
	if r.Upload.Puts > 5 || string(r.Upload.Plain) != text {
		t.Errorf("%d parts were sent, 4 or 5 are enough; %q", r.Upload.Puts, r.Upload.Plain)
	}
}

func TestChangedFileIsSentAnew(t *testing.T) {
	r := newRoom(t, text)
	r.Upload.Refuse = 3
	if _, err := r.upload.Run(t.Context()); err == nil {
		t.Fatal("the interruption is no error")
	}
	r.Upload.Refuse = -1
	changed := strings.Replace(text, "9,10", "9,11", 1) + "11,12\n"
	if err := os.WriteFile(r.upload.File, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := r.upload.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if string(r.Upload.Plain) != changed {
		t.Errorf("%q", r.Upload.Plain)
	}
}

func TestOfferForElsewhereIsRefused(t *testing.T) {
	for name, change := range map[string]func(*upload.Target){
		"dataset": func(o *upload.Target) { o.Dataset = "clinic.other" },
		"upload":  func(o *upload.Target) { o.Upload = "other" },
		"ledger":  func(o *upload.Target) { o.Ledger = "other" },
		"version": func(o *upload.Target) { o.Version++ },
	} {
		r := newRoom(t, text)
		r.Upload.Offered = change
		if _, err := r.upload.Run(t.Context()); !errors.Is(err, upload.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
		if r.Upload.Puts > 0 {
			t.Errorf("%s: something was sent", name)
		}
	}
}

func TestWhatCannotBeReadIsNotSent(t *testing.T) {
	for content, want := range map[string]error{"\x1f\x8b\x08\x00": sample.ErrUnread, "": sample.ErrUnread, "7,8\n9,10\n": client.ErrNotThePolicys} {
		r := newRoom(t, content)
		if _, err := r.upload.Run(t.Context()); !errors.Is(err, want) {
			t.Errorf("%q: %v", content, err)
		}
		if r.Upload.Puts > 0 {
			t.Errorf("%q: something was sent", content)
		}
	}
}

// What the file has in place of the policy's columns is shown, with what may be done.
func TestMissingColumnsAreExplained(t *testing.T) {
	for content, want := range map[string]string{
		"7,8\n9,10\n": `Its first line has: "7", "8"`, "id^n\n1^2\n": "--delimiter", `{"key":"1","m":2}` + "\n": `Its objects have: "key", "m"`,
		"a,b,c,d,e,f,g,h,i,j,k,l,m\n": `"l", and 1 more`,
	} {
		r := newRoom(t, content)
		if _, err := r.upload.Run(t.Context()); !errors.Is(err, client.ErrNotThePolicys) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", content, err, want)
		}
	}
}

func TestFormatAndFilesAreSigned(t *testing.T) {
	r := newRoom(t, "n;id\n1,5;a\n")
	second := filepath.Join(t.TempDir(), "more.csv")
	if err := os.WriteFile(second, []byte("n;id\n2,5;b\n3,5;c\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.upload.More = []string{second}
	if _, err := r.upload.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := r.Upload.Signed
	if s.Format != upload.CSV || s.Dialect == nil || s.Dialect.Delimiter != ";" || fmt.Sprint(s.Files) != "[2 2]" || len(s.Parts) != 4 || s.Parts[0].Plain != 10 {
		t.Errorf("%+v", s)
	}
	r = newRoom(t, "PAR1 and so on")
	if _, err := r.upload.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := r.Upload.Signed; s.Format != upload.Parquet || s.Dialect != nil || len(s.Columns) != 0 {
		t.Errorf("%+v", s)
	}
}

func TestPinsNameWhatDiffers(t *testing.T) {
	r := newRoom(t, text)
	status, err := r.upload.Client.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := client.CheckPins(r.upload.Documents.Manifest.Mesh, client.Running(status)); err != nil {
		t.Fatal(err)
	}
	status.Ledger = strings.Repeat("cd", 16)
	err = client.CheckPins(r.upload.Documents.Manifest.Mesh, client.Running(status))
	if !errors.Is(err, client.ErrNotPinned) || !strings.Contains(err.Error(), "mesh.ledger: pinned abab") {
		t.Fatal(err)
	}
}
