package api

import (
	"context"
	"slices"
	"strings"
	"time"

	"concordat.dev/coordinator/state"
	"concordat.dev/protocol/answer"
)

// The kinds of entries of the audit trail that are no queries.
const (
	noteRefused = "refused"
	noteDenied  = "denied"
)

// maxDenials is how many denied calls of one key or subject a coordinator writes down in a minute, so that nobody fills the trail with them. All are
// in its own log.
const maxDenials = 30

// noteLimit is how long a denied call waits for being written down. It is denied anyway.
const noteLimit = 2 * time.Second

// denied keeps a denied call in the replicated trail of its collaboration.
func (a *API) denied(ctx context.Context, who actor, op operation, collaboration string, cause error) {
	if _, known := a.State.Manifest(collaboration, 0); !known || who.caller() == "" || !a.oneMore(who) {
		return
	}
	a.note(ctx, state.Note{
		ID: newID(), Kind: noteDenied, Collaboration: collaboration, Person: who.person, Participant: who.participant,
		Key: who.caller(), Operation: string(op), Reason: cause.Error(),
	})
}

func (a *API) oneMore(who actor) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now := a.Now(); now.Sub(a.minute) >= time.Minute {
		clear(a.denials)
		a.minute = now
	}
	a.denials[who.caller()]++
	return a.denials[who.caller()] <= maxDenials
}

// refusal keeps a refused query in the trail. Explanations are no queries.
func (q *query) refusal(ctx context.Context, refused answer.Answer) {
	if q.request.GetExplain() || refused.Verdict != answer.Refused || q.who.person == "" {
		return
	}
	n := state.Note{
		ID: q.id, Kind: noteRefused, Collaboration: q.request.GetCollaboration(), Person: q.who.person, Participant: q.who.participant,
		Key: q.who.caller(), Operation: string(opQuery), SQL: q.history(q.request.GetCollaboration()).Seal([]byte(q.request.GetSql()), q.id), Datasets: q.reads,
	}
	var codes []string
	for _, r := range refused.Refusals {
		if code := string(r.Code); !slices.Contains(codes, code) {
			codes = append(codes, code)
		}
		if r.Dataset != "" && !slices.Contains(n.Datasets, r.Dataset) {
			n.Datasets = append(n.Datasets, r.Dataset)
		}
		if r.Owner != "" && !slices.Contains(n.Owners, r.Owner) {
			n.Owners = append(n.Owners, r.Owner)
		}
	}
	n.Reason = strings.Join(codes, ", ")
	if q.manifest.Bundle != nil {
		m := q.manifest.Bundle.Manifest
		n.Version = m.Version
		for _, id := range n.Datasets {
			if d, ok := m.Dataset(id); ok && !slices.Contains(n.Owners, d.Owner) {
				n.Owners = append(n.Owners, d.Owner)
			}
		}
	}
	q.note(ctx, n)
}

func (a *API) note(ctx context.Context, n state.Note) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteLimit)
	defer cancel()
	if _, _, err := state.Submit(ctx, a.Replica, a.Now(), state.NoteDown{Note: n}); err != nil {
		a.Logger.Warn().Err(err).Str(fieldOperation, n.Operation).Str(fieldCollaboration, n.Collaboration).Msg("not in the audit trail")
	}
}
