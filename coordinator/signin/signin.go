// Package signin signs people in on the web by OpenID Connect (code flow with PKCE, state and nonce) and keeps their sessions, which are
// cookies that a page cannot read. Who a session is lies in the manifests; a session says only which issuer vouches for which subject.
//
// Invariant: a session counts only for a request of this origin to this host, with the page's header; it ends after a time without calls, and
// after a longer time whatever happens. It signs nothing. Sessions live in the memory of one coordinator: elsewhere people sign in again.
//
// Sees: metadata
package signin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"concordat.dev/protocol/gen/concordat/v1/concordatv1connect"
)

// The limits of what is kept, and for how long by default.
const (
	DefaultIdle     = 30 * time.Minute
	DefaultAbsolute = 12 * time.Hour
	maxSessions     = 20_000
	maxOfOne        = 20 // sessions of one subject
	maxFlows        = 5_000
	flowLimit       = 10 * time.Minute
	callLimit       = 15 * time.Second // of calls to an issuer
)

// HeaderPage must be there, as "1", on each request that wants a session: no form and no link of another origin can set it.
const HeaderPage = "Concordat-Page"

// The paths of this package, on the coordinator's own origin.
const (
	Prefix       = "/signin/"
	startPath    = Prefix + "start"
	callbackPath = Prefix + "callback"
)

// Issuer is an identity provider that this coordinator may speak to. It counts for whoever names it in a manifest, with this client.
type Issuer struct {
	URL      string
	ClientID string
	Secret   string // empty for public clients
}

// Persona is a made-up person who signs in by one click, in the demo.
type Persona struct {
	Label    string
	Issuer   string
	ClientID string
	Subject  string
}

// Config of Sessions.
type Config struct {
	External *url.URL // https://HOST[:PORT] under which people reach this coordinator
	Issuers  []Issuer
	Personas []Persona
	Idle     time.Duration // DefaultIdle when 0
	Absolute time.Duration // DefaultAbsolute when 0
	Now      func() time.Time
	Logger   zerolog.Logger
	HTTP     *http.Client // for issuers; a plain one when nil
}

// ErrConfig says that a configuration cannot be served.
var ErrConfig = errors.New("invalid sign-in configuration")

// Validate says what is wrong with c.
func (c Config) Validate() error {
	var errs []error
	if e := c.External; e == nil || e.Scheme != "https" || e.Host == "" || e.User != nil || strings.Trim(e.Path, "/") != "" || e.RawQuery != "" || e.Fragment != "" {
		errs = append(errs, fmt.Errorf("%w: external_url: write https://HOST[:PORT]", ErrConfig))
	}
	for i, x := range c.Issuers {
		u, err := url.Parse(x.URL)
		if err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
			errs = append(errs, fmt.Errorf("%w: issuers[%d].issuer: %.100q: write https://HOST[/PATH]", ErrConfig, i, x.URL))
		}
		if x.ClientID == "" {
			errs = append(errs, fmt.Errorf("%w: issuers[%d].client_id: missing", ErrConfig, i))
		}
	}
	if c.Idle < 0 || c.Absolute < 0 || c.Idle > 24*time.Hour || c.Absolute > 7*24*time.Hour {
		errs = append(errs, fmt.Errorf("%w: idle is at most 24h, absolute at most 168h", ErrConfig))
	}
	return errors.Join(errs...)
}

func loopback(host string) bool { return host == "localhost" || host == "127.0.0.1" || host == "::1" }

// Identity is whom an issuer vouched for.
type Identity struct {
	Issuer   string
	ClientID string
	Subject  string
	Name     string // as the issuer calls them; no authority
}

// Caller names an identity in logs and the audit trail.
func (i Identity) Caller() string { return "oidc:" + i.Issuer + "#" + i.Subject }

// Session is a signed-in page.
type Session struct {
	Identity
	Expires     time.Time // whatever happens
	IdleExpires time.Time // unless a call is made before
}

type contextKey struct{}

// From is the session of a request that Admit let through, if it has one.
func From(ctx context.Context) (Session, bool) {
	s, ok := ctx.Value(contextKey{}).(Session)
	return s, ok
}

// Sessions signs in, keeps sessions and ends them. It is safe for concurrent use.
type Sessions struct {
	cfg       Config
	providers map[string]*provider // by issuer and client
	store     *store
	cookie    string
	flow      string
}

// New makes a store without sessions; nothing is asked of any issuer before somebody signs in.
func New(cfg Config) (*Sessions, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Idle == 0 {
		cfg.Idle = DefaultIdle
	}
	if cfg.Absolute == 0 {
		cfg.Absolute = DefaultAbsolute
	}
	if cfg.HTTP == nil {
		cfg.HTTP = &http.Client{Timeout: callLimit}
	}
	s := &Sessions{cfg: cfg, providers: map[string]*provider{}, store: newStore(cfg.Now, cfg.Idle, cfg.Absolute)}
	for _, i := range cfg.Issuers {
		s.providers[i.key()] = &provider{Issuer: i, http: cfg.HTTP, redirect: cfg.External.Scheme + "://" + cfg.External.Host + callbackPath}
	}
	suffix := ""
	if p := cfg.External.Port(); p != "" { // cookies do not tell ports apart
		suffix = "-" + p
	}
	s.cookie, s.flow = "__Host-concordat"+suffix, "__Host-concordat-signin"+suffix
	return s, nil
}

func (i Issuer) key() string { return i.URL + "\n" + i.ClientID }

// External is the origin under which people reach this coordinator.
func (s *Sessions) External() *url.URL { return s.cfg.External }

// Knows says whether this coordinator can sign people in by an issuer.
func (s *Sessions) Knows(issuer, client string) bool {
	return s.providers[Issuer{URL: issuer, ClientID: client}.key()] != nil
}

// URL is the path at which signing in by an issuer begins.
func (s *Sessions) URL(issuer, client string) string {
	return startPath + "?" + url.Values{"issuer": {issuer}, "client": {client}}.Encode()
}

// Personas are the made-up people, with the paths at which they sign in.
func (s *Sessions) Personas(each func(label, path string, p Persona)) {
	for _, p := range s.cfg.Personas {
		q := url.Values{"issuer": {p.Issuer}, "client": {p.ClientID}, "hint": {p.Subject}}
		each(p.Label, startPath+"?"+q.Encode(), p)
	}
}

// Origins are those of the issuers.
func (s *Sessions) Origins() []string {
	var out []string
	for _, i := range s.cfg.Issuers {
		u, err := url.Parse(i.URL)
		if err == nil && !slices.Contains(out, u.Scheme+"://"+u.Host) {
			out = append(out, u.Scheme+"://"+u.Host)
		}
	}
	return out
}

// Admit puts the session of a request into its context. A request without one, to another host, or without the page's header goes on
// without: it is nobody's. Requests whose signature counts need none. A page that only asks for its session, as it does now and then by
// itself, does not make it last longer.
func (s *Sessions) Admit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(HeaderPage) == "1" && strings.EqualFold(r.Host, s.cfg.External.Host) {
			if c, ok := only(r, s.cookie); ok {
				if session, live := s.store.find(c, r.URL.Path != concordatv1connect.SessionServiceGetProcedure); live {
					r = r.WithContext(context.WithValue(r.Context(), contextKey{}, session))
				}
			}
		}
		next.ServeHTTP(w, r)
	})
}

// only is the value of a cookie that is there once. Two of one name are a sign that somebody else set one.
func only(r *http.Request, name string) (string, bool) {
	all := r.CookiesNamed(name)
	if len(all) != 1 {
		return "", false
	}
	return all[0].Value, true
}

// End ends the session of a request, and has the browser forget its cookie by the header that it returns.
func (s *Sessions) End(header http.Header) string {
	r := http.Request{Header: header}
	if c, ok := only(&r, s.cookie); ok {
		s.store.end(c)
	}
	return cookie(s.cookie, "", -1, http.SameSiteStrictMode).String()
}

func cookie(name, value string, age int, site http.SameSite) *http.Cookie {
	return &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: age, Secure: true, HttpOnly: true, SameSite: site} //nolint:gosec // G124: strict, or lax for the answer of an issuer
}
