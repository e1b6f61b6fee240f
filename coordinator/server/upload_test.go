package server_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"concordat.dev/protocol/answer"
	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/dsse"
	"concordat.dev/protocol/endorse"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/statement"
	"concordat.dev/protocol/upload"
)

func TestUploadResumesAndChecksEveryPart(t *testing.T) {
	m := newMesh(t, 1)
	s := m.manifest(1, nil)
	m.activate(1, s)
	p := m.as("dana", 0)
	id, target := p.openUpload("clinic.patients", s.Digest())

	one, two := []byte("part one"), []byte("part two")
	parts := []upload.Part{{Digest: canon.Sum(one), Size: 8}, {Digest: canon.Sum(two), Size: 8}}
	for name, c := range map[string]struct{ got, want int }{
		"part":                  {p.put(id, 1, one), http.StatusNoContent},
		"the same part again":   {m.as("dana", 1).put(id, 1, one), http.StatusNoContent},
		"another's upload":      {m.as("rita", 0).put(id, 1, two), http.StatusNotFound},
		"an analyst":            {m.as("ann", 0).put(id, 1, two), http.StatusForbidden},
		"a stranger":            {m.as("stranger", 0).put(id, 1, two), http.StatusUnauthorized},
		"nobody":                {m.as("", 0).put(id, 1, two), http.StatusUnauthorized},
		"part 0":                {p.put(id, 0, one), http.StatusBadRequest},
		"part beyond the limit": {p.put(id, 1<<20, one), http.StatusBadRequest},
		"no upload":             {p.put("nothing", 1, one), http.StatusNotFound},
	} {
		if c.got != c.want {
			t.Errorf("%s: HTTP %d, want %d", name, c.got, c.want)
		}
	}
	incomplete := func(name string, want connect.Code, target upload.Target, parts []upload.Part) {
		t.Helper()
		if registered, err := p.complete(id, target, parts); registered || connect.CodeOf(err) != want {
			t.Errorf("%s: registered %t, %v", name, registered, err)
		}
	}
	incomplete("a part is missing", connect.CodeFailedPrecondition, target, parts)
	if code := p.put(id, 2, []byte("p4rt two")); code != http.StatusNoContent {
		t.Fatal(code)
	}
	incomplete("a flipped byte", connect.CodeFailedPrecondition, target, parts)
	if code := p.put(id, 2, two); code != http.StatusNoContent {
		t.Fatal(code)
	}
	incomplete("another order", connect.CodeFailedPrecondition, target, []upload.Part{parts[1], parts[0]})
	other := target
	other.Version = 9
	incomplete("another version", connect.CodeInvalidArgument, other, parts)

	status, err := m.as("dana", 2).UploadStatus(m.ctx(), connect.NewRequest(&concordatv1.UploadStatusRequest{UploadId: id}))
	must(t, err)
	if got := status.Msg.GetParts(); status.Msg.GetState() != "open" || len(got) != 3 || got[1].GetNumber() != 2 || got[2].GetNumber() != 2 ||
		(got[1].GetDigest() == canon.Sum(two).String()) == (got[2].GetDigest() == canon.Sum(two).String()) { // both contents of part 2 are there, under their digests
		t.Errorf("%+v", status.Msg)
	}
	for range 2 { // completing again tells the same
		registered, err := m.as("dana", 2).complete(id, target, parts)
		must(t, err)
		if !registered {
			t.Fatal("not registered")
		}
	}
	if left, err := os.ReadDir(filepath.Join(m.dir, "objects", "uploads", id)); err == nil && len(left) > 0 {
		t.Errorf("parts remain after registration: %v", left)
	}
	if code := p.put(id, 1, one); code != http.StatusConflict {
		t.Errorf("a part for a closed upload: HTTP %d", code)
	}
}

func TestOfferIsEndorsedForThisVersion(t *testing.T) {
	m := newMesh(t, 1)
	s := m.manifest(1, nil)
	m.activate(1, s)
	p := m.as("dana", 0)
	r, err := p.OpenUpload(m.ctx(), connect.NewRequest(&concordatv1.OpenUploadRequest{Collaboration: room, Dataset: "clinic.patients", IdempotencyKey: "k"}))
	must(t, err)
	offer, err := endorse.Parse(r.Msg.GetRecipient())
	must(t, err)
	target := upload.Target{
		Ledger: m.ledger, Collaboration: room, Manifest: s.Digest(), Dataset: "clinic.patients", Version: 1, Upload: r.Msg.GetUploadId(),
	}
	_, err = upload.VerifyOffer(offer, canon.Sum(m.ca.Root.Raw), m.ca.Root, target)
	must(t, err)
	again, err := m.as("dana", 1).OpenUpload(m.ctx(), connect.NewRequest(&concordatv1.OpenUploadRequest{Collaboration: room, Dataset: "clinic.patients", IdempotencyKey: "k"}))
	must(t, err)
	if again.Msg.GetUploadId() != r.Msg.GetUploadId() || !bytes.Equal(again.Msg.GetRecipient(), r.Msg.GetRecipient()) {
		t.Error("the same key opened another upload")
	}
	for who, want := range map[string]connect.Code{"rita": connect.CodePermissionDenied, "ann": connect.CodePermissionDenied, "clinic": connect.CodePermissionDenied} {
		_, err := m.as(who, 0).OpenUpload(m.ctx(), connect.NewRequest(&concordatv1.OpenUploadRequest{Collaboration: room, Dataset: "clinic.patients"}))
		if connect.CodeOf(err) != want {
			t.Errorf("%s: %v", who, err)
		}
	}
}

func TestRejectedUploadLeavesThePreviousVersion(t *testing.T) {
	m := ready(t, 1, nil)
	before, err := m.as("ann", 0).query("SELECT 1", nil)
	must(t, err)
	m.workers[0].refuse.Store(true)
	if m.upload("dana", "clinic.patients", m.manifest(1, nil).Digest()) {
		t.Error("registered what the worker did not accept")
	}
	again, err := m.as("ann", 0).query("SELECT 1", nil)
	must(t, err)
	if *again.Receipt != *before.Receipt {
		t.Errorf("the data changed: %+v", again.Receipt)
	}
	m.workers[0].refuse.Store(false)
	if !m.upload("dana", "clinic.patients", m.manifest(1, nil).Digest()) {
		t.Error("the next version was not registered")
	}
	fresh, err := m.as("ann", 0).query("SELECT 1", nil)
	must(t, err)
	if *fresh.Receipt == *before.Receipt || fresh.Price[0].Rho != 0.1 {
		t.Errorf("a question over new data is a new question: %+v", fresh.Answer)
	}
}

func TestDeletedDatasetAnswersNothing(t *testing.T) {
	m := ready(t, 1, nil)
	first, err := m.as("ann", 0).query("SELECT 1", nil)
	must(t, err)
	list := func() []map[string]any {
		r, err := m.as("ann", 1).ListDatasets(m.ctx(), connect.NewRequest(&concordatv1.ListDatasetsRequest{Collaboration: room, Dataset: "clinic.patients"}))
		must(t, err)
		var out []map[string]any
		must(t, json.Unmarshal(r.Msg.GetDatasets(), &out))
		return out
	}
	digest, ok := list()[0]["digest"].(string)
	if !ok || list()[0]["state"] != "current" {
		t.Fatalf("%v", list())
	}
	said := statement.Statement{
		Action: statement.Delete, Ledger: m.ledger, Collaboration: room, Version: 1, Subject: canon.Digest(digest),
		Nonce: strings.ToLower(strings.Repeat("0a", 16)), Issued: "2026-01-01T00:00:00Z",
	}
	remove := func(e dsse.Envelope, who string) error {
		raw, err := e.Marshal()
		must(t, err)
		_, err = m.as(who, 1).DeleteDataset(m.ctx(), connect.NewRequest(&concordatv1.DeleteDatasetRequest{
			Collaboration: room, Dataset: "clinic.patients", Version: 1, Statement: raw,
		}))
		return err
	}
	for who, want := range map[string]connect.Code{"rita": connect.CodePermissionDenied, "registry": connect.CodePermissionDenied} {
		e, err := statement.Sign(said, m.keys[who])
		must(t, err)
		if err := remove(e, who); connect.CodeOf(err) != want {
			t.Errorf("%s: %v", who, err)
		}
	}
	e, err := statement.Sign(said, m.keys["dana"])
	must(t, err)
	must(t, remove(e, "dana"))
	if list()[0]["state"] != "deleted" {
		t.Errorf("%v", list())
	}
	got, err := m.as("ann", 2).query("SELECT 1", nil)
	must(t, err)
	if got.Verdict != answer.Refused || got.Refusals[0].Code != answer.DatasetMissing {
		t.Errorf("%+v", got.Answer)
	}
	_, err = m.as("ann", 2).Receipt(m.ctx(), connect.NewRequest(&concordatv1.ReceiptRequest{Collaboration: room, Id: first.QueryID}))
	if connect.CodeOf(err) != connect.CodeFailedPrecondition {
		t.Errorf("the deleted release still tells: %v", err)
	}
}

func TestEncryptedAtRest(t *testing.T) {
	m := ready(t, 1, nil)
	sentinel := "sentinel" + rand.Text()
	_, err := m.as("ann", 0).query("SELECT '"+sentinel+"'", nil)
	must(t, err)
	m.stopAll()
	searched := 0
	must(t, filepath.WalkDir(m.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		searched++
		b, err := os.ReadFile(path) //nolint:gosec // test files
		for _, s := range []string{sentinel, "clinic.patients", "wrap of", "dana@clinic", "differential_privacy"} {
			if bytes.Contains(b, []byte(s)) {
				t.Errorf("%s holds %q", path, s)
			}
		}
		return err
	}))
	if searched < 10 {
		t.Errorf("searched %d files", searched)
	}
}
