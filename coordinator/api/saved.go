package api

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"connectrpc.com/connect"

	"concordat.dev/coordinator/state"
	"concordat.dev/protocol/answer"
	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/fault"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/gen/concordat/v1/concordatv1connect"
)

// The limits of one saved query, in bytes and numbers.
const (
	maxSavedName       = 120
	maxSavedSQL        = 64 << 10
	maxSavedParameters = 16 << 10
	maxParameters      = 32
	maxChoices         = 200
)

type savedService struct{ *API }

var _ concordatv1connect.SavedServiceHandler = savedService{}

// kept is what is sealed of a saved query.
type kept struct {
	Name       string          `json:"name"`
	SQL        string          `json:"sql"`
	Parameters json.RawMessage `json:"parameters,omitempty"`
}

// parameter is one typed gap in a text.
type parameter struct {
	Name    string   `json:"name"`
	Label   string   `json:"label,omitempty"`
	Type    string   `json:"type"`
	Default string   `json:"default,omitempty"`
	Values  []string `json:"values,omitempty"`
}

var (
	parameterForm  = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)
	parameterTypes = []string{"integer", "number", "text", "date", "timestamp", "boolean", "choice"}
	savedForm      = regexp.MustCompile(`^[0-9a-f]{32}$`)
)

func (k kept) check() error {
	const op = "save"
	bad := func(format string, args ...any) error { return fault.Newf(op, fault.Invalid, format, args...) }
	switch {
	case strings.TrimSpace(k.Name) == "" || len(k.Name) > maxSavedName || !utf8.ValidString(k.Name) || strings.ContainsFunc(k.Name, unicode.IsControl):
		return bad("name: write one line of 1 to %d bytes", maxSavedName)
	case strings.TrimSpace(k.SQL) == "" || len(k.SQL) > maxSavedSQL || !utf8.ValidString(k.SQL):
		return bad("sql: write a text of 1 to %d bytes", maxSavedSQL)
	case len(k.Parameters) > maxSavedParameters:
		return bad("parameters: %d bytes, at most %d", len(k.Parameters), maxSavedParameters)
	case len(k.Parameters) == 0:
		return nil
	}
	var all []parameter
	d := json.NewDecoder(bytes.NewReader(k.Parameters))
	d.DisallowUnknownFields()
	if err := d.Decode(&all); err != nil {
		return bad("parameters: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) || len(all) > maxParameters {
		return bad("parameters: write one array of at most %d", maxParameters)
	}
	seen := map[string]bool{}
	for i, p := range all {
		switch {
		case !parameterForm.MatchString(p.Name) || seen[p.Name]:
			return bad("parameters[%d].name: %.80q is not a-z, 0-9 and _, or is there twice", i, p.Name)
		case !slices.Contains(parameterTypes, p.Type):
			return bad("parameters[%d].type: %.80q is none of %v", i, p.Type, parameterTypes)
		case (p.Type == "choice") != (len(p.Values) > 0) || len(p.Values) > maxChoices:
			return bad("parameters[%d].values: 1 to %d for a choice, none else", i, maxChoices)
		}
		seen[p.Name] = true
	}
	return nil
}

// sealedAs is what a saved query is bound to.
func sealedAs(id string) string { return "saved/" + id }

// Save implements SavedService.
func (s savedService) Save(ctx context.Context, req *connect.Request[concordatv1.SaveQueryRequest]) (*connect.Response[concordatv1.SavedQuery], error) {
	m := req.Msg
	who, err := s.gate.admit(ctx, opSaved, m.GetCollaboration())
	if err != nil {
		return nil, err
	}
	k := kept{Name: m.GetName(), SQL: m.GetSql(), Parameters: m.GetParameters()}
	if err := k.check(); err != nil {
		return nil, err
	}
	saved := state.Saved{ID: m.GetId(), Person: who.person, Participant: who.participant, Shared: m.GetShared()}
	if saved.ID == "" {
		saved.ID = newSaved(who.person, req.Header())
	}
	if !savedForm.MatchString(saved.ID) {
		return nil, fault.Newf("save", fault.Invalid, "id %.80q: want 32 hex digits", saved.ID)
	}
	text, err := json.Marshal(k)
	if err != nil {
		return nil, err
	}
	saved.Sealed = s.history(m.GetCollaboration()).Seal(text, sealedAs(saved.ID))
	if err := s.reviewed(ctx, who, m, &saved); err != nil {
		return nil, err
	}
	saved, _, err = state.Submit(ctx, s.Replica, s.Now(), state.Save{Collaboration: m.GetCollaboration(), Saved: saved})
	if err != nil {
		return nil, err
	}
	out, err := s.saved(who, m.GetCollaboration(), saved)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(out), nil
}

// newSaved is the id of a query that is saved anew: a request that comes again, to whichever coordinator, saves the same one.
func newSaved(person string, h http.Header) string {
	key := idempotent("", h)
	if key == "" {
		return newID()
	}
	sum := canon.Sum([]byte("saved query of " + person + "\x00" + key)).Raw()
	return hex.EncodeToString(sum[:16])
}

// reviewed finds the plan of the example, by a worker, where owners approve plans.
func (s savedService) reviewed(ctx context.Context, who actor, m *concordatv1.SaveQueryRequest, saved *state.Saved) error {
	if len(m.GetExample()) > maxSavedSQL {
		return fault.Newf("save", fault.Invalid, "example: %d bytes, at most %d", len(m.GetExample()), maxSavedSQL)
	}
	inForce, ok := s.State.Newest(m.GetCollaboration())
	if m.GetExample() == "" || !ok || inForce.Status != state.Active || inForce.Bundle.Manifest.Review != document.ReviewPlan {
		return nil
	}
	if !s.explains.admit(who.person, s.Now()) {
		return errTooFast
	}
	q := &query{API: s.API, id: newID(), who: who, manifest: inForce, request: &concordatv1.QueryRequest{
		Collaboration: m.GetCollaboration(), Sql: m.GetExample(), Explain: true,
	}}
	judged, analysis, err := q.analyse(ctx)
	if err != nil || judged.Verdict == answer.Refused {
		return err
	}
	saved.Plan, saved.Manifest = analysis.GetPlanDigest(), inForce.Digest
	for _, id := range analysis.GetDatasets() {
		if d, ok := inForce.Bundle.Manifest.Dataset(id); ok && !slices.Contains(saved.Owners, d.Owner) {
			saved.Owners = append(saved.Owners, d.Owner)
		}
	}
	return nil
}

// List implements SavedService.
func (s savedService) List(ctx context.Context, req *connect.Request[concordatv1.ListSavedRequest]) (*connect.Response[concordatv1.ListSavedResponse], error) {
	who, err := s.gate.admit(ctx, opSaved, req.Msg.GetCollaboration())
	if err != nil {
		return nil, err
	}
	out := &concordatv1.ListSavedResponse{}
	for _, x := range s.State.Saved(req.Msg.GetCollaboration(), who.person) {
		q, err := s.saved(who, req.Msg.GetCollaboration(), x)
		if err != nil {
			return nil, err
		}
		out.Queries = append(out.Queries, q)
	}
	return connect.NewResponse(out), nil
}

// saved opens a saved query, and tells how owners' approval stands now.
func (s savedService) saved(who actor, collaboration string, x state.Saved) (*concordatv1.SavedQuery, error) {
	text, err := s.history(collaboration).Open(x.Sealed, sealedAs(x.ID))
	if err != nil {
		return nil, err
	}
	var k kept
	if err := json.Unmarshal(text, &k); err != nil {
		return nil, err
	}
	out := &concordatv1.SavedQuery{
		Id: x.ID, Name: k.Name, Sql: k.SQL, Parameters: k.Parameters, Shared: x.Shared, Person: x.Person, Participant: x.Participant,
		Saved: instant(x.At), Yours: x.Person == who.person,
	}
	m, ok := s.State.Newest(collaboration)
	if x.Plan == "" || !ok || m.Bundle.Manifest.Review != document.ReviewPlan {
		return out, nil
	}
	out.Plan, out.Approval, out.Missing = x.Plan, "needed", x.Owners
	plans := s.State.Plans(collaboration)
	i := slices.IndexFunc(plans, func(p state.Plan) bool { return p.Digest.String() == x.Plan })
	if i < 0 || m.Digest != x.Manifest { // an approval holds for one version
		return out, nil
	}
	out.Missing = plans[i].Missing(x.Owners)
	switch {
	case len(out.GetMissing()) == 0:
		out.Approval = "approved"
	case plans[i].Query != "":
		out.Approval = "pending"
	}
	return out, nil
}

// Delete implements SavedService.
func (s savedService) Delete(ctx context.Context, req *connect.Request[concordatv1.DeleteSavedRequest]) (*connect.Response[concordatv1.DeleteSavedResponse], error) {
	who, err := s.gate.admit(ctx, opSaved, req.Msg.GetCollaboration())
	if err != nil {
		return nil, err
	}
	if _, _, err := state.Submit(ctx, s.Replica, s.Now(), state.Forget{
		Collaboration: req.Msg.GetCollaboration(), ID: req.Msg.GetId(), Person: who.person,
	}); err != nil {
		return nil, err
	}
	return connect.NewResponse(&concordatv1.DeleteSavedResponse{}), nil
}
