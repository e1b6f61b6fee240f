package api

import (
	"context"

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
	return authn.WithKey(ctx, k), nil
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
	return out, nil
}
