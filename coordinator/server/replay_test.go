package server_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"concordat.dev/protocol/authn"
	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/gen/concordat/v1/concordatv1connect"
	"concordat.dev/protocol/marble"
	"concordat.dev/protocol/statement"
	"concordat.dev/protocol/upload"
)

// A request that changes something, sent again as it was to another coordinator, which never saw it, changes nothing more.
func TestReplayToAnotherCoordinator(t *testing.T) {
	m := ready(t, 1, nil)
	wire := &capture{next: &http.Transport{TLSClientConfig: marble.ClientConfig(canon.Sum(m.ca.Root.Raw), marble.Coordinator), ForceAttemptHTTP2: true}}
	as := func(who string) person {
		h := &http.Client{Transport: authn.Signer{Key: m.keys[who], Audience: m.ledger, Now: time.Now}.RoundTripper(wire)}
		base := "https://" + m.configs[0].Listen.API
		return person{
			mesh: m, http: h, base: base, key: m.keys[who], AnalystServiceClient: concordatv1connect.NewAnalystServiceClient(h, base),
			ParticipantServiceClient: concordatv1connect.NewParticipantServiceClient(h, base), AuditorServiceClient: concordatv1connect.NewAuditorServiceClient(h, base),
		}
	}
	leaves := func() int64 {
		t.Helper()
		must(t, m.nodes[1].Sync(m.ctx()))
		return m.nodes[1].State().Tree().Size()
	}
	first, second := m.manifest(1, nil), m.manifest(2, func(b *document.Bundle) { b.Manifest.Purpose = "testing more" })
	says := func(p person, a statement.Action) error {
		_, err := p.SubmitStatement(m.ctx(), connect.NewRequest(&concordatv1.SubmitStatementRequest{
			Collaboration: room, Statement: m.says("clinic", a, 1, first.Digest()),
		}))
		return err
	}
	uploads := func() uint32 { return m.nodes[1].State().Dataset(room, "clinic.patients").Next }
	var id string
	var target upload.Target
	part := []byte("part one")
	covered := map[string]bool{}
	for _, c := range []struct {
		name string
		call func() error
	}{
		{"a query with a key", func() error { _, err := as("ann").query("SELECT 1", nil); return err }},
		{"a query without a key", func() error {
			_, err := as("ann").query("SELECT 22", func(r *concordatv1.QueryRequest) { r.IdempotencyKey = "" })
			return err
		}},
		{"pause", func() error { return says(as("clinic"), statement.Pause) }},
		{"resume", func() error { return says(as("clinic"), statement.Resume) }},
		{"an upload without a key", func() error {
			_, err := as("dana").OpenUpload(m.ctx(), connect.NewRequest(&concordatv1.OpenUploadRequest{Collaboration: room, Dataset: "clinic.patients"}))
			return err
		}},
		{"a part", func() error {
			id, target = as("dana").openUpload("clinic.patients", first.Digest())
			if code := as("dana").put(id, 1, part); code != http.StatusNoContent {
				return fmt.Errorf("HTTP %d", code)
			}
			return nil
		}},
		{"the completion of an upload", func() error {
			registered, err := as("dana").complete(id, target, []upload.Part{{Digest: canon.Sum(part), Size: int64(len(part))}})
			if !registered {
				err = errors.Join(err, errors.New("not registered"))
			}
			return err
		}},
		{"a deletion", func() error {
			v, _ := m.nodes[0].State().Dataset(room, "clinic.patients").Current()
			_, err := as("dana").DeleteDataset(m.ctx(), connect.NewRequest(&concordatv1.DeleteDatasetRequest{
				Collaboration: room, Dataset: v.Dataset, Version: v.Version, Statement: m.says("dana", statement.Delete, 1, canon.Digest(v.Digest)),
			}))
			return err
		}},
		{"a saved query", func() error {
			p := as("ann")
			_, err := concordatv1connect.NewSavedServiceClient(p.http, p.base).Save(m.ctx(), connect.NewRequest(&concordatv1.SaveQueryRequest{
				Collaboration: room, Name: "One", Sql: "SELECT 1",
			}))
			return err
		}},
		{"a proposal", func() error {
			_, err := as("clinic").ProposeManifest(m.ctx(), connect.NewRequest(&concordatv1.ProposeManifestRequest{
				Manifest: second.Manifest, Policies: second.Policies, Proposal: m.says("clinic", statement.Propose, 2, second.Digest()),
			}))
			return err
		}},
		{"an approval", func() error {
			_, err := as("clinic").SignManifest(m.ctx(), connect.NewRequest(&concordatv1.SignManifestRequest{
				Collaboration: room, Approval: m.says("clinic", statement.Approve, 2, second.Digest()),
			}))
			return err
		}},
	} {
		if err := c.call(); err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		covered[wire.last.URL.Path] = true
		before, next := leaves(), uploads()
		saved := len(m.nodes[1].State().Saved(room, "ann@clinic"))
		again, err := url.Parse("https://" + m.configs[1].Listen.API + wire.last.URL.Path)
		must(t, err)
		r := wire.last.Clone(m.ctx())
		r.URL, r.Host, r.Body, r.ContentLength = again, "", io.NopCloser(bytes.NewReader(wire.body)), int64(len(wire.body))
		if code := m.status2(wire.next, r); code == http.StatusUnauthorized {
			t.Errorf("%s: the other coordinator knew it: this test shows nothing", c.name)
		}
		if after := leaves(); after != before || uploads() != next || len(m.nodes[1].State().Saved(room, "ann@clinic")) != saved {
			t.Errorf("%s: sent again elsewhere, it made %d leaves", c.name, after-before)
		}
	}
	for path := range callsOfPeople() {
		if !covered[path] && !slices.Contains(changeNothing, path) && !strings.HasPrefix(path, "/upload/") {
			t.Errorf("%s is tried by no request here, and not among those that change nothing", path)
		}
	}
}

// changeNothing are calls that only read, two whose statements the state itself takes once (nodes_test.go, handover_test.go of state), and the deletion of
// a saved query, which is gone then.
var changeNothing = []string{
	concordatv1connect.AnalystServiceHistoryProcedure, concordatv1connect.AnalystServiceBudgetProcedure,
	concordatv1connect.ParticipantServiceGetManifestProcedure, concordatv1connect.ParticipantServiceListPlansProcedure,
	concordatv1connect.ParticipantServiceUploadStatusProcedure, concordatv1connect.ParticipantServiceListDatasetsProcedure,
	concordatv1connect.AuditorServiceCheckpointProcedure, concordatv1connect.AuditorServiceEntriesProcedure,
	concordatv1connect.AuditorServiceReceiptProcedure, concordatv1connect.NodeServiceMembershipProcedure,
	concordatv1connect.NodeServiceBackupProcedure, concordatv1connect.NodeServiceChangeNodesProcedure,
	concordatv1connect.HandoverServiceHandOverProcedure, concordatv1connect.SavedServiceListProcedure, concordatv1connect.SavedServiceDeleteProcedure,
	concordatv1connect.DocumentServiceCheckProcedure, concordatv1connect.DocumentServiceExplainProcedure,
	concordatv1connect.DocumentServiceCompareProcedure, concordatv1connect.DocumentServiceTryProcedure,
}
