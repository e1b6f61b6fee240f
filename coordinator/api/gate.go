package api

import (
	"context"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"concordat.dev/coordinator/signin"
	"concordat.dev/coordinator/state"
	"concordat.dev/observe"
	"concordat.dev/protocol/authn"
	"concordat.dev/protocol/fault"
	"concordat.dev/protocol/key"
)

// operation is something that people ask for.
type operation string

const (
	opQuery          operation = "query"
	opHistory        operation = "history"
	opBudget         operation = "budget"
	opPropose        operation = "propose_manifest"
	opSign           operation = "sign_manifest"
	opGetManifest    operation = "get_manifest"
	opStatement      operation = "submit_statement"
	opListPlans      operation = "list_plans"
	opOpenUpload     operation = "open_upload"
	opUploadPart     operation = "upload_part"
	opUploadStatus   operation = "upload_status"
	opCompleteUpload operation = "complete_upload"
	opListDatasets   operation = "list_datasets"
	opDeleteDataset  operation = "delete_dataset"
	opCheckpoint     operation = "checkpoint"
	opEntries        operation = "entries"
	opReceipt        operation = "receipt"
	opSaved          operation = "saved_queries"
	opExplain        operation = "explain"
	opHandOver       operation = "hand_over"
	opMembership     operation = "membership"
	opChangeNodes    operation = "change_nodes"
	opBackup         operation = "backup"
	opDraft          operation = "judge_draft"
)

// The roles of people in a manifest, and two that keys have by themselves.
const (
	steward      = "steward"
	analyst      = "analyst"
	auditor      = "auditor"
	organisation = "organisation" // a participant's own key
	founder      = "founder"      // a key that may propose where there is no manifest yet
)

// rule says who may do an operation: one of these roles. Pending also admits those whom a proposed manifest names.
type rule struct {
	roles   []string
	pending bool
}

var (
	anybody = []string{steward, analyst, auditor, organisation}
	// rules is all authority that people have. Statements and approvals carry signatures of their own, which the state judges.
	rules = map[operation]rule{
		opQuery:          {roles: []string{analyst}},
		opHistory:        {roles: anybody},
		opBudget:         {roles: anybody},
		opPropose:        {roles: []string{organisation, founder, steward}, pending: true},
		opSign:           {roles: []string{organisation, steward, auditor}, pending: true},
		opGetManifest:    {roles: append([]string{founder}, anybody...), pending: true},
		opStatement:      {roles: []string{organisation, steward, auditor}, pending: true},
		opListPlans:      {roles: anybody},
		opOpenUpload:     {roles: []string{steward}},
		opUploadPart:     {roles: []string{steward}},
		opUploadStatus:   {roles: []string{steward}},
		opCompleteUpload: {roles: []string{steward}},
		opListDatasets:   {roles: anybody},
		opDeleteDataset:  {roles: []string{organisation, steward}},
		opCheckpoint:     {roles: append([]string{founder}, anybody...)},
		opEntries:        {roles: []string{steward, auditor, organisation}},
		opReceipt:        {roles: anybody},
		opSaved:          {roles: []string{steward, analyst, auditor}},
		opExplain:        {roles: []string{analyst}},
		opHandOver:       {roles: []string{organisation, founder}},
		opMembership:     {roles: append([]string{founder}, anybody...)},
		opChangeNodes:    {roles: []string{organisation, founder, steward, auditor}},
		opBackup:         {roles: []string{organisation, founder, steward}},
		opDraft:          {roles: append([]string{founder}, anybody...), pending: true},
	}
)

// actor is who asks: the key that signed the request, or whom an issuer vouched for in a session, and whom the collaboration's manifest
// knows by it.
type actor struct {
	key         key.Public
	session     signin.Session // where there is no key
	person      string         // id of the person, or of the participant whose own key it is
	participant string
	roles       []string
	off         string // why a person or participant whom the manifest names has no authority
}

func (a actor) is(role string) bool { return slices.Contains(a.roles, role) }

// caller names the key or the session's subject; empty for nobody.
func (a actor) caller() string {
	switch {
	case !a.key.IsZero():
		return a.key.String()
	case a.session.Subject != "":
		return a.session.Caller()
	default:
		return ""
	}
}

// caller is who sent a request, by its signature or, where it has none, by its session.
func caller(ctx context.Context) (actor, bool) {
	if k, ok := authn.Key(ctx); ok {
		return actor{key: k}, true
	}
	s, ok := signin.From(ctx)
	return actor{session: s}, ok
}

// Audit is what is written of each request, admitted or not.
type Audit struct {
	At            time.Time
	Operation     string
	Collaboration string
	Key           string
	Person        string
	Participant   string
	Denied        string // why, empty when admitted
}

// Names of log fields.
const (
	fieldOperation     = "operation"
	fieldCollaboration = "collaboration"
	fieldKey           = "key"
	fieldPerson        = "person"
	fieldParticipant   = "participant"
	fieldDenied        = "denied"
	fieldLogin         = "login" // id of the login token, where a program asks
	fieldQuery         = "query"
	fieldDataset       = "dataset"
	fieldIncident      = "incident"
)

// gate is the one place that decides who may do what, and writes it down.
type gate struct {
	state  *state.Machine
	sync   func(context.Context) error
	now    func() time.Time
	log    zerolog.Logger
	record func(Audit)
	counts *counts
	denied func(context.Context, actor, operation, string, error) // keeps who was denied what, for owners and auditors
}

// admit authenticates, authorises and audits in one call. It reads a state in which everything that was acknowledged is.
func (g *gate) admit(ctx context.Context, op operation, collaboration string) (actor, error) {
	who, err := g.judge(ctx, op, collaboration)
	a := Audit{
		At: g.now().UTC(), Operation: string(op), Collaboration: collaboration, Person: who.person, Participant: who.participant,
	}
	a.Key = who.caller()
	log := observe.Log(ctx, g.log)
	event := log.Info()
	if op == opExplain {
		event = log.Debug() // one with every pause in typing
	}
	if err != nil {
		a.Denied = err.Error()
		event = log.Warn().Str(fieldDenied, a.Denied)
	}
	event.Str(fieldOperation, a.Operation).Str(fieldCollaboration, collaboration).Str(fieldKey, a.Key).
		Str(fieldPerson, a.Person).Str(fieldParticipant, a.Participant)
	if id := programOf(ctx); id != "" {
		event.Str(fieldLogin, id)
	}
	event.Msg("request")
	if g.record != nil {
		g.record(a)
	}
	g.counts.judged(op, err)
	if fault.KindOf(err) == fault.Forbidden && op != opExplain {
		g.denied(ctx, who, op, collaboration, err)
	}
	return who, err
}

// admitAny is admit for what belongs to no collaboration: having a role for it in one of them is enough.
func (g *gate) admitAny(ctx context.Context, op operation) (actor, error) {
	in := ""
	if who, ok := caller(ctx); ok {
		for _, id := range g.state.Collaborations() {
			known := who
			m, found := g.state.Newest(id)
			if !found || !known.knownIn(m) {
				continue
			}
			if slices.ContainsFunc(rules[op].roles, known.is) {
				return g.admit(ctx, op, id)
			}
			in = id
		}
	}
	return g.admit(ctx, op, in)
}

func (a *actor) knownIn(m state.Manifest) bool {
	a.learn(m)
	return a.person != ""
}

func (g *gate) judge(ctx context.Context, op operation, collaboration string) (actor, error) {
	who, ok := caller(ctx)
	if !ok {
		return actor{}, fault.Newf(string(op), fault.Unauthenticated, "sign the request with the key of a person or participant, or sign in")
	}
	if err := g.sync(ctx); err != nil {
		return who, fault.New(string(op), fault.Unavailable, err)
	}
	r, known := rules[op]
	if !known {
		panic("api: operation without a rule: " + string(op))
	}
	if slices.Contains(g.state.Basis().Founders, who.caller()) {
		who.roles = append(who.roles, founder)
	}
	if m, ok := g.state.Newest(collaboration); ok {
		who.learn(m)
	}
	if m, ok := g.state.Manifest(collaboration, 0); ok && r.pending && m.Status == state.Proposed {
		who.learn(m)
	}
	if who.off != "" {
		return who, fault.Newf(string(op), fault.Forbidden, "%s has no authority in %q any more: %s", who.name(), collaboration, who.off)
	}
	for _, role := range r.roles {
		if who.is(role) {
			return who, nil
		}
	}
	if who.person == "" && !who.is(founder) {
		return who, fault.Newf(string(op), fault.Forbidden, "%s is nobody in collaboration %q", who.name(), collaboration)
	}
	return who, fault.Newf(string(op), fault.Forbidden, "%s needs one of the roles %v, %s has %v", op, r.roles, who.name(), who.roles)
}

func (a *actor) learn(manifest state.Manifest) {
	if a.person != "" {
		return // the manifest in force says who it is
	}
	m := manifest.Bundle.Manifest
	p, ok := m.PersonByKey(a.key.String())
	if a.key.IsZero() {
		p, ok = m.PersonBySubject(a.session.Issuer, a.session.ClientID, a.session.Subject)
	}
	if ok {
		a.person, a.participant = p.ID, p.Participant
		a.roles = append(a.roles, p.Roles...)
		if slices.Contains(manifest.Off, p.ID) {
			a.off = p.Participant + " off-boarded its person, or left"
		}
	}
	for _, p := range m.Participants {
		if a.key.IsZero() || !slices.Contains(p.Keys, a.key.String()) {
			continue
		}
		if a.person == "" {
			a.person, a.participant = p.ID, p.ID
		}
		if a.participant == p.ID {
			a.roles = append(a.roles, organisation)
		}
		if slices.Contains(manifest.Left, p.ID) {
			a.off = p.ID + " left"
		}
	}
	if a.off != "" {
		a.roles = nil
	}
}

func (a actor) name() string {
	if a.person == "" {
		return a.caller()
	}
	return a.person
}
