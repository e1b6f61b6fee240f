package server_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"concordat.dev/coordinator/server"
	"concordat.dev/policies/approval"
	"concordat.dev/protocol/answer"
	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/receipt"
	"concordat.dev/protocol/statement"
)

// tell signs a statement about version 1 of ready's manifest and hands it in.
func (m *mesh) tell(who string, form document.SignedForm, action statement.Action, edit func(*statement.Statement)) error {
	m.t.Helper()
	s := statement.Statement{
		Action: action, Ledger: m.ledger, Collaboration: room, Version: 1, Subject: form.Digest(), Nonce: newNonce(),
		Issued: time.Now().UTC().Format(time.RFC3339),
	}
	if edit != nil {
		edit(&s)
	}
	e, err := statement.Sign(s, m.keys[who])
	must(m.t, err)
	raw, err := e.Marshal()
	must(m.t, err)
	_, err = m.as(who, 1).SubmitStatement(m.ctx(), connect.NewRequest(&concordatv1.SubmitStatementRequest{Collaboration: room, Statement: raw}))
	return err
}

func newNonce() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// entry is what tests read of the history.
type entry struct {
	Query, Person, Status, SQL, Operation, Reason, Receipt string
	Datasets                                               []string
}

func (m *mesh) history(who string, r *concordatv1.HistoryRequest) []entry {
	m.t.Helper()
	r.Collaboration = room
	res, err := m.as(who, 2).History(m.ctx(), connect.NewRequest(r))
	must(m.t, err)
	var out []entry
	must(m.t, json.Unmarshal(res.Msg.GetEntries(), &out))
	return out
}

func TestOffBoardingTakesAllAuthorityAtOnce(t *testing.T) {
	m := ready(t, 1, nil)
	form := m.manifest(1, nil)
	_, err := m.as("ann", 0).query("SELECT 1", nil)
	must(t, err)
	if err := m.tell("registry", form, statement.Offboard, func(s *statement.Statement) { s.Person = "ann@clinic" }); connect.CodeOf(err) != connect.CodePermissionDenied {
		t.Errorf("another organisation's person: %v", err)
	}
	must(t, m.tell("clinic", form, statement.Offboard, func(s *statement.Statement) { s.Person = "ann@clinic" }))
	for i := range 3 {
		got, err := m.as("ann", i).query("SELECT 1", nil) // the stored answer too
		must(t, err)
		if got.Verdict != answer.Refused || got.Refusals[0].Code != answer.NotPermitted || !strings.Contains(got.Refusals[0].Message, "off-boarded") {
			t.Errorf("coordinator %d: %+v", i, got.Answer)
		}
		if _, err := m.as("ann", i).History(m.ctx(), connect.NewRequest(&concordatv1.HistoryRequest{Collaboration: room})); connect.CodeOf(err) != connect.CodePermissionDenied {
			t.Errorf("coordinator %d: history: %v", i, err)
		}
	}
	m.activate(2, m.manifest(2, nil)) // names ann with the same key
	if got, err := m.as("ann", 0).query("SELECT 1", nil); err != nil || got.Verdict != answer.Refused {
		t.Errorf("under the next version: %+v %v", got.Answer, err)
	}
	var denied []string
	for _, e := range m.history("alex", &concordatv1.HistoryRequest{Audit: true, Person: "ann@clinic"}) {
		if e.Status == "denied" {
			denied = append(denied, e.Operation)
		}
	}
	if !slices.Contains(denied, "query") || !slices.Contains(denied, "history") {
		t.Errorf("denied calls in the trail: %v", denied)
	}
}

// Somebody who is off-boarded while a query of theirs is executed gets nothing of it.
func TestOffBoardingDuringExecution(t *testing.T) {
	m := ready(t, 1, nil)
	form := m.manifest(1, nil)
	off := func() error {
		return m.tell("clinic", form, statement.Offboard, func(s *statement.Statement) { s.Person = "ann@clinic" })
	}
	m.workers[0].fate.Store(off)
	got, err := m.as("ann", 0).query("SELECT 1", nil)
	if connect.CodeOf(err) != connect.CodePermissionDenied || len(got.Rows) > 0 || len(got.receipt) > 0 {
		t.Errorf("%+v %v", got.Answer, err)
	}
}

func TestReceivers(t *testing.T) {
	m := ready(t, 1, func(b *document.Bundle) { b.Manifest.Receivers = &document.Receivers{Default: "registry"} })
	got, err := m.as("ann", 0).query("SELECT 1", nil)
	must(t, err)
	if got.Verdict != answer.Refused || got.Refusals[0].Rule != "receivers" || m.workers[0].executions.Load() != 0 {
		t.Errorf("who is no receiver: %+v", got.Answer)
	}
	next := m.manifest(2, nil) // the runner
	m.activate(2, next)
	got, err = m.as("ann", 0).query("SELECT 1", nil)
	must(t, err)
	for who, allowed := range map[string]bool{"ann": true, "alex": true, "rita": false, "dana": false, "clinic": false} {
		_, err := m.as(who, 1).Receipt(m.ctx(), connect.NewRequest(&concordatv1.ReceiptRequest{Collaboration: room, Id: got.QueryID}))
		if (err == nil) != allowed {
			t.Errorf("receipt for %s: %v", who, err)
		}
	}
	m.activate(3, m.manifest(3, func(b *document.Bundle) { b.Manifest.Receivers = &document.Receivers{Default: "runner, registry"} }))
	if _, err := m.as("rita", 1).Receipt(m.ctx(), connect.NewRequest(&concordatv1.ReceiptRequest{Collaboration: room, Id: got.QueryID})); err != nil {
		t.Errorf("a named receiver: %v", err)
	}
}

func TestReviewedPlans(t *testing.T) {
	review := func(b *document.Bundle) { b.Manifest.Review = document.ReviewPlan }
	m := ready(t, 1, review)
	form := m.manifest(1, review)
	got, err := m.as("ann", 0).query("SELECT 1", nil)
	must(t, err)
	plan := canon.Sum([]byte("plan of SELECT 1"))
	if got.Verdict != answer.Refused || got.Refusals[0].Rule != "review" || !strings.Contains(got.Refusals[0].Message, plan.String()) {
		t.Fatalf("%+v", got.Answer)
	}
	pending := func(who string) string {
		r, err := m.as(who, 2).ListPlans(m.ctx(), connect.NewRequest(&concordatv1.ListPlansRequest{Collaboration: room}))
		must(t, err)
		var plans []struct {
			State, SQL string
			Missing    []string
		}
		must(t, json.Unmarshal(r.Msg.GetPlans(), &plans))
		if len(plans) != 1 {
			return ""
		}
		return plans[0].State + " " + plans[0].SQL + " " + strings.Join(plans[0].Missing, ",")
	}
	if p := pending("rita"); p != "pending SELECT 1 clinic,registry" {
		t.Errorf("rita is asked %q", p)
	}
	approves := func(who string) error {
		return m.tell(who, form, statement.ApprovePlan, func(s *statement.Statement) { s.Subject = plan })
	}
	if err := approves("alex"); connect.CodeOf(err) != connect.CodePermissionDenied {
		t.Errorf("an auditor approves: %v", err)
	}
	must(t, approves("rita"))
	if got, err := m.as("ann", 0).query("SELECT 1", nil); err != nil || got.Verdict != answer.Refused || m.workers[0].executions.Load() != 0 {
		t.Errorf("one of two approved: %+v %v", got.Answer, err)
	}
	must(t, approves("clinic"))
	if got, err := m.as("ann", 0).query("SELECT 1", nil); err != nil || got.Verdict != answer.Released {
		t.Errorf("all approved: %+v %v", got.Answer, err)
	}
	if p := pending("ann"); p != "approved SELECT 1 " {
		t.Errorf("ann reads %q", p)
	}
}

// A version that only tightens clinic's policy is in force once clinic signed it; workers get the version before with it.
func TestOwnerTightensAlone(t *testing.T) {
	alone := func(b *document.Bundle) { b.Manifest.Amendments = &document.Amendments{Tightening: document.ByOwner} }
	m := ready(t, 1, alone)
	tighter := m.manifest(2, func(b *document.Bundle) { alone(b); b.Policies["clinic.patients"].Release.MinUnits = 20 })
	_, err := m.propose("registry", 2, tighter)
	must(t, err)
	status, err := m.sign("clinic", 1, 2, tighter.Digest())
	must(t, err)
	if status.GetState() != "active" || status.GetBy() != "clinic" || len(status.GetMissing()) != 0 {
		t.Fatalf("%+v", status)
	}
	if p := status.GetDocuments().GetPrevious(); !bytes.Equal(p.GetManifest(), m.manifest(1, alone).Manifest) || len(p.GetApprovals()) != 2 || p.GetPrevious() != nil {
		t.Errorf("the version before: %+v", p)
	}
	got, err := m.as("ann", 0).query("SELECT 1", nil)
	must(t, err)
	r, err := receipt.Parse(got.receipt)
	must(t, err)
	options := receipt.Options{Manifest: canon.Sum(r.Manifest), Tightens: approval.Tightens}
	if report := receipt.Verify(r, options); !report.OK() || len(r.Amends) != 1 {
		t.Fatalf("%s", report)
	}
	for name, spoil := range map[string]func(*receipt.Receipt, *receipt.Options){
		"a verifier that cannot judge":   func(_ *receipt.Receipt, o *receipt.Options) { o.Tightens = nil },
		"without the version before":     func(r *receipt.Receipt, _ *receipt.Options) { r.Amends = nil },
		"a version before not by all":    func(r *receipt.Receipt, _ *receipt.Options) { r.Amends[0].Approvals = r.Amends[0].Approvals[:1] },
		"another policy before":          func(r *receipt.Receipt, _ *receipt.Options) { r.Amends[0].Policies[0] = r.Policies[0] },
		"a version before the first one": func(r *receipt.Receipt, _ *receipt.Options) { r.Amends = append(r.Amends, r.Amends[0]) },
	} {
		again, err := receipt.Parse(got.receipt)
		must(t, err)
		o := options
		spoil(&again, &o)
		if report := receipt.Verify(again, o); report.OK() {
			t.Errorf("%s: verifies", name)
		}
	}
}

func TestShareOfABudget(t *testing.T) {
	m := ready(t, 1, func(b *document.Bundle) {
		for _, p := range b.Policies {
			p.Budget.PerPersonShare = 0.25
		}
		for i, p := range b.Manifest.People { // a second analyst
			if p.ID == "alex@registry" {
				b.Manifest.People[i].Roles = []string{"auditor", "analyst"}
			}
		}
	})
	expensive := func(r *concordatv1.QueryRequest) { r.Rho = 0.2 }
	_, err := m.as("ann", 0).query("SELECT 1", expensive)
	must(t, err)
	for _, explain := range []bool{false, true} {
		got, err := m.as("ann", 1).query("SELECT 2", func(r *concordatv1.QueryRequest) { r.Rho, r.Explain = 0.2, explain })
		must(t, err)
		if got.Verdict != answer.Refused || got.Refusals[0].Code != answer.BudgetExhausted || got.Refusals[0].Rule != "budget.per_person_share" || got.Refusals[0].Owner != "clinic" {
			t.Errorf("explain %t: %+v", explain, got.Answer)
		}
	}
	got, err := m.as("alex", 1).query("SELECT 2", expensive)
	must(t, err)
	if got.Verdict != answer.Released {
		t.Errorf("another person's share: %+v", got.Answer)
	}
}

func TestTrailIsSearched(t *testing.T) {
	m := ready(t, 1, nil)
	for _, sql := range []string{"SELECT one", "SELECT Two", "SELECT forbidden"} {
		_, err := m.as("ann", 0).query(sql, nil)
		must(t, err)
	}
	if _, err := m.as("ann", 0).Entries(m.ctx(), connect.NewRequest(&concordatv1.EntriesRequest{Collaboration: room})); connect.CodeOf(err) != connect.CodePermissionDenied {
		t.Fatalf("an analyst reads the log's bodies: %v", err)
	}
	soon := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	for name, c := range map[string]struct {
		who  string
		r    *concordatv1.HistoryRequest
		want string
	}{
		"own queries":          {"ann", &concordatv1.HistoryRequest{}, "SELECT Two; SELECT one"},
		"own trail":            {"ann", &concordatv1.HistoryRequest{Audit: true}, "entries; SELECT forbidden; SELECT Two; SELECT one"},
		"an owner":             {"rita", &concordatv1.HistoryRequest{}, "SELECT Two; SELECT one"},
		"an auditor":           {"alex", &concordatv1.HistoryRequest{Audit: true}, "entries; SELECT forbidden; SELECT Two; SELECT one"},
		"text, in any letters": {"alex", &concordatv1.HistoryRequest{Audit: true, Text: "TWO"}, "SELECT Two"},
		"a dataset":            {"alex", &concordatv1.HistoryRequest{Audit: true, Dataset: "clinic.patients", Limit: 1}, "SELECT Two"},
		"a person":             {"alex", &concordatv1.HistoryRequest{Audit: true, Person: "dana@clinic"}, ""},
		"since then":           {"alex", &concordatv1.HistoryRequest{Audit: true, Since: soon}, ""},
		"until then":           {"alex", &concordatv1.HistoryRequest{Until: soon}, "SELECT Two; SELECT one"},
	} {
		var got []string
		for _, e := range m.history(c.who, c.r) {
			if e.Person != "ann@clinic" || e.Status == "released" && e.Receipt == "" || e.Status == "refused" && e.Reason != "hidden_column" {
				t.Errorf("%s: %+v", name, e)
			}
			if e.SQL == "" {
				e.SQL = e.Operation
			}
			got = append(got, e.SQL)
		}
		if strings.Join(got, "; ") != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if _, err := m.as("ann", 0).History(m.ctx(), connect.NewRequest(&concordatv1.HistoryRequest{Collaboration: room, Since: "yesterday"})); connect.CodeOf(err) != connect.CodeInvalidArgument {
		t.Errorf("a time that is none: %v", err)
	}
}

// Deletion by the owner, a participant that leaves and a revocation destroy keys, stored answers and objects; no disk keeps the wrap, or the
// sealed state that held it.
func TestDestroyedDataIsOnNoDisk(t *testing.T) {
	m := ready(t, 1, nil)
	form := m.manifest(1, nil)
	_, err := m.as("ann", 0).query("SELECT 'sentinel of the query'", nil)
	must(t, err)
	gone := func(dataset string) (wrap, object string) {
		v := m.nodes[0].State().Dataset(room, dataset).Versions[0]
		return string(v.Wrap), v.Objects[0]
	}
	wraps, objects := map[string]string{}, map[string]string{}
	for _, id := range []string{"clinic.patients", "registry.events"} {
		wraps[id], objects[id] = gone(id)
		must(t, os.MkdirAll(filepath.Join(m.dir, "objects", "datasets"), 0o700))
		must(t, os.WriteFile(filepath.Join(m.dir, "objects", objects[id]), []byte("sealed "+id), 0o600))
	}
	must(t, m.tell("registry", form, statement.Leave, nil))
	must(t, m.tell("clinic", form, statement.Revoke, nil))
	for i, n := range m.nodes {
		must(t, n.Sync(m.ctx()))
		m.compacted(i, n)
		write, err := n.State().Snapshot()
		must(t, err)
		var snapshot bytes.Buffer
		must(t, write(&snapshot))
		for id, wrap := range wraps {
			if encoded := base64.StdEncoding.EncodeToString([]byte(wrap)); bytes.Contains(snapshot.Bytes(), []byte(encoded)) {
				t.Errorf("coordinator %d keeps the wrap of %s", i, id)
			}
		}
	}
	needles := []string{"sentinel of the query", "sealed clinic.patients", "sealed registry.events"}
	for _, wrap := range wraps {
		needles = append(needles, wrap, base64.StdEncoding.EncodeToString([]byte(wrap)))
	}
	m.nowhere(needles...)
	for id, object := range objects {
		if _, err := os.Stat(filepath.Join(m.dir, "objects", object)); !os.IsNotExist(err) {
			t.Errorf("the object of %s is still there: %v", id, err)
		}
	}
}

// nowhere expects that no file of the coordinators, nor of the object store, holds any of these texts.
func (m *mesh) nowhere(needles ...string) {
	m.t.Helper()
	must(m.t, filepath.WalkDir(m.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			return nil // a coordinator lets go of it
		}
		for _, needle := range needles {
			if bytes.Contains(content, []byte(needle)) {
				m.t.Errorf("%s holds %q", path, needle)
			}
		}
		return err
	}))
}

// compacted waits until a coordinator has one snapshot, taken after all that was destroyed.
func (m *mesh) compacted(i int, n *server.Server) {
	m.t.Helper()
	for ctx := m.ctx(); ctx.Err() == nil; {
		if n.Compacted() == n.State().Destructions() {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
	m.t.Fatalf("coordinator %d did not compact its disk", i)
}
