package api

import (
	"context"
	"time"

	"concordat.dev/protocol/authn"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/fault"
	"concordat.dev/protocol/login"
)

// Login gives a context for the person whose key signed a login token, for programs that cannot sign each request. What the person may do, the
// gate decides at each call: somebody who was off-boarded since can do nothing with it.
func (a *API) Login(ctx context.Context, token string) (context.Context, error) {
	k, _, err := login.Verify(token, a.State.Basis().Ledger, a.Now())
	if err != nil {
		return nil, fault.New("login", fault.Unauthenticated, err)
	}
	return context.WithValue(authn.WithKey(ctx, k), programKey{}, login.ID(token)), nil
}

type programKey struct{}

// programOf is the id of the login token that a call came with, for the audit line: by it a token that was stolen is followed. Empty for people.
func programOf(ctx context.Context) string {
	id, _ := ctx.Value(programKey{}).(string)
	return id
}

// How long a program waits for its turn to have a text explained, and how often it looks. A dashboard asks for all its charts at once, and has
// nobody who would wait a second and try again.
const (
	patience  = 30 * time.Second
	lookEvery = paceEvery / 2
)

// paced waits for a program's turn; people are told to wait by themselves.
func (a *API) paced(ctx context.Context, person string) error {
	if a.explains.admit(person, a.Now()) {
		return nil
	}
	if programOf(ctx) == "" {
		return errTooFast
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return errTooFast
		case <-tick.C:
			if a.explains.admit(person, a.Now()) {
				return nil
			}
		}
	}
}

// Rooms are the documents in force of the collaborations that know the person of the context.
func (a *API) Rooms(ctx context.Context) ([]*document.Bundle, error) {
	who, ok := caller(ctx)
	if !ok {
		return nil, fault.Newf("rooms", fault.Unauthenticated, "log in first")
	}
	var out []*document.Bundle
	for _, id := range a.State.Collaborations() {
		m, found := a.State.Newest(id)
		if here := who; !found || !here.knownIn(m) {
			continue
		}
		if _, err := a.gate.admit(ctx, opGetManifest, id); err != nil {
			return nil, err
		}
		out = append(out, m.Bundle)
	}
	if len(out) == 0 { // nobody here: the gate says so, and writes it down
		_, err := a.gate.admit(ctx, opGetManifest, "")
		return nil, err
	}
	return out, nil
}
