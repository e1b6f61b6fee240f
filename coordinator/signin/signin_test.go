package signin

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

func sessions(t *testing.T, now func() time.Time) *Sessions {
	t.Helper()
	s, err := New(Config{
		External: &url.URL{Scheme: "https", Host: "room.example"}, Idle: 10 * time.Minute, Absolute: time.Hour, Now: now,
		Issuers: []Issuer{{URL: "https://id.clinic.example", ClientID: "room"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// live says whether a request with these cookies has a session.
func live(s *Sessions, edit func(*http.Request), cookies ...*http.Cookie) bool {
	r := httptest.NewRequest(http.MethodPost, "https://room.example/concordat.v1.AnalystService/Budget", nil)
	r.Header.Set(HeaderPage, "1")
	for _, c := range cookies {
		r.AddCookie(c)
	}
	if edit != nil {
		edit(r)
	}
	found := false
	s.Admit(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, found = From(r.Context()) })).ServeHTTP(httptest.NewRecorder(), r)
	return found
}

func TestSessionsEndByIdlenessAndByAge(t *testing.T) {
	now := time.Unix(1e9, 0)
	s := sessions(t, func() time.Time { return now })
	c := &http.Cookie{Name: s.cookie, Value: s.store.begin(Identity{Subject: "ann"})}
	for range 6 { // used every nine minutes: age ends it
		if !live(s, nil, c) {
			t.Fatalf("it ended at %s", now)
		}
		now = now.Add(9*time.Minute + 59*time.Second)
	}
	if now = now.Add(6 * time.Second); live(s, nil, c) {
		t.Error("older than an hour")
	}
	c.Value = s.store.begin(Identity{Subject: "ann"})
	now = now.Add(9 * time.Minute)
	if !live(s, func(r *http.Request) { r.URL.Path = "/concordat.v1.SessionService/Get" }, c) {
		t.Error("idle for nine minutes")
	}
	if now = now.Add(time.Minute); live(s, nil, c) {
		t.Error("idle for ten minutes, in which the page asked by itself")
	}
}

func TestASessionCountsForItsPageOnly(t *testing.T) {
	s := sessions(t, time.Now)
	c := &http.Cookie{Name: s.cookie, Value: s.store.begin(Identity{Subject: "ann"})}
	if s.cookie != "__Host-concordat" || !live(s, nil, c) {
		t.Fatal("no session")
	}
	for name, edit := range map[string]func(*http.Request){
		"without the header": func(r *http.Request) { r.Header.Del(HeaderPage) },
		"another header":     func(r *http.Request) { r.Header.Set(HeaderPage, "true") },
		"another host":       func(r *http.Request) { r.Host = "evil.example" },
		"another port":       func(r *http.Request) { r.Host = "room.example:8443" },
		"two cookies":        func(r *http.Request) { r.AddCookie(&http.Cookie{Name: s.cookie, Value: "x"}) },
	} {
		if live(s, edit, c) {
			t.Error(name)
		}
	}
	h := http.Header{}
	h.Add("Cookie", c.String())
	if set := s.End(h); !strings.Contains(set, "Max-Age=0") || live(s, nil, c) {
		t.Errorf("signed out: %s", set)
	}
}

func TestWhatIsKeptIsBounded(t *testing.T) {
	now := time.Unix(1e9, 0)
	s := sessions(t, func() time.Time { return now })
	first := s.store.begin(Identity{Subject: "ann"})
	for range maxOfOne {
		now = now.Add(time.Second)
		s.store.begin(Identity{Subject: "ann"})
	}
	if _, ok := s.store.find(first, false); ok || len(s.store.sessions) != maxOfOne {
		t.Errorf("%d sessions of one person, the oldest among them: %v", len(s.store.sessions), ok)
	}
	secret := s.store.start(flow{state: "a"})
	if f, ok := s.store.take(secret); !ok || f.state != "a" {
		t.Error("the sign-in is not there")
	}
	if _, ok := s.store.take(secret); ok {
		t.Error("a sign-in is there twice")
	}
	secret = s.store.start(flow{})
	now = now.Add(flowLimit)
	if _, ok := s.store.take(secret); ok {
		t.Error("a sign-in that took too long")
	}
	for range maxFlows + 10 {
		s.store.start(flow{})
	}
	if len(s.store.flows) > maxFlows {
		t.Errorf("%d sign-ins", len(s.store.flows))
	}
}

func TestConfig(t *testing.T) {
	good := func() Config {
		return Config{External: &url.URL{Scheme: "https", Host: "room.example"}, Issuers: []Issuer{{URL: "https://id.example/realm", ClientID: "c"}}}
	}
	if err := good().Validate(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*Config){
		"no address":         func(c *Config) { c.External = nil },
		"without TLS":        func(c *Config) { c.External.Scheme = "http" },
		"a path":             func(c *Config) { c.External.Path = "/x" },
		"an issuer in clear": func(c *Config) { c.Issuers[0].URL = "http://id.example" },
		"no client":          func(c *Config) { c.Issuers[0].ClientID = "" },
		"forever":            func(c *Config) { c.Absolute = 1000 * time.Hour },
	} {
		c := good()
		if change(&c); c.Validate() == nil {
			t.Error(name)
		}
	}
}

// An issuer that does not answer is asked once in a while, and a browser that goes away does not fail the others.
func TestSilentIssuer(t *testing.T) {
	asked, down := 0, true
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked++; down {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		base := "http://" + r.Host
		_, _ = w.Write([]byte(`{"issuer":"` + base + `","authorization_endpoint":"` + base + `/a","token_endpoint":"` + base + `/t","jwks_uri":"` + base + `/k"}`))
	}))
	defer issuer.Close()
	p := &provider{Issuer: Issuer{URL: issuer.URL, ClientID: "c"}, http: issuer.Client()}
	for range 3 {
		if _, _, err := p.discover(t.Context()); err == nil {
			t.Error("a silent issuer is known")
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
	down, p.tried = false, p.tried.Add(-silent)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, config, err := p.discover(gone); err != nil || config.Endpoint.AuthURL != issuer.URL+"/a" {
		t.Error(config, err)
	}
}

// A long name that is cut within a character is still text, which a page's answer has to be.
func TestNamesAreText(t *testing.T) {
	for in, want := range map[string]string{"Ann": "Ann", strings.Repeat("x", 199) + "ü": strings.Repeat("x", 199), "a\xffb": "ab"} {
		if got := named(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}
