package api

import (
	"context"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"

	"concordat.dev/coordinator/signin"
	"concordat.dev/coordinator/state"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/fault"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/gen/concordat/v1/concordatv1connect"
	"concordat.dev/protocol/key"
)

// hostTrust is what each page says that a coordinator serves.
const hostTrust = "This page comes from the coordinator's host. Whoever runs that host could change what it shows, and what it sends in your name. " +
	"Stewards and auditors use `concordat web`, which serves the same pages from their own machine."

// freshLimit is how long a session waits to learn what other coordinators acknowledged. What it tells decides nothing.
const freshLimit = 2 * time.Second

type sessionService struct{ *API }

var _ concordatv1connect.SessionServiceHandler = sessionService{}

// Get implements SessionService. It needs no person: whoever is nobody learns where to sign in.
func (s sessionService) Get(ctx context.Context, _ *connect.Request[concordatv1.GetSessionRequest]) (*connect.Response[concordatv1.Session], error) {
	fresh, cancel := context.WithTimeout(ctx, freshLimit)
	defer cancel()
	_ = s.Replica.Sync(fresh)
	basis := s.State.Basis()
	out := &concordatv1.Session{
		Mode: "hosted", HostTrust: hostTrust, Simulation: basis.Mesh.Mode == "simulation", Signing: "none", Ledger: basis.Ledger, Now: instant(s.Now()),
	}
	if s.Sessions != nil {
		out.SignIn = s.signInOptions()
		if host := s.Sessions.External().Hostname(); net.ParseIP(host) == nil {
			out.RpId, out.Signing = host, "passkey"
		}
	}
	who, ok := caller(ctx)
	if !ok {
		return connect.NewResponse(out), nil
	}
	out.SignedIn = true
	if who.key.IsZero() {
		out.Expires, out.IdleExpires, out.DisplayName = instant(who.session.Expires), instant(who.session.IdleExpires), who.session.Name
	}
	s.memberships(who, out)
	return connect.NewResponse(out), nil
}

// memberships tells what the caller is, in each collaboration that knows it.
func (s sessionService) memberships(who actor, out *concordatv1.Session) {
	if !who.key.IsZero() && slices.Contains(s.State.Basis().Founders, who.key.String()) {
		out.FounderKey = who.key.String()
	}
	for _, id := range s.State.Collaborations() {
		here := who
		last, _ := s.State.Manifest(id, 0)
		m, ok := s.State.Newest(id)
		if ok {
			here.learn(m)
		}
		if last.Status == state.Proposed {
			if here.learn(last); !ok {
				m = last
			}
		}
		if here.person == "" {
			continue
		}
		member := &concordatv1.Membership{
			Collaboration: id, State: string(last.Status), Person: here.person, Participant: here.participant, Roles: here.roles, Off: here.off,
		}
		if p, ok := m.Bundle.Manifest.Person(here.person); ok {
			member.Keys = p.Keys
		}
		member.Signer = signs(m.Bundle.Manifest, here, out.GetRpId())
		out.Memberships = append(out.Memberships, member)
		if out.GetPerson() == "" {
			out.Person, out.Participant = here.person, here.participant
		}
		for _, k := range member.GetKeys() {
			if !slices.Contains(out.GetKeys(), k) {
				out.Keys = append(out.Keys, k)
			}
		}
	}
	if len(out.GetMemberships()) == 0 && out.GetFounderKey() == "" {
		out.Reason = "No collaboration names you: a steward can add " + who.caller() + " to the people of the next version of its manifest."
	}
}

// signs says whether who can sign here for the participant as a whole: with its own key, or a passkey of it for this page's host.
func signs(m *document.Manifest, who actor, rp string) bool {
	p, _ := m.Participant(who.participant)
	return slices.ContainsFunc(p.Keys, func(k string) bool {
		return !who.key.IsZero() && k == who.key.String() || who.key.IsZero() && rp != "" && strings.HasPrefix(k, "webauthn:"+rp+":")
	})
}

// signInOptions are the issuers that participants of manifests name and that this coordinator can speak to.
func (s sessionService) signInOptions() []*concordatv1.SignInOption {
	var out []*concordatv1.SignInOption
	s.Sessions.Personas(func(label, path string, p signin.Persona) {
		out = append(out, &concordatv1.SignInOption{Label: label, Url: path, Issuer: p.Issuer, Persona: true})
	})
	byURL := map[string]*concordatv1.SignInOption{}
	for _, id := range s.State.Collaborations() {
		last, _ := s.State.Manifest(id, 0)
		newest, ok := s.State.Newest(id)
		manifests := []state.Manifest{newest, last}
		if !ok {
			manifests = manifests[1:]
		}
		for _, m := range manifests {
			for _, p := range m.Bundle.Manifest.Participants {
				if p.OIDC == nil || !s.Sessions.Knows(p.OIDC.Issuer, p.OIDC.ClientID) {
					continue
				}
				path := s.Sessions.URL(p.OIDC.Issuer, p.OIDC.ClientID)
				if byURL[path] == nil {
					byURL[path] = &concordatv1.SignInOption{Label: p.Name, Url: path, Issuer: p.OIDC.Issuer}
					out = append(out, byURL[path])
				}
				if o := byURL[path]; !slices.Contains(o.GetParticipants(), p.ID) {
					o.Participants = append(o.Participants, p.ID)
				}
			}
		}
	}
	return out
}

// SignOut implements SessionService.
func (s sessionService) SignOut(_ context.Context, req *connect.Request[concordatv1.SignOutRequest]) (*connect.Response[concordatv1.SignOutResponse], error) {
	res := connect.NewResponse(&concordatv1.SignOutResponse{})
	if s.Sessions != nil && req.Header().Get(signin.HeaderPage) == "1" {
		res.Header().Add("Set-Cookie", s.Sessions.End(req.Header()))
	}
	return res, nil
}

// Sign implements SessionService: a coordinator holds nobody's key.
func (sessionService) Sign(context.Context, *connect.Request[concordatv1.SignRequest]) (*connect.Response[concordatv1.SignResponse], error) {
	return nil, fault.Newf("sign", fault.Forbidden, "a coordinator signs for nobody: use a passkey, or the command line, or `concordat web`")
}

// signers are the keys with which an actor may sign statements of its own: the one that signed the request, or those that its manifest names.
func (a *API) signers(who actor, collaboration string) []key.Public {
	if !who.key.IsZero() {
		return []key.Public{who.key}
	}
	m, ok := a.State.Newest(collaboration)
	if !ok {
		return nil
	}
	p, _ := m.Bundle.Manifest.Person(who.person)
	var out []key.Public
	for _, text := range p.Keys {
		if k, err := key.ParsePublic(text); err == nil {
			out = append(out, k)
		}
	}
	return out
}

// admitted puts the session of a page into the context of its request, where pages are signed in at all.
func (a *API) admitted(next http.Handler) http.Handler {
	if a.Sessions == nil {
		return next
	}
	return a.Sessions.Admit(next)
}
