package local_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"
	"time"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/dsse"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/key"
	"concordat.dev/protocol/statement"
	"concordat.dev/ui/client"
	"concordat.dev/ui/client/clienttest"
	"concordat.dev/ui/local"
)

// machine is a person's machine with pages on it, and a browser.
type machine struct {
	t       testing.TB
	key     key.Private
	mesh    *clienttest.Coordinator
	link    string
	origin  string
	browser *http.Client
}

func start(t *testing.T, addresses ...string) *machine {
	t.Helper()
	k, err := key.Generate()
	must(t, err)
	mesh := clienttest.New(t)
	c, err := client.New(client.Config{
		Addresses: append(addresses, mesh.Address()), Root: mesh.Root(), Key: k, Ledger: mesh.Ledger, Patience: time.Second,
	})
	must(t, err)
	s, err := local.Listen(t.Context(), local.Config{Client: c, Key: k, Listen: "127.0.0.1:0"})
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		must(t, <-done)
	})
	jar, err := cookiejar.New(nil)
	must(t, err)
	return &machine{t: t, key: k, mesh: mesh, link: s.URL(), origin: s.Origin(), browser: &http.Client{Jar: jar, Transport: &http.Transport{}}}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// do makes a request of the browser; the headers come in pairs.
func (m *machine) do(method, path, body string, header ...string) (*http.Response, string) {
	m.t.Helper()
	r, err := http.NewRequestWithContext(m.t.Context(), method, m.origin+path, strings.NewReader(body))
	must(m.t, err)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
	}
	res, err := m.browser.Do(r)
	must(m.t, err)
	defer func() { must(m.t, res.Body.Close()) }()
	b, err := io.ReadAll(res.Body)
	must(m.t, err)
	return res, string(b)
}

func (m *machine) open() {
	m.t.Helper()
	if res, _ := m.do(http.MethodGet, strings.TrimPrefix(m.link, m.origin), ""); res.StatusCode != http.StatusOK || res.Request.URL.RawQuery != "" {
		m.t.Fatalf("the link: %s at %s", res.Status, res.Request.URL)
	}
}

var page = []string{"Content-Type", "application/json", "Concordat-Page", "1", "Sec-Fetch-Site", "same-origin"}

func (m *machine) call(method, body string) (*http.Response, string) {
	m.t.Helper()
	return m.do(http.MethodPost, "/concordat.v1."+method, body, page...)
}

func TestCallsAreSignedByThePersonsKey(t *testing.T) {
	m := start(t)
	m.open()
	res, body := m.call("SessionService/Get", "{}")
	var s struct {
		Mode, Signing, Person, HostTrust, RpID string
		Keys                                   []string
		SignedIn, Simulation                   bool
	}
	must(t, json.Unmarshal([]byte(body), &s))
	if res.StatusCode != http.StatusOK || s.Mode != "local" || s.Signing != "local_key" || s.HostTrust != "" || s.RpID != "" || !s.SignedIn || !s.Simulation ||
		s.Person != "dana@clinic.example" || len(s.Keys) != 2 || s.Keys[0] != m.key.Public().String() {
		t.Errorf("%s %s", res.Status, body)
	}
	m.mesh.Lists["budget"] = `[{"owner":"clinic"}]`
	if res, body := m.call("AnalystService/Budget", `{"collaboration":"room"}`); res.StatusCode != http.StatusOK || !strings.Contains(body, base64.StdEncoding.EncodeToString([]byte(m.mesh.Lists["budget"]))) {
		t.Errorf("%s %s", res.Status, body)
	}
}

func TestEventsOfAQueryPassAndBrokenOnesGoToAnotherCoordinator(t *testing.T) {
	m := start(t, "127.0.0.1:1") // nobody answers there
	m.mesh.Answer = func(*concordatv1.QueryRequest) ([]byte, []byte, error) {
		return []byte(`{"verdict":"released"}`), nil, nil
	}
	m.open()
	question := `{"collaboration":"room","sql":"SELECT 1"}`
	frame := "\x00\x00\x00\x00" + string(rune(len(question))) + question
	ask := func() string {
		t.Helper()
		_, body := m.do(http.MethodPost, "/concordat.v1.AnalystService/Query", frame, append(page[2:], "Content-Type", "application/connect+json")...)
		return body
	}
	if body := ask(); !strings.Contains(body, `"phase":"analyse"`) || !strings.Contains(body, `"answer"`) {
		t.Errorf("%q", body)
	}
	m.mesh.Fail(1)
	if body := ask(); !strings.Contains(body, `"unavailable"`) {
		t.Errorf("%q", body)
	}
	if body := ask(); !strings.Contains(body, `"answer"`) { // by way of the dead one
		t.Errorf("%q", body)
	}
}

func TestAPageThatGoesAwayCancelsItsQuery(t *testing.T) {
	m := start(t)
	gone := make(chan struct{})
	m.mesh.Begun = func(ctx context.Context) {
		<-ctx.Done()
		close(gone)
	}
	m.mesh.Answer = func(*concordatv1.QueryRequest) ([]byte, []byte, error) { return nil, nil, context.Canceled }
	m.open()
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, m.origin+"/concordat.v1.AnalystService/Query", strings.NewReader("\x00\x00\x00\x00\x02{}"))
	must(t, err)
	r.Header.Set("Content-Type", "application/connect+json")
	r.Header.Set("Concordat-Page", "1")
	res, err := m.browser.Do(r)
	must(t, err)
	var first [5]byte // the phase comes before the answer does
	_, err = io.ReadFull(res.Body, first[:])
	must(t, err)
	cancel()
	<-gone
	must(t, res.Body.Close())
}

func TestPartsOfUploadsKeepTheirDigest(t *testing.T) {
	m := start(t)
	m.open()
	_, opened := m.call("ParticipantService/OpenUpload", `{"collaboration":"room","dataset":"clinic.patients"}`)
	var upload struct{ UploadID string }
	must(t, json.Unmarshal([]byte(opened), &upload))
	part := bytes.Repeat([]byte("x"), 40<<20) // more than is held in memory to be signed
	res, body := m.do(http.MethodPut, "/upload/"+upload.UploadID+"/parts/1", string(part), "Concordat-Page", "1", "Concordat-Digest", canon.Sum(part).String())
	if res.StatusCode >= http.StatusMultipleChoices || m.mesh.Upload.Puts != 1 {
		t.Errorf("%s %s, opened %s", res.Status, body, opened)
	}
}

func TestSignSignsCanonicalStatementsOfThisLedgerOnly(t *testing.T) {
	m := start(t)
	m.open()
	said := statement.Statement{
		Type: statement.Type, Action: statement.Pause, Ledger: m.mesh.Ledger, Collaboration: "room", Version: 1, Subject: canon.Sum([]byte("m")),
		Reason: "holiday", Nonce: strings.Repeat("ab", 16), Issued: "2026-01-01T00:00:00Z",
	}
	sign := func(kind string, payload []byte) (int, []byte) {
		t.Helper()
		request, err := json.Marshal(map[string]any{"kind": kind, "payload": payload})
		must(t, err)
		res, body := m.call("SessionService/Sign", string(request))
		var out struct{ Envelope []byte }
		must(t, json.Unmarshal([]byte(body), &out))
		return res.StatusCode, out.Envelope
	}
	payload, err := canon.Marshal(said)
	must(t, err)
	code, raw := sign("statement", payload)
	if code != http.StatusOK {
		t.Fatal(code, string(raw))
	}
	e, err := dsse.Parse(raw)
	must(t, err)
	if got, signers, err := statement.Verify(e, []key.Public{m.key.Public()}); err != nil || got != said || len(signers) != 1 {
		t.Errorf("%+v %v %v", got, signers, err)
	}
	elsewhere := said
	elsewhere.Ledger = strings.Repeat("cd", 16)
	other, err := canon.Marshal(elsewhere)
	must(t, err)
	for name, c := range map[string]struct {
		kind    string
		payload []byte
	}{
		"another ledger":     {"statement", other},
		"not canonical":      {"statement", append([]byte(" "), payload...)},
		"of another kind":    {"upload", payload},
		"no kind":            {"", payload},
		"any bytes":          {"statement", []byte("hello")},
		"an unknown field":   {"statement", bytes.Replace(payload, []byte(`"nonce"`), []byte(`"nonc"`), 1)},
		"somebody else's":    {"enrolment", []byte(`{"issued":"2026-01-01T00:00:00Z","key":"ed25519:x","participant":"clinic","person":"eve@clinic","type":"concordat.dev/enrolment/v1"}`)},
		"request of the CLI": {"statement", []byte("concordat.dev/request/v1\nPOST\n")},
	} {
		if code, raw := sign(c.kind, c.payload); code != http.StatusBadRequest || raw != nil {
			t.Errorf("%s: HTTP %d %s", name, code, raw)
		}
	}
}

// Whatever a page of another origin, another program without the link, or another name for this address sends, nothing comes of it.
func TestHostilePagesGetNowhere(t *testing.T) {
	m := start(t)
	get := "/concordat.v1.SessionService/Get"
	for name, header := range map[string][]string{
		"no cookie":          page,
		"a forged cookie":    append(page[:len(page):len(page)], "Cookie", "concordat-"+m.origin[strings.LastIndex(m.origin, ":")+1:]+"=x"),
		"another host":       append(page[:len(page):len(page)], "Host", "evil.example"),
		"no cookie, no page": {"Content-Type", "application/json"},
	} {
		if res, body := m.do(http.MethodPost, get, "{}", header...); res.StatusCode < 400 {
			t.Errorf("%s: %s %s", name, res.Status, body)
		}
	}
	m.open()
	port := m.origin[strings.LastIndex(m.origin, ":")+1:]
	for name, c := range map[string]struct {
		header []string
		want   int
	}{
		"a form of another site":     {[]string{"Content-Type", "text/plain", "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, http.StatusForbidden},
		"a script of another site":   {append(page[:4:4], "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"), http.StatusForbidden},
		"another port here":          {append(page[:4:4], "Sec-Fetch-Site", "same-site", "Origin", "http://127.0.0.1:1"), http.StatusForbidden},
		"an old browser's form":      {[]string{"Content-Type", "application/json", "Origin", "https://evil.example"}, http.StatusForbidden},
		"without the page's header":  {[]string{"Content-Type", "application/json"}, http.StatusUnauthorized},
		"a name that resolves here":  {append(page[:len(page):len(page)], "Host", "evil.example:"+port), http.StatusMisdirectedRequest},
		"localhost, another origin":  {append(page[:len(page):len(page)], "Host", "localhost:"+port), http.StatusMisdirectedRequest},
		"the page itself, as a test": {page, http.StatusOK},
	} {
		res, body := m.do(http.MethodPost, get, "{}", c.header...)
		if res.StatusCode != c.want {
			t.Errorf("%s: %s, want %d: %s", name, res.Status, c.want, body)
		}
		for h := range res.Header {
			if strings.HasPrefix(h, "Access-Control-") {
				t.Errorf("%s: %s", name, h)
			}
		}
		if res.Header.Get("X-Frame-Options") != "DENY" || !strings.Contains(res.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
			t.Errorf("%s: %v", name, res.Header)
		}
	}
	if res, _ := m.do(http.MethodOptions, get, "", "Origin", "https://evil.example", "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "concordat-page"); res.StatusCode < 400 {
		t.Errorf("a preflight: %s %v", res.Status, res.Header)
	}
	// The link was used: in another browser it opens nothing.
	m.browser.Jar = nil
	if res, _ := m.do(http.MethodGet, strings.TrimPrefix(m.link, m.origin), ""); res.StatusCode != http.StatusForbidden || res.Header.Get("Set-Cookie") != "" {
		t.Errorf("the link again: %s %v", res.Status, res.Header)
	}
}

func TestOnlyLoopbackIsServed(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", ":0", "192.0.2.1:80", "example.com:80", "127.0.0.1"} {
		if s, err := local.Listen(t.Context(), local.Config{Listen: address}); err == nil {
			t.Errorf("%s: served at %s", address, s.URL())
		}
	}
}
