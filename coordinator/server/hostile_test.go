package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/dsse"
	"concordat.dev/protocol/statement"
	"concordat.dev/protocol/upload"
)

// A page of another origin, a frame, or another name for this host gets nowhere with somebody's session.
func TestHostilePagesGetNowhere(t *testing.T) {
	w := newWeb(t, nil)
	b := w.browser(0)
	b.signIn("clinic", "ann")
	path, body := "/concordat.v1.AnalystService/Budget", `{"collaboration":"room"}`
	for name, c := range map[string]struct {
		header []string
		want   int
	}{
		"the page itself":                 {ofPage, http.StatusOK},
		"a form of another site":          {[]string{"Content-Type", "text/plain", "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, http.StatusForbidden},
		"a script of another site":        {with("Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"), http.StatusForbidden},
		"a page at another port":          {with("Sec-Fetch-Site", "same-site", "Origin", "https://localhost:1"), http.StatusForbidden},
		"a browser that tells its origin": {[]string{"Content-Type", "application/json", "Concordat-Page", "1", "Origin", "https://evil.example"}, http.StatusForbidden},
		"a browser that tells nothing":    {[]string{"Content-Type", "application/json"}, http.StatusUnauthorized},
		"a name that was pointed here":    {with("Host", "evil.example"), http.StatusUnauthorized},
		"the address":                     {with("Host", w.configs[0].Listen.API), http.StatusUnauthorized},
	} {
		res, text := b.do(http.MethodPost, path, body, c.header...)
		if res.StatusCode != c.want {
			t.Errorf("%s: %s, want %d: %s", name, res.Status, c.want, text)
		}
		guarded(t, name, res)
	}
	for _, path := range []string{"/", "/query", "/assets/none.js", "/healthz", "/signin/start", path} {
		for _, method := range []string{http.MethodGet, http.MethodOptions} {
			res, _ := b.do(method, path, "", "Origin", "https://evil.example", "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "concordat-page")
			guarded(t, method+" "+path, res)
			if method == http.MethodOptions && res.StatusCode < 400 {
				t.Errorf("a preflight of %s: %s", path, res.Status)
			}
		}
	}
}

// guarded checks what keeps browsers from lending a response to anybody.
func guarded(t *testing.T, name string, res *http.Response) {
	t.Helper()
	for header := range res.Header {
		if strings.HasPrefix(header, "Access-Control-") {
			t.Errorf("%s: %s", name, header)
		}
	}
	csp := res.Header.Get("Content-Security-Policy")
	if res.Header.Get("X-Frame-Options") != "DENY" || !strings.Contains(csp, "frame-ancestors 'none'") || !strings.Contains(csp, "default-src 'none'") ||
		res.Header.Get("X-Content-Type-Options") != "nosniff" || res.Header.Get("Cross-Origin-Resource-Policy") != "same-origin" {
		t.Errorf("%s: %v", name, res.Header)
	}
	for _, c := range res.Cookies() {
		if !c.HttpOnly || !c.Secure || c.Path != "/" || c.Domain != "" || c.SameSite == http.SameSiteNoneMode || !strings.HasPrefix(c.Name, "__Host-") {
			t.Errorf("%s: cookie %+v", name, c)
		}
	}
}

func (b *browser) submit(raw []byte) (int, string) {
	b.t.Helper()
	body, err := json.Marshal(map[string]any{"collaboration": room, "statement": raw})
	must(b.t, err)
	return b.call("ParticipantService/SubmitStatement", string(body))
}

// approves is dana's statement that a plan may run, signed as sign does.
func (b *browser) approves(sign func(payload []byte) dsse.Signature) []byte {
	b.t.Helper()
	payload, err := canon.Marshal(statement.Statement{
		Type: statement.Type, Action: statement.ApprovePlan, Ledger: b.ledger, Collaboration: room, Version: 1, Subject: canon.Sum([]byte("plan")),
		Nonce: newNonce(), Issued: time.Now().UTC().Format(time.RFC3339),
	})
	must(b.t, err)
	raw, err := dsse.Envelope{PayloadType: statement.PayloadType, Payload: payload, Signatures: []dsse.Signature{sign(payload)}}.Marshal()
	must(b.t, err)
	return raw
}

// Login is no authority to sign: a statement counts by its signature, and by no session.
func TestASessionSignsNothing(t *testing.T) {
	w := newWeb(t, nil, func(b *document.Bundle) { b.Manifest.Review = document.ReviewPlan })
	b := w.browser(0)
	b.signIn("clinic", "dana")
	pae := func(payload []byte) []byte { return dsse.PAE(statement.PayloadType, payload) }
	for name, sign := range map[string]func([]byte) dsse.Signature{
		"nobody's": func([]byte) dsse.Signature {
			return dsse.Signature{KeyID: w.passkey.Public(t).String(), Sig: make([]byte, 64)}
		},
		"a stranger's": func(p []byte) dsse.Signature {
			return dsse.Signature{KeyID: w.public("stranger"), Sig: w.keys["stranger"].Sign(pae(p))}
		},
		"an analyst's": func(p []byte) dsse.Signature {
			return dsse.Signature{KeyID: w.public("ann"), Sig: w.keys["ann"].Sign(pae(p))}
		},
		"over something else": func([]byte) dsse.Signature {
			return dsse.Signature{KeyID: w.passkey.Public(t).String(), Sig: w.passkey.Sign(t, []byte("else"))}
		},
	} {
		if code, text := b.submit(b.approves(sign)); code != http.StatusForbidden {
			t.Errorf("%s signature: HTTP %d %s", name, code, text)
		}
	}
	if code, _ := b.call("SessionService/Sign", `{"kind":"statement"}`); code != http.StatusForbidden {
		t.Errorf("a coordinator signs: HTTP %d", code)
	}
	if code, text := b.submit(b.approves(func(p []byte) dsse.Signature {
		return dsse.Signature{KeyID: w.passkey.Public(t).String(), Sig: w.passkey.Sign(t, pae(p))}
	})); code != http.StatusOK {
		t.Errorf("by dana's passkey: HTTP %d %s", code, text)
	}
}

// A steward uploads from a page: parts by the session, the statement by the passkey.
func TestUploadFromAPage(t *testing.T) {
	w := newWeb(t, nil)
	b := w.browser(1)
	b.signIn("clinic", "dana")
	code, text := b.call("ParticipantService/OpenUpload", `{"collaboration":"room","dataset":"clinic.patients","idempotencyKey":"k"}`)
	var opened struct {
		UploadID string
		Version  uint32
	}
	must(t, json.Unmarshal([]byte(text), &opened))
	if code != http.StatusOK {
		t.Fatalf("HTTP %d %s", code, text)
	}
	part := bytes.Repeat([]byte("ciphertext"), 1000)
	path := fmt.Sprintf("/upload/%s/parts/1", opened.UploadID)
	for name, c := range map[string]struct {
		header []string
		want   int
	}{
		"without a digest":      {[]string{"Concordat-Page", "1"}, http.StatusBadRequest},
		"with another digest":   {[]string{"Concordat-Page", "1", "Concordat-Digest", canon.Sum([]byte("x")).String()}, http.StatusBadRequest},
		"without being a page":  {[]string{"Concordat-Digest", canon.Sum(part).String()}, http.StatusUnauthorized},
		"from another site":     {[]string{"Concordat-Page", "1", "Sec-Fetch-Site", "cross-site", "Concordat-Digest", canon.Sum(part).String()}, http.StatusForbidden},
		"with the right digest": {[]string{"Concordat-Page", "1", "Concordat-Digest", canon.Sum(part).String()}, http.StatusNoContent},
	} {
		if res, text := b.do(http.MethodPut, path, string(part), c.header...); res.StatusCode != c.want {
			t.Errorf("a part %s: %s, want %d: %s", name, res.Status, c.want, text)
		}
	}
	e, err := upload.Sign(upload.Statement{
		Target: upload.Target{Ledger: w.ledger, Collaboration: room, Manifest: w.form.Digest(), Dataset: "clinic.patients", Version: opened.Version, Upload: opened.UploadID},
		Format: upload.CSV, Columns: []string{"id"}, Parts: []upload.Part{{Digest: canon.Sum(part), Size: int64(len(part))}}, Client: "page",
		Issued: time.Now().UTC().Format(time.RFC3339), Report: "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj",
	}, w.keys["ann"])
	must(t, err)
	complete := func() string {
		t.Helper()
		raw, err := e.Marshal()
		must(t, err)
		body, err := json.Marshal(map[string]any{"uploadId": opened.UploadID, "statement": raw})
		must(t, err)
		frame := append([]byte{0, 0, 0, byte(len(body) >> 8), byte(len(body))}, body...)
		_, text := b.do(http.MethodPost, "/concordat.v1.ParticipantService/CompleteUpload", string(frame), with("Content-Type", "application/connect+json")...)
		return text
	}
	if text := complete(); !strings.Contains(text, "invalid_argument") {
		t.Errorf("signed by somebody else: %s", text)
	}
	e.Signatures = []dsse.Signature{{KeyID: w.passkey.Public(t).String(), Sig: w.passkey.Sign(t, dsse.PAE(e.PayloadType, e.Payload))}}
	if text := complete(); !strings.Contains(text, `"registered":true`) {
		t.Errorf("signed by dana's passkey: %s", text)
	}
}
