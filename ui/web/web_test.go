package web

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

func built(t *testing.T) http.Handler {
	t.Helper()
	h, err := serve(fstest.MapFS{
		"index.html":             {Data: []byte(`<meta name="csp-nonce" content="` + Nonce + `">`)},
		"assets/main-0a1b2c.js":  {Data: []byte(strings.Repeat("export const x = 1;\n", 100))},
		"assets/tiny-0a1b2c.css": {Data: []byte("a{}")},
		"icon.svg":               {Data: []byte("<svg/>")},
		".keep":                  {Data: []byte("x")},
	}, Config{FormAction: []string{"https://id.clinic.example"}})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func get(t *testing.T, h http.Handler, method, path string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestEveryPathOfThePageIsThePage(t *testing.T) {
	h := built(t)
	form := regexp.MustCompile(`style-src 'self' 'nonce-([A-Za-z0-9+/=]{24})'`)
	seen := map[string]bool{}
	for _, path := range []string{"/", "/query", "/audit/nafld-outcomes/3", "/index.html", "/a/../query"} {
		r := get(t, h, http.MethodGet, path)
		m := form.FindStringSubmatch(r.Header.Get("Content-Security-Policy"))
		if r.StatusCode != http.StatusOK || r.Header.Get("Cache-Control") != "no-store" || m == nil {
			t.Fatalf("%s: %s %v", path, r.Status, r.Header)
		}
		if got := body(t, r); got != `<meta name="csp-nonce" content="`+m[1]+`">` || seen[m[1]] {
			t.Errorf("%s: %s, nonce %s", path, got, m[1])
		}
		seen[m[1]] = true
	}
	if r := get(t, h, http.MethodPost, "/query"); r.StatusCode != http.StatusMethodNotAllowed {
		t.Error(r.Status)
	}
	for _, path := range []string{"/assets/main-ffffff.js", "/assets/x", "/favicon.ico", "/.keep"} {
		if r := get(t, h, http.MethodGet, path); r.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", path, r.Status)
		}
	}
}

func TestAssetsAreKeptAndPacked(t *testing.T) {
	h := built(t)
	r := get(t, h, http.MethodGet, "/assets/main-0a1b2c.js", "Accept-Encoding", "br, gzip;q=0.5")
	if r.Header.Get("Content-Encoding") != "gzip" || r.Header.Get("Cache-Control") != "public, max-age=31536000, immutable" ||
		r.Header.Get("Vary") != "Accept-Encoding" || r.Header.Get("Content-Type") != "text/javascript; charset=utf-8" {
		t.Error(r.Header)
	}
	for path, coding := range map[string]string{"/assets/main-0a1b2c.js": "gzip;q=0", "/assets/tiny-0a1b2c.css": "gzip"} {
		if r := get(t, h, http.MethodGet, path, "Accept-Encoding", coding); r.Header.Get("Content-Encoding") != "" {
			t.Errorf("%s: %v", path, r.Header)
		}
	}
	if r := get(t, h, http.MethodGet, "/icon.svg"); r.Header.Get("Cache-Control") != "no-cache" || body(t, r) != "<svg/>" {
		t.Error(r.Header)
	}
	if r := get(t, h, http.MethodHead, "/icon.svg"); r.Header.Get("Content-Length") != "6" || body(t, r) != "" {
		t.Error(r.Header)
	}
}

// What a hostile page or injected text could do hangs on these headers: none may be missing on any response, errors included.
func TestEveryResponseIsGuarded(t *testing.T) {
	h := built(t)
	want := map[string]string{
		"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
		"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp",
	}
	for _, path := range []string{"/", "/assets/main-0a1b2c.js", "/assets/none.js", "/icon.svg"} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodOptions} {
			r := get(t, h, method, path, "Origin", "https://evil.example")
			for name, value := range want {
				if r.Header.Get(name) != value {
					t.Errorf("%s %s: %s is %q", method, path, name, r.Header.Get(name))
				}
			}
			csp := r.Header.Get("Content-Security-Policy")
			for _, part := range []string{
				"default-src 'none'", "script-src 'self';", "connect-src 'self'", "worker-src 'self'", "frame-ancestors 'none'", "base-uri 'none'",
				"object-src 'none'", "form-action 'self' https://id.clinic.example;",
			} {
				if !strings.Contains(csp+";", part) {
					t.Errorf("%s %s: %q has no %s", method, path, csp, part)
				}
			}
			if strings.Contains(csp, "unsafe") {
				t.Errorf("%s %s: %q", method, path, csp)
			}
			for name := range r.Header {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("%s %s: %s", method, path, name)
				}
			}
			if !strings.Contains(r.Header.Get("Permissions-Policy"), "publickey-credentials-get=(self)") {
				t.Error("no passkeys")
			}
		}
	}
}

func TestWithoutABuildThePageSaysSo(t *testing.T) {
	h, err := serve(fstest.MapFS{".keep": {Data: []byte("x")}}, Config{})
	if err != nil {
		t.Fatal(err)
	}
	if got := body(t, get(t, h, http.MethodGet, "/query")); !strings.Contains(got, "make build") {
		t.Error(got)
	}
	if _, err := Handler(Config{}); err != nil {
		t.Error("the embedded pages:", err)
	}
}
