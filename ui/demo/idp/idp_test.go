package idp

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

const redirect = "https://localhost:7301/signin/callback"

func listen(t *testing.T, now *time.Time) *Provider {
	t.Helper()
	p, err := Listen(t.Context(), Config{Listen: "127.0.0.1:0", Now: func() time.Time { return *now }, Issuers: []Issuer{
		{ID: "clinic", Name: "the clinic", ClientID: "demo", Secret: "s", Redirects: []string{redirect}, Personas: []Persona{{"dana", "Dana <b>", "steward"}}},
		{ID: "registry", Name: "the registry", ClientID: "demo", Secret: "s", Redirects: []string{redirect}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Serve(ctx) }()
	t.Cleanup(func() {
		if stop(); <-done != nil {
			t.Error("it did not end quietly")
		}
	})
	return p
}

const verifier = "a-verifier-of-a-length-that-is-long-enough-for-pkce"

func request(change func(url.Values)) url.Values {
	sum := sha256.Sum256([]byte(verifier))
	q := url.Values{
		"response_type": {"code"}, "client_id": {"demo"}, "redirect_uri": {redirect}, "scope": {"openid profile"}, "state": {"xyz"}, "nonce": {"n"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	if change != nil {
		change(q)
	}
	return q
}

// ask sends a request and does not follow where it leads.
func ask(t *testing.T, r *http.Request) (*http.Response, string) {
	t.Helper()
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(b)
}

func get(t *testing.T, address string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	return ask(t, r)
}

func TestOneClickSignsIn(t *testing.T) {
	now := time.Unix(1e9, 0)
	p := listen(t, &now)
	res, text := get(t, p.URL("clinic")+"/authorize?"+request(nil).Encode())
	if res.StatusCode != http.StatusOK || !strings.Contains(text, "Dana &lt;b&gt;") || !strings.Contains(text, "login_hint=dana") ||
		!strings.Contains(res.Header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Fatalf("%s %s", res.Status, text)
	}
	clicked := func() url.Values {
		t.Helper()
		res, _ := get(t, p.URL("clinic")+"/authorize?"+request(func(q url.Values) { q.Set("login_hint", "dana") }).Encode())
		to, err := url.Parse(res.Header.Get("Location"))
		if err != nil || !strings.HasPrefix(to.String(), redirect+"?") || to.Query().Get("state") != "xyz" {
			t.Fatalf("%s to %s", res.Status, to)
		}
		return to.Query()
	}
	redeem := func(issuer, code string, change func(url.Values, *http.Request)) (int, string) {
		t.Helper()
		form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirect}, "code_verifier": {verifier}}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.URL(issuer)+"/token", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.SetBasicAuth("demo", "s")
		if change != nil {
			change(form, r)
		}
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(form.Encode())), int64(len(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		res, text := ask(t, r)
		return res.StatusCode, text
	}
	code := clicked().Get("code")
	status, text := redeem("clinic", code, nil)
	var token struct {
		ID string `json:"id_token"`
	}
	if err := json.Unmarshal([]byte(text), &token); err != nil || status != http.StatusOK {
		t.Fatal(status, text, err)
	}
	claims, err := base64.RawURLEncoding.DecodeString(strings.Split(token.ID, ".")[1])
	if err != nil || !strings.Contains(string(claims), `"sub":"dana"`) || !strings.Contains(string(claims), `"nonce":"n"`) {
		t.Error(string(claims), err)
	}
	if status, _ := redeem("clinic", code, nil); status != http.StatusBadRequest {
		t.Errorf("again: HTTP %d", status)
	}
	for name, change := range map[string]func(url.Values, *http.Request){
		"another verifier":    func(q url.Values, _ *http.Request) { q.Set("code_verifier", "x") },
		"another redirection": func(q url.Values, _ *http.Request) { q.Set("redirect_uri", "https://evil.example") },
		"another secret":      func(_ url.Values, r *http.Request) { r.SetBasicAuth("demo", "x") },
		"another grant":       func(q url.Values, _ *http.Request) { q.Set("grant_type", "password") },
		"too late":            func(url.Values, *http.Request) { now = now.Add(codeLimit) },
	} {
		if status, text := redeem("clinic", clicked().Get("code"), change); status < 400 {
			t.Errorf("%s: HTTP %d %s", name, status, text)
		}
	}
	if status, _ := redeem("registry", clicked().Get("code"), nil); status != http.StatusBadRequest {
		t.Errorf("at another issuer: HTTP %d", status)
	}
}

func TestRequestsThatAreNotTaken(t *testing.T) {
	now := time.Unix(1e9, 0)
	p := listen(t, &now)
	for name, change := range map[string]func(url.Values){
		"a redirection elsewhere": func(q url.Values) { q.Set("redirect_uri", "https://evil.example/") },
		"another client":          func(q url.Values) { q.Set("client_id", "x") },
	} {
		if res, _ := get(t, p.URL("clinic")+"/authorize?"+request(change).Encode()); res.StatusCode != http.StatusBadRequest || res.Header.Get("Location") != "" {
			t.Errorf("%s: %s to %s", name, res.Status, res.Header.Get("Location"))
		}
	}
	for name, change := range map[string]func(url.Values){
		"no PKCE":       func(q url.Values) { q.Del("code_challenge") },
		"plain PKCE":    func(q url.Values) { q.Set("code_challenge_method", "plain") },
		"implicit flow": func(q url.Values) { q.Set("response_type", "id_token") },
		"no state":      func(q url.Values) { q.Del("state") },
	} {
		if res, _ := get(t, p.URL("clinic")+"/authorize?"+request(change).Encode()); !strings.Contains(res.Header.Get("Location"), "error=invalid_request") {
			t.Errorf("%s: %s to %s", name, res.Status, res.Header.Get("Location"))
		}
	}
	if res, _ := get(t, p.URL("laboratory")+"/keys"); res.StatusCode != http.StatusNotFound {
		t.Error("an issuer that is not there:", res.Status)
	}
}

func TestLoopbackOnly(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:80", "localhost:0", "example.com:80"} {
		if _, err := Listen(t.Context(), Config{Listen: address}); !errors.Is(err, ErrLoopback) {
			t.Errorf("%s: %v", address, err)
		}
	}
	now := time.Unix(1e9, 0)
	p := listen(t, &now)
	for name, change := range map[string]func(*http.Request){
		"a stranger":   func(r *http.Request) { r.RemoteAddr = "192.0.2.1:5555" },
		"another name": func(r *http.Request) { r.Host = "evil.example" },
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, p.URL("clinic")+"/keys", nil)
		r.RemoteAddr = "127.0.0.1:5555"
		change(r)
		w := httptest.NewRecorder()
		if p.ServeHTTP(w, r); w.Code != http.StatusForbidden {
			t.Errorf("%s: HTTP %d", name, w.Code)
		}
	}
}
