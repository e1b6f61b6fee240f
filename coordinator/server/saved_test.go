package server_test

import (
	"strings"
	"testing"

	"connectrpc.com/connect"

	"concordat.dev/protocol/answer"
	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/gen/concordat/v1/concordatv1connect"
	"concordat.dev/protocol/statement"
)

func (m *mesh) savedAs(who string, i int) concordatv1connect.SavedServiceClient {
	p := m.as(who, i)
	return concordatv1connect.NewSavedServiceClient(p.http, p.base)
}

func (m *mesh) saved(who string, i int) []*concordatv1.SavedQuery {
	m.t.Helper()
	r, err := m.savedAs(who, i).List(m.ctx(), connect.NewRequest(&concordatv1.ListSavedRequest{Collaboration: room}))
	must(m.t, err)
	return r.Msg.GetQueries()
}

func (m *mesh) save(who string, i int, r *concordatv1.SaveQueryRequest) (*concordatv1.SavedQuery, error) {
	m.t.Helper()
	r.Collaboration = room
	res, err := m.savedAs(who, i).Save(m.ctx(), connect.NewRequest(r))
	if err != nil {
		return nil, err
	}
	return res.Msg, nil
}

func TestSavedQueries(t *testing.T) {
	m := ready(t, 1, nil)
	own, err := m.save("ann", 0, &concordatv1.SaveQueryRequest{
		Name: "By age", Sql: "SELECT {{from}}", Parameters: []byte(`[{"name":"from","type":"integer","default":"18"}]`),
	})
	must(t, err)
	if got := m.saved("ann", 1); len(got) != 1 || got[0].GetId() != own.GetId() || got[0].GetSql() != "SELECT {{from}}" || !got[0].GetYours() || got[0].GetApproval() != "" {
		t.Errorf("%v", got)
	}
	if got := m.saved("dana", 2); len(got) != 0 {
		t.Errorf("dana sees what is not shared: %v", got)
	}
	_, err = m.save("ann", 1, &concordatv1.SaveQueryRequest{Id: own.GetId(), Name: "By age", Sql: "SELECT 2", Shared: true})
	must(t, err)
	if got := m.saved("dana", 2); len(got) != 1 || got[0].GetSql() != "SELECT 2" || got[0].GetYours() || got[0].GetPerson() != "ann@clinic" {
		t.Errorf("%v", got)
	}
	if _, err := m.save("dana", 0, &concordatv1.SaveQueryRequest{Id: own.GetId(), Name: "Mine", Sql: "SELECT 3"}); connect.CodeOf(err) != connect.CodePermissionDenied {
		t.Errorf("dana changed ann's query: %v", err)
	}
	forget := func(who string) error {
		_, err := m.savedAs(who, 0).Delete(m.ctx(), connect.NewRequest(&concordatv1.DeleteSavedRequest{Collaboration: room, Id: own.GetId()}))
		return err
	}
	if err := forget("dana"); connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("dana deleted ann's query: %v", err)
	}
	for name, r := range map[string]*concordatv1.SaveQueryRequest{
		"no name":      {Sql: "SELECT 1"},
		"two lines":    {Name: "a\nb", Sql: "SELECT 1"},
		"no text":      {Name: "a"},
		"long text":    {Name: "a", Sql: strings.Repeat("x", 65<<10)},
		"no array":     {Name: "a", Sql: "x", Parameters: []byte(`{}`)},
		"type":         {Name: "a", Sql: "x", Parameters: []byte(`[{"name":"a","type":"sql"}]`)},
		"twice":        {Name: "a", Sql: "x", Parameters: []byte(`[{"name":"a","type":"text"},{"name":"a","type":"text"}]`)},
		"choice":       {Name: "a", Sql: "x", Parameters: []byte(`[{"name":"a","type":"choice"}]`)},
		"unknown":      {Name: "a", Sql: "x", Parameters: []byte(`[{"name":"a","type":"text","html":"<b>"}]`)},
		"bytes behind": {Name: "a", Sql: "x", Parameters: []byte(`[] []`)},
		"id":           {Id: "../x", Name: "a", Sql: "x"},
	} {
		if _, err := m.save("ann", 0, r); connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
	must(t, forget("ann"))
	if got := m.saved("ann", 2); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

func TestSavedQueriesTellOwnersApproval(t *testing.T) {
	m := ready(t, 1, func(b *document.Bundle) { b.Manifest.Review = document.ReviewPlan })
	form := m.manifest(1, func(b *document.Bundle) { b.Manifest.Review = document.ReviewPlan })
	saved, err := m.save("ann", 0, &concordatv1.SaveQueryRequest{Name: "By age", Sql: "SELECT {{n}}", Example: "SELECT 1", Shared: true})
	must(t, err)
	if saved.GetApproval() != "needed" || len(saved.GetMissing()) != 2 || saved.GetPlan() == "" {
		t.Errorf("%v", saved)
	}
	got, err := m.as("ann", 0).query("SELECT 1", nil)
	must(t, err)
	if got.Verdict != answer.Refused {
		t.Errorf("%+v", got.Answer)
	}
	if s := m.saved("dana", 0)[0]; s.GetApproval() != "pending" {
		t.Errorf("%v", s)
	}
	for _, who := range []string{"dana", "rita"} {
		must(t, m.tell(who, form, statement.ApprovePlan, func(s *statement.Statement) { s.Subject = canon.Digest(saved.GetPlan()) }))
	}
	if s := m.saved("ann", 1)[0]; s.GetApproval() != "approved" || len(s.GetMissing()) != 0 {
		t.Errorf("%v", s)
	}
}

// Explanations come with every pause in typing: they leave nothing behind, and cost the cluster nothing.
func TestExplanationsLeaveNothingBehind(t *testing.T) {
	m := ready(t, 1, nil)
	for i := range 3 {
		must(t, m.nodes[i].Sync(m.ctx()))
	}
	before := m.nodes[0].State().Basis().Time
	explain := func(r *concordatv1.QueryRequest) { r.Explain = true }
	for range 10 {
		if got, err := m.as("ann", 0).query("SELECT 1", explain); err != nil || got.Verdict != answer.Released {
			t.Errorf("%+v %v", got.Answer, err)
		}
	}
	got, err := m.as("dana", 0).query("SELECT 1", explain) // who may not ask
	must(t, err)
	if got.Verdict != answer.Refused {
		t.Errorf("%+v", got.Answer)
	}
	must(t, m.nodes[0].Sync(m.ctx()))
	if after := m.nodes[0].State().Basis().Time; !after.Equal(before) {
		t.Errorf("explanations were commands: the state moved from %s to %s", before, after)
	}
	if h := m.history("alex", &concordatv1.HistoryRequest{Audit: true}); len(h) != 0 {
		t.Errorf("%v", h)
	}
}
