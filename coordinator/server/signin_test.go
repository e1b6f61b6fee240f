package server_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"concordat.dev/coordinator/server"
	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/marble"
	"concordat.dev/protocol/statement"
	"concordat.dev/protocol/webauthn/webauthntest"
	"concordat.dev/ui/demo/idp"
)

const client = "room-client"

// web is a mesh whose people sign in on pages: each organisation has an issuer. The registry's also vouches for an "ann" of its own.
type web struct {
	*mesh
	issuers string // base of their URLs
	form    document.SignedForm
	passkey webauthntest.Passkey // dana's
}

func newWeb(t *testing.T, change func(*server.SignIn), manifest ...func(*document.Bundle)) *web {
	t.Helper()
	address := ports(t, 1)[0]
	w := &web{issuers: "http://" + address, passkey: webauthntest.New(t, "localhost")}
	secret := filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(secret, []byte("s3cret&+ \n"), 0o600))
	var redirects []string
	w.mesh = newMesh(t, 1, func(c *server.Config) {
		c.SignIn = &server.SignIn{ExternalURL: page(c.Listen.API), Issuers: []server.Issuer{
			{Issuer: w.issuers + "/clinic", ClientID: client, ClientSecretFile: secret}, {Issuer: w.issuers + "/registry", ClientID: client, ClientSecretFile: secret},
		}}
		if change != nil {
			change(c.SignIn)
		}
		redirects = append(redirects, page(c.Listen.API)+"/signin/callback")
	})
	people := func(subjects ...string) (out []idp.Persona) {
		for _, s := range subjects {
			out = append(out, idp.Persona{Subject: s, Name: strings.ToUpper(s), Role: "made up"})
		}
		return out
	}
	p, err := idp.Listen(t.Context(), idp.Config{Listen: address, Issuers: []idp.Issuer{
		{ID: "clinic", Name: "Clinic", ClientID: client, Secret: "s3cret&+", Redirects: redirects, Personas: people("dana", "ann", "nobody")},
		{ID: "registry", Name: "Registry", ClientID: client, Secret: "s3cret&+", Redirects: redirects, Personas: people("ann", "alex")},
	}})
	must(t, err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Serve(ctx) }()
	t.Cleanup(func() { stop(); must(t, <-done) })
	w.form = w.manifest(1, func(b *document.Bundle) {
		for i, part := range b.Manifest.Participants {
			b.Manifest.Participants[i].OIDC = &document.OIDC{Issuer: p.URL(part.ID), ClientID: client}
		}
		for i := range b.Manifest.People {
			b.Manifest.People[i].Subject, _, _ = strings.Cut(b.Manifest.People[i].ID, "@")
		}
		b.Manifest.People[0].Keys = append(b.Manifest.People[0].Keys, w.passkey.Public(t).String())
		for _, m := range manifest {
			m(b)
		}
	})
	w.activate(1, w.form)
	return w
}

// page is where browsers find a coordinator: by a name.
func page(api string) string { return "https://localhost:" + api[strings.LastIndex(api, ":")+1:] }

// browser is one person's, at the pages of coordinator i.
type browser struct {
	*web
	origin string
	http   *http.Client
	jar    *cookiejar.Jar
}

func (w *web) browser(i int) *browser {
	w.t.Helper()
	jar, err := cookiejar.New(nil)
	must(w.t, err)
	transport := &http.Transport{TLSClientConfig: marble.ClientConfig(canon.Sum(w.ca.Root.Raw), marble.Coordinator), ForceAttemptHTTP2: true}
	w.t.Cleanup(transport.CloseIdleConnections)
	return &browser{web: w, origin: page(w.configs[i].Listen.API), jar: jar, http: &http.Client{Jar: jar, Transport: transport}}
}

// do makes a request; the headers come in pairs.
func (b *browser) do(method, path, body string, header ...string) (*http.Response, string) {
	b.t.Helper()
	if !strings.Contains(path, "://") {
		path = b.origin + path
	}
	r, err := http.NewRequestWithContext(b.ctx(), method, path, strings.NewReader(body))
	must(b.t, err)
	for i := 0; i < len(header); i += 2 {
		if r.Header.Set(header[i], header[i+1]); header[i] == "Host" {
			r.Host = header[i+1]
		}
	}
	res, err := b.http.Do(r)
	must(b.t, err)
	defer func() { must(b.t, res.Body.Close()) }()
	text, err := io.ReadAll(res.Body)
	must(b.t, err)
	return res, string(text)
}

var ofPage = []string{"Content-Type", "application/json", "Concordat-Page", "1", "Sec-Fetch-Site", "same-origin"}

func with(header ...string) []string { return append(ofPage[:len(ofPage):len(ofPage)], header...) }

// call makes a call of the page and tells the HTTP status.
func (b *browser) call(method, body string) (int, string) {
	b.t.Helper()
	res, text := b.do(http.MethodPost, "/concordat.v1."+method, body, ofPage...)
	return res.StatusCode, text
}

// session is what tests read of it.
type session struct {
	Mode, HostTrust, Person, Signing, RpID, Reason, DisplayName string
	SignedIn                                                    bool
	SignIn                                                      []struct{ URL, Label string }
	Memberships                                                 []struct {
		Roles []string
		Off   string
	}
}

func (b *browser) session() (s session) {
	b.t.Helper()
	code, text := b.call("SessionService/Get", "{}")
	must(b.t, json.Unmarshal([]byte(text), &s))
	if code != http.StatusOK {
		b.t.Fatalf("session: HTTP %d %s", code, text)
	}
	return s
}

func (b *browser) startURL(issuer string) string {
	return "/signin/start?" + url.Values{"issuer": {b.issuers + "/" + issuer}, "client": {client}, "return": {"/query?x=1"}}.Encode()
}

// signIn goes from the page to the issuer, chooses a person there, and comes back.
func (b *browser) signIn(issuer, subject string) string {
	b.t.Helper()
	res, text := b.do(http.MethodGet, b.startURL(issuer), "")
	if res.StatusCode != http.StatusOK || !strings.HasPrefix(res.Request.URL.String(), b.issuers) || !strings.Contains(text, "made up") {
		b.t.Fatalf("at %s: %s", res.Request.URL, res.Status)
	}
	next := *res.Request.URL
	q := next.Query()
	q.Set("login_hint", subject)
	next.RawQuery = q.Encode()
	res, _ = b.do(http.MethodGet, next.String(), "")
	return strings.TrimPrefix(res.Request.URL.String(), b.origin)
}

func (b *browser) budget() int {
	b.t.Helper()
	code, _ := b.call("AnalystService/Budget", `{"collaboration":"room"}`)
	return code
}

func TestPeopleSignInByTheIssuerOfTheirParticipant(t *testing.T) {
	w := newWeb(t, nil)
	b := w.browser(0)
	if s := b.session(); s.SignedIn || s.Mode != "hosted" || s.HostTrust == "" || len(s.SignIn) != 2 || s.RpID != "localhost" || b.budget() != http.StatusUnauthorized {
		t.Errorf("before: %+v", s)
	}
	if at := b.signIn("clinic", "ann"); at != "/query?x=1" {
		t.Fatalf("came back to %s", at)
	}
	if s := b.session(); s.Person != "ann@clinic" || s.Signing != "passkey" || s.DisplayName != "ANN" || len(s.Memberships) != 1 || s.Memberships[0].Roles[0] != "analyst" {
		t.Errorf("%+v", s)
	}
	if code := b.budget(); code != http.StatusOK {
		t.Errorf("budget: HTTP %d", code)
	}
	if code, _ := b.call("AuditorService/Entries", `{"collaboration":"room"}`); code != http.StatusForbidden {
		t.Errorf("an analyst reads the log: HTTP %d", code)
	}
	if res, _ := b.do(http.MethodPost, "/concordat.v1.AnalystService/Budget", `{"collaboration":"room"}`, "Content-Type", "application/json"); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("without the page's header: %s", res.Status)
	}
	elsewhere := &browser{web: w, origin: page(w.configs[1].Listen.API), jar: b.jar, http: b.http}
	if code := elsewhere.budget(); code != http.StatusUnauthorized {
		t.Errorf("a session counts at another coordinator: HTTP %d", code)
	}
	if code, text := b.call("SessionService/SignOut", "{}"); code != http.StatusOK || b.session().SignedIn || b.budget() != http.StatusUnauthorized {
		t.Errorf("signed out: HTTP %d %s, still somebody", code, text)
	}
}

// An issuer speaks for the people of the participant that named it, and for nobody else.
func TestAnotherIssuersSubjectIsNobody(t *testing.T) {
	w := newWeb(t, nil)
	for issuer, subject := range map[string]string{"registry": "ann", "clinic": "nobody"} {
		b := w.browser(0)
		b.signIn(issuer, subject)
		s := b.session()
		if code := b.budget(); !s.SignedIn || s.Person != "" || s.Reason == "" || code != http.StatusForbidden {
			t.Errorf("%s of %s: HTTP %d, %+v", subject, issuer, code, s)
		}
	}
}

func TestOffBoardingEndsASessionsAuthorityAtOnce(t *testing.T) {
	w := newWeb(t, nil)
	b := w.browser(2)
	b.signIn("clinic", "ann")
	if code := b.budget(); code != http.StatusOK {
		t.Fatalf("HTTP %d", code)
	}
	must(t, w.tell("clinic", w.form, statement.Offboard, func(s *statement.Statement) { s.Person = "ann@clinic" }))
	if code := b.budget(); code != http.StatusForbidden {
		t.Errorf("HTTP %d", code)
	}
	if s := b.session(); len(s.Memberships) != 1 || s.Memberships[0].Off == "" || len(s.Memberships[0].Roles) != 0 {
		t.Errorf("%+v", s)
	}
}

// cookieOf is the session's cookie.
func (b *browser) cookieOf() (name, value string) {
	b.t.Helper()
	u, err := url.Parse(b.origin)
	must(b.t, err)
	for _, c := range b.jar.Cookies(u) {
		if strings.HasPrefix(c.Name, "__Host-concordat-") && !strings.Contains(c.Name, "signin") {
			return c.Name, c.Value
		}
	}
	return "", ""
}

func TestSignInRotatesTheSession(t *testing.T) {
	w := newWeb(t, nil)
	b := w.browser(0)
	u, err := url.Parse(b.origin)
	must(t, err)
	name := "__Host-concordat-" + u.Port()
	b.jar.SetCookies(u, []*http.Cookie{{Name: name, Value: "chosen-by-somebody-else", Path: "/", Secure: true}})
	b.signIn("clinic", "ann")
	got, first := b.cookieOf()
	if got != name || first == "" || first == "chosen-by-somebody-else" {
		t.Errorf("%s=%s", got, first)
	}
	b.signIn("clinic", "dana")
	if _, second := b.cookieOf(); second == first || b.session().Person != "dana@clinic" {
		t.Error("the second sign-in kept the session of the first")
	}
	old := w.browser(0)
	for _, value := range []string{first, "chosen-by-somebody-else"} {
		old.jar.SetCookies(u, []*http.Cookie{{Name: name, Value: value, Path: "/", Secure: true}})
		if old.session().SignedIn {
			t.Errorf("%s still is a session", value)
		}
	}
}

// Whatever comes back from an issuer counts once, in the browser that asked, for what it asked.
func TestForgedAndReplayedAnswersOfAnIssuer(t *testing.T) {
	w := newWeb(t, nil)
	// begun stops at the issuer's answer.
	begun := func(b *browser, issuer string) *url.URL {
		t.Helper()
		var answer *url.URL
		b.http.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
			if r.URL.Path == "/signin/callback" {
				answer = r.URL
				return http.ErrUseLastResponse
			}
			return nil
		}
		b.signIn(issuer, "ann")
		b.http.CheckRedirect = nil
		if answer == nil {
			t.Fatal("no answer")
		}
		return answer
	}
	fails := func(name string, b *browser, answer *url.URL) {
		t.Helper()
		if res, _ := b.do(http.MethodGet, answer.String(), ""); !strings.Contains(res.Request.URL.RawQuery, "sign_in_error=") || b.session().SignedIn {
			t.Errorf("%s: at %s, signed in: %v", name, res.Request.URL, b.session().SignedIn)
		}
	}
	edit := func(u *url.URL, change func(url.Values)) *url.URL {
		out, q := *u, u.Query()
		change(q)
		out.RawQuery = q.Encode()
		return &out
	}
	b := w.browser(0)
	answer := begun(b, "clinic")
	fails("in another browser", w.browser(0), answer)
	if res, _ := b.do(http.MethodGet, answer.String(), ""); !b.session().SignedIn {
		t.Fatalf("in its own: at %s", res.Request.URL)
	}
	b.call("SessionService/SignOut", "{}")
	fails("again", b, answer)
	for name, change := range map[string]func(url.Values){
		"another state":  func(q url.Values) { q.Set("state", "forged") },
		"no state":       func(q url.Values) { q.Del("state") },
		"two states":     func(q url.Values) { q.Add("state", q.Get("state")) },
		"another code":   func(q url.Values) { q.Set("code", "forged") },
		"another issuer": func(q url.Values) { q.Set("iss", w.issuers+"/registry") },
		"an error":       func(q url.Values) { q.Set("error", "access_denied") },
	} {
		b := w.browser(0)
		fails(name, b, edit(begun(b, "clinic"), change))
	}
	attacker, victim := w.browser(0), w.browser(0)
	stolen := begun(attacker, "clinic").Query().Get("code")
	fails("a code of somebody else", victim, edit(begun(victim, "clinic"), func(q url.Values) { q.Set("code", stolen) }))
	other := w.browser(0)
	fails("an answer to another coordinator", other, func() *url.URL {
		u := begun(other, "clinic")
		u.Host = strings.TrimPrefix(page(w.configs[1].Listen.API), "https://")
		return u
	}())
}

func TestSignInGoesNowhereElse(t *testing.T) {
	w := newWeb(t, nil)
	for _, back := range []string{"https://evil.example/", "//evil.example", `/\evil.example`, "javascript:alert(1)", "/signin/start?issuer=x", "x"} {
		b := w.browser(0)
		q := url.Values{"issuer": {w.issuers + "/clinic"}, "client": {client}, "return": {back}}
		res, _ := b.do(http.MethodGet, "/signin/start?"+q.Encode(), "")
		next := *res.Request.URL
		q = next.Query()
		q.Set("login_hint", "ann")
		next.RawQuery = q.Encode()
		if res, _ = b.do(http.MethodGet, next.String(), ""); res.Request.URL.String() != b.origin+"/" {
			t.Errorf("%s: came to %s", back, res.Request.URL)
		}
	}
	b := w.browser(0)
	for name, q := range map[string]url.Values{
		"an issuer that is not configured": {"issuer": {"https://evil.example"}, "client": {client}},
		"a client that is not configured":  {"issuer": {w.issuers + "/clinic"}, "client": {"other"}},
		"none":                             {},
	} {
		if res, _ := b.do(http.MethodGet, "/signin/start?"+q.Encode(), ""); res.Request.URL.String() != b.origin+"/?sign_in_error=unknown" {
			t.Errorf("%s: came to %s", name, res.Request.URL)
		}
	}
}

func TestSessionsExpire(t *testing.T) {
	w := newWeb(t, func(s *server.SignIn) { s.Idle, s.Absolute = time.Hour, time.Second })
	b := w.browser(0)
	b.signIn("clinic", "ann")
	for ctx := b.ctx(); b.session().SignedIn; { // each call would renew it, were it idleness that ends it
		if ctx.Err() != nil {
			t.Fatal("the session goes on")
		}
	}
	if code := b.budget(); code != http.StatusUnauthorized {
		t.Errorf("HTTP %d", code)
	}
}
