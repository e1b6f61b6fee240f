package signin

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// The reasons for which a sign-in fails, as the page is told them: /?sign_in_error=REASON.
const (
	reasonUnknown  = "unknown"     // this coordinator has no such issuer
	reasonDown     = "unavailable" // the issuer does not answer
	reasonExpired  = "expired"     // it took too long, was begun elsewhere, or was answered twice
	reasonDenied   = "denied"      // the issuer, or the person there, said no
	reasonMismatch = "mismatch"    // the issuer's answer is not to this question
)

const fieldIssuer = "issuer"

// Handler serves the two ends of signing in.
func (s *Sessions) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+startPath, s.start)
	mux.HandleFunc("GET "+callbackPath, s.callback)
	return mux
}

// provider is one issuer with one client. Its keys and addresses are asked for when somebody signs in, and again until it answers.
type provider struct {
	Issuer
	http     *http.Client
	redirect string

	mu    sync.Mutex
	known *oidc.Provider
	fault error // of the last try, for a while: whoever waits for a silent issuer would wait one after the other
	tried time.Time
}

// silent is how long an issuer that did not answer is not asked again.
const silent = 3 * time.Second

func (p *provider) discover(ctx context.Context) (*oidc.Provider, *oauth2.Config, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known == nil && p.fault != nil && time.Since(p.tried) < silent {
		return nil, nil, p.fault
	}
	if p.known == nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callLimit) // one browser that goes away does not fail the others
		defer cancel()
		known, err := oidc.NewProvider(ctx, p.URL)
		if err != nil {
			p.fault, p.tried = err, time.Now()
			return nil, nil, err
		}
		p.known, p.fault = known, nil
	}
	return p.known, &oauth2.Config{
		ClientID: p.ClientID, ClientSecret: p.Secret, Endpoint: p.known.Endpoint(), RedirectURL: p.redirect, Scopes: []string{oidc.ScopeOpenID, "profile"},
	}, nil
}

// start sends the browser to an issuer. Whatever session it has stays until the answer is there.
func (s *Sessions) start(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	p := s.providers[Issuer{URL: q.Get("issuer"), ClientID: q.Get("client")}.key()]
	if p == nil || !strings.EqualFold(r.Host, s.cfg.External.Host) {
		fail(w, r, reasonUnknown)
		return
	}
	ctx, cancel := context.WithTimeout(oidc.ClientContext(r.Context(), p.http), callLimit)
	defer cancel()
	_, config, err := p.discover(ctx)
	if err != nil {
		s.cfg.Logger.Warn().Err(err).Str(fieldIssuer, p.URL).Msg("issuer does not answer")
		fail(w, r, reasonDown)
		return
	}
	f := flow{provider: p, state: rand.Text(), nonce: rand.Text(), verifier: oauth2.GenerateVerifier(), back: local(q.Get("return"))}
	http.SetCookie(w, cookie(s.flow, s.store.start(f), int(flowLimit.Seconds()), http.SameSiteLaxMode)) // the answer comes from another site
	options := []oauth2.AuthCodeOption{oidc.Nonce(f.nonce), oauth2.S256ChallengeOption(f.verifier)}
	if hint := q.Get("hint"); hint != "" && s.isPersona(p.Issuer, hint) {
		options = append(options, oauth2.SetAuthURLParam("login_hint", hint))
	} else {
		options = append(options, oauth2.SetAuthURLParam("prompt", "select_account"))
	}
	redirect(w, r, config.AuthCodeURL(f.state, options...))
}

func (s *Sessions) isPersona(i Issuer, subject string) bool {
	return slices.ContainsFunc(s.cfg.Personas, func(p Persona) bool {
		return p.Issuer == i.URL && p.ClientID == i.ClientID && p.Subject == subject
	})
}

// local is a path of this origin to return to; "/" for anything else.
func local(back string) string {
	u, err := url.Parse(back)
	if err != nil || len(back) > 2048 || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(back, "/") || strings.HasPrefix(back, "//") ||
		strings.ContainsAny(back, "\\\r\n\t") || strings.HasPrefix(u.Path, Prefix) {
		return "/"
	}
	return back
}

// callback takes the answer of an issuer: once, in the browser that asked, to the question that was asked.
func (s *Sessions) callback(w http.ResponseWriter, r *http.Request) {
	secret, ok := only(r, s.flow)
	http.SetCookie(w, cookie(s.flow, "", -1, http.SameSiteLaxMode))
	f, live := s.store.take(secret)
	if !ok || !live || !strings.EqualFold(r.Host, s.cfg.External.Host) {
		fail(w, r, reasonExpired)
		return
	}
	q := r.URL.Query()
	if len(q["state"]) != 1 || subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(f.state)) != 1 || q.Has("iss") && q.Get("iss") != f.provider.URL {
		fail(w, r, reasonMismatch)
		return
	}
	if q.Get("error") != "" || len(q["code"]) != 1 {
		fail(w, r, reasonDenied)
		return
	}
	ctx, cancel := context.WithTimeout(oidc.ClientContext(r.Context(), f.provider.http), callLimit)
	defer cancel()
	who, err := f.exchange(ctx, q.Get("code"), s)
	if err != nil {
		s.cfg.Logger.Warn().Err(err).Str(fieldIssuer, f.provider.URL).Msg("sign-in failed")
		fail(w, r, reasonMismatch)
		return
	}
	if before, had := only(r, s.cookie); had {
		s.store.end(before)
	}
	http.SetCookie(w, cookie(s.cookie, s.store.begin(who), int(s.cfg.Absolute.Seconds()), http.SameSiteStrictMode))
	s.cfg.Logger.Info().Str(fieldIssuer, who.Issuer).Str("subject", who.Subject).Msg("signed in")
	redirect(w, r, f.back)
}

var errAnswer = errors.New("the answer of the issuer")

// exchange redeems the code and reads whom the issuer vouches for.
func (f flow) exchange(ctx context.Context, code string, s *Sessions) (Identity, error) {
	known, config, err := f.provider.discover(ctx)
	if err != nil {
		return Identity{}, err
	}
	token, err := config.Exchange(ctx, code, oauth2.VerifierOption(f.verifier))
	if err != nil {
		return Identity{}, fmt.Errorf("%w: redeem the code: %w", errAnswer, err)
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return Identity{}, fmt.Errorf("%w has no id_token", errAnswer)
	}
	id, err := known.Verifier(&oidc.Config{ClientID: f.provider.ClientID, Now: s.cfg.Now}).Verify(ctx, raw)
	if err != nil {
		return Identity{}, fmt.Errorf("%w: %w", errAnswer, err)
	}
	var claims struct {
		Party string `json:"azp"`
		Name  string `json:"name"`
	}
	if err := id.Claims(&claims); err != nil {
		return Identity{}, fmt.Errorf("%w: claims: %w", errAnswer, err)
	}
	switch {
	case id.Issuer != f.provider.URL:
		return Identity{}, fmt.Errorf("%w is by issuer %q", errAnswer, id.Issuer)
	case subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(f.nonce)) != 1:
		return Identity{}, fmt.Errorf("%w has another nonce", errAnswer)
	case len(id.Audience) > 1 && claims.Party != f.provider.ClientID || claims.Party != "" && claims.Party != f.provider.ClientID:
		return Identity{}, fmt.Errorf("%w is for the party %q", errAnswer, claims.Party)
	case id.Subject == "" || len(id.Subject) > 255:
		return Identity{}, fmt.Errorf("%w has a subject of %d bytes", errAnswer, len(id.Subject))
	}
	return Identity{Issuer: id.Issuer, ClientID: f.provider.ClientID, Subject: id.Subject, Name: named(claims.Name)}, nil
}

// named is a name as an issuer tells it, for pages: cut to a length, and text whatever it was.
func named(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), 200)], "")
}

func fail(w http.ResponseWriter, r *http.Request, reason string) {
	redirect(w, r, "/?sign_in_error="+reason)
}

func redirect(w http.ResponseWriter, r *http.Request, to string) {
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, to, http.StatusSeeOther) //nolint:gosec // G710: a path that local checked, or the address of a configured issuer
}
