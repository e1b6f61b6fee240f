// Package idp is an identity provider for the demo: made-up people sign in by one click. It speaks OpenID Connect's code flow with PKCE, as
// far as coordinators ask for it, and protects nothing.
//
// Invariant: it listens on loopback and answers loopback alone. A code is redeemed once, within a minute, by the client and for the redirection
// and challenge that it was given for.
//
// Sees: metadata
package idp

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// ErrLoopback says that the demo's identity provider would be seen by others.
var ErrLoopback = errors.New("the demo's identity provider serves this machine alone: use 127.0.0.1:PORT")

// Persona is a made-up person.
type Persona struct {
	Subject string
	Name    string
	Role    string // what the page says of them
}

// Issuer is one organisation's provider, below the path /ID.
type Issuer struct {
	ID        string
	Name      string
	ClientID  string
	Secret    string
	Redirects []string // where answers may go
	Personas  []Persona
}

// Config of a Provider.
type Config struct {
	Listen  string // HOST:PORT of loopback
	Issuers []Issuer
	Now     func() time.Time // time.Now when nil
}

const (
	codeLimit     = time.Minute
	tokenLimit    = 5 * time.Minute
	headerTimeout = 5 * time.Second
	maxCodes      = 1000
)

// Provider serves all issuers.
type Provider struct {
	cfg      Config
	listener net.Listener
	base     string
	signer   jose.Signer
	public   jose.JSONWebKey

	mu    sync.Mutex
	codes map[string]code
}

// code is what was promised to a client.
type code struct {
	issuer    string
	subject   string
	redirect  string
	challenge string
	nonce     string
	expires   time.Time
}

// Listen draws a key and begins to listen; Serve serves.
func Listen(ctx context.Context, cfg Config) (*Provider, error) {
	host, _, err := net.SplitHostPort(cfg.Listen)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("%w, not %q", ErrLoopback, cfg.Listen)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	id := rand.Text()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: k, KeyID: id}}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return nil, err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("the demo's identity provider: %w", err)
	}
	return &Provider{
		cfg: cfg, listener: l, base: "http://" + l.Addr().String(), signer: signer, codes: map[string]code{},
		public: jose.JSONWebKey{Key: k.Public(), KeyID: id, Algorithm: string(jose.ES256), Use: "sig"},
	}, nil
}

// URL is the issuer of an organisation.
func (p *Provider) URL(id string) string { return p.base + "/" + id }

// Serve serves until the context ends.
func (p *Provider) Serve(ctx context.Context) error {
	s := &http.Server{Handler: p, ReadHeaderTimeout: headerTimeout}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	if err := s.Serve(p.listener); ctx.Err() == nil {
		return fmt.Errorf("the demo's identity provider: %w", err)
	}
	return nil
}

// ServeHTTP implements http.Handler.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if ip := net.ParseIP(host); err != nil || !ip.IsLoopback() || "http://"+r.Host != p.base {
		http.Error(w, ErrLoopback.Error(), http.StatusForbidden)
		return
	}
	id, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	i := slices.IndexFunc(p.cfg.Issuers, func(i Issuer) bool { return i.ID == id })
	if i < 0 {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	switch issuer := p.cfg.Issuers[i]; r.Method + " " + path {
	case "GET .well-known/openid-configuration":
		p.discovery(w, issuer)
	case "GET keys":
		answer(w, http.StatusOK, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{p.public}})
	case "GET authorize":
		p.authorize(w, r, issuer)
	case "POST token":
		p.token(w, r, issuer)
	default:
		http.NotFound(w, r)
	}
}

func (p *Provider) discovery(w http.ResponseWriter, i Issuer) {
	base := p.URL(i.ID)
	answer(w, http.StatusOK, map[string]any{
		"issuer": base, "authorization_endpoint": base + "/authorize", "token_endpoint": base + "/token", "jwks_uri": base + "/keys",
		"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"}, "scopes_supported": []string{"openid", "profile"},
		"id_token_signing_alg_values_supported": []string{"ES256"}, "code_challenge_methods_supported": []string{"S256"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic"}, "authorization_response_iss_parameter_supported": true,
	})
}

// authorize shows who there is; with a persona as login_hint it answers at once. A request that names no redirection of the client is not
// answered by a redirection.
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request, i Issuer) {
	q := r.URL.Query()
	redirect := q.Get("redirect_uri")
	if q.Get("client_id") != i.ClientID || !slices.Contains(i.Redirects, redirect) {
		http.Error(w, "client_id and redirect_uri are not those of a client of this provider", http.StatusBadRequest)
		return
	}
	back := url.Values{"state": {q.Get("state")}, "iss": {p.URL(i.ID)}}
	if q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" || len(q.Get("code_challenge")) != 43 ||
		!slices.Contains(strings.Fields(q.Get("scope")), "openid") || q.Get("state") == "" {
		back.Set("error", "invalid_request")
		http.Redirect(w, r, redirect+"?"+back.Encode(), http.StatusSeeOther) //nolint:gosec // G710: one of the client's redirections
		return
	}
	hint := q.Get("login_hint")
	if !slices.ContainsFunc(i.Personas, func(x Persona) bool { return x.Subject == hint }) {
		p.choose(w, r, i)
		return
	}
	back.Set("code", p.promise(code{
		issuer: i.ID, subject: hint, redirect: redirect, challenge: q.Get("code_challenge"), nonce: q.Get("nonce"), expires: p.cfg.Now().Add(codeLimit),
	}))
	http.Redirect(w, r, redirect+"?"+back.Encode(), http.StatusSeeOther) //nolint:gosec // G710: one of the client's redirections
}

func (p *Provider) promise(c code) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.codes) >= maxCodes {
		clear(p.codes)
	}
	text := rand.Text()
	p.codes[text] = c
	return text
}

// token redeems a code.
func (p *Provider) token(w http.ResponseWriter, r *http.Request, i Issuer) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if err := r.ParseForm(); err != nil {
		answer(w, http.StatusBadRequest, map[string]string{"error": "invalid_request"})
		return
	}
	id, secret, _ := r.BasicAuth()
	if id != url.QueryEscape(i.ClientID) || subtle.ConstantTimeCompare([]byte(secret), []byte(url.QueryEscape(i.Secret))) != 1 {
		w.Header().Set("WWW-Authenticate", `Basic realm="demo"`)
		answer(w, http.StatusUnauthorized, map[string]string{"error": "invalid_client"})
		return
	}
	p.mu.Lock()
	c, ok := p.codes[r.PostForm.Get("code")]
	delete(p.codes, r.PostForm.Get("code"))
	p.mu.Unlock()
	verifier := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
	now := p.cfg.Now()
	if !ok || c.issuer != i.ID || r.PostForm.Get("grant_type") != "authorization_code" || r.PostForm.Get("redirect_uri") != c.redirect ||
		base64.RawURLEncoding.EncodeToString(verifier[:]) != c.challenge || !now.Before(c.expires) {
		answer(w, http.StatusBadRequest, map[string]string{"error": "invalid_grant"})
		return
	}
	token, err := p.sign(map[string]any{
		"iss": p.URL(i.ID), "sub": c.subject, "aud": i.ClientID, "iat": now.Unix(), "exp": now.Add(tokenLimit).Unix(), "nonce": c.nonce, "name": i.name(c.subject),
	})
	if err != nil {
		answer(w, http.StatusInternalServerError, map[string]string{"error": "server_error"})
		return
	}
	answer(w, http.StatusOK, map[string]any{
		"access_token": rand.Text(), "token_type": "Bearer", "expires_in": int(tokenLimit.Seconds()), "id_token": token,
	})
}

func (i Issuer) name(subject string) string {
	at := slices.IndexFunc(i.Personas, func(x Persona) bool { return x.Subject == subject })
	return i.Personas[at].Name
}

func (p *Provider) sign(claims map[string]any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signed, err := p.signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the peer may be gone
}
