package authn_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"concordat.dev/protocol/authn"
	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/fault"
	"concordat.dev/protocol/key"
)

const ledger = "00112233445566778899aabbccddeeff"

// clock is a settable clock.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func newClock() *clock { return &clock{time.Date(2026, 11, 23, 15, 0, 0, 0, time.UTC)} }

func newKey(t *testing.T) key.Private {
	t.Helper()
	k, err := key.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// capture is a transport that keeps the signed request instead of sending it.
type capture struct{ r *http.Request }

func (c *capture) RoundTrip(r *http.Request) (*http.Response, error) {
	c.r = r
	return nil, io.ErrUnexpectedEOF
}

// signed returns a request as a server would see it.
func signed(t *testing.T, s authn.Signer, method, url, body string) *http.Request {
	t.Helper()
	out, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	var c capture
	if _, err := s.RoundTripper(&c).RoundTrip(out); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
	if out.Header.Get(authn.HeaderKey) != "" {
		t.Fatal("the caller's request was changed")
	}
	in := httptest.NewRequest(method, url, c.r.Body)
	in.Header = c.r.Header
	return in
}

func TestVerify(t *testing.T) {
	k, c := newKey(t), newClock()
	v := authn.NewVerifier(authn.Config{Audience: ledger, Now: c.now})
	s := authn.Signer{Key: k, Audience: ledger, Now: c.now}
	for _, body := range []string{"", "hello"} {
		r := signed(t, s, http.MethodPost, "https://x/p%20q/r?a=1&b=%0A", body)
		got, err := v.Verify(r)
		if err != nil || got != k.Public() {
			t.Fatal(got, err)
		}
		if b, err := io.ReadAll(r.Body); err != nil || string(b) != body {
			t.Fatalf("%q %v", b, err)
		}
	}
}

func TestVerifyRefuses(t *testing.T) {
	k, other := newKey(t), newKey(t)
	set := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	for name, c := range map[string]struct {
		change func(*http.Request)
		want   error
	}{
		"method":           {func(r *http.Request) { r.Method = http.MethodPut }, authn.ErrSignature},
		"path":             {func(r *http.Request) { r.URL.Path = "/other" }, authn.ErrSignature},
		"escaped path":     {func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/a/b", "/a%2Fb" }, authn.ErrSignature},
		"query":            {func(r *http.Request) { r.URL.RawQuery = "a=2" }, authn.ErrSignature},
		"no query":         {func(r *http.Request) { r.URL.RawQuery = "" }, authn.ErrSignature},
		"body":             {func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("hellp")) }, authn.ErrBody},
		"longer body":      {func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("hello ")) }, authn.ErrBody},
		"huge body":        {func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(strings.Repeat("x", 2000))) }, authn.ErrTooLarge},
		"digest":           {set(authn.HeaderDigest, canon.Sum(nil).String()), authn.ErrSignature},
		"key":              {set(authn.HeaderKey, other.Public().String()), authn.ErrSignature},
		"time":             {set(authn.HeaderTime, "1763910000001"), authn.ErrSignature},
		"nonce":            {set(authn.HeaderNonce, strings.Repeat("0", 32)), authn.ErrSignature},
		"audience":         {set(authn.HeaderAudience, strings.Repeat("f", 32)), authn.ErrAudience},
		"nothing":          {func(r *http.Request) { r.Header = http.Header{} }, authn.ErrUnsigned},
		"key missing":      {func(r *http.Request) { r.Header.Del(authn.HeaderKey) }, authn.ErrMalformed},
		"signature gone":   {func(r *http.Request) { r.Header.Del(authn.HeaderSignature) }, authn.ErrSignature},
		"signature cut":    {set(authn.HeaderSignature, "AAAA"), authn.ErrSignature},
		"signature text":   {set(authn.HeaderSignature, "not base64"), authn.ErrMalformed},
		"header twice":     {func(r *http.Request) { r.Header.Add(authn.HeaderKey, k.Public().String()) }, authn.ErrMalformed},
		"time with plus":   {func(r *http.Request) { r.Header.Set(authn.HeaderTime, "+"+r.Header.Get(authn.HeaderTime)) }, authn.ErrMalformed},
		"time with zero":   {func(r *http.Request) { r.Header.Set(authn.HeaderTime, "0"+r.Header.Get(authn.HeaderTime)) }, authn.ErrMalformed},
		"negative time":    {set(authn.HeaderTime, "-1"), authn.ErrMalformed},
		"nonce upper case": {func(r *http.Request) { r.Header.Set(authn.HeaderNonce, strings.Repeat("A", 32)) }, authn.ErrMalformed},
		"nonce short":      {set(authn.HeaderNonce, "00"), authn.ErrMalformed},
		"digest text":      {set(authn.HeaderDigest, "sha256:00"), authn.ErrMalformed},
	} {
		now := newClock()
		v := authn.NewVerifier(authn.Config{Audience: ledger, Now: now.now, MaxBody: 1000})
		r := signed(t, authn.Signer{Key: k, Audience: ledger, Now: now.now}, http.MethodPost, "https://x/p?a=1", "hello")
		c.change(r)
		if _, err := v.Verify(r); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	v := authn.NewVerifier(authn.Config{Audience: ledger, Now: newClock().now, Known: func(p key.Public) bool { return p == other.Public() }})
	if _, err := v.Verify(signed(t, authn.Signer{Key: k, Audience: ledger, Now: newClock().now}, http.MethodGet, "https://x/", "")); !errors.Is(err, authn.ErrSignature) {
		t.Errorf("unknown key: %v", err)
	}
}

func TestWindowAndReplay(t *testing.T) {
	server := newClock()
	v := authn.NewVerifier(authn.Config{Audience: ledger, Now: server.now})
	k := newKey(t)
	at := func(offset time.Duration) *http.Request {
		c := &clock{server.t.Add(offset)}
		return signed(t, authn.Signer{Key: k, Audience: ledger, Now: c.now}, http.MethodGet, "https://x/", "")
	}
	if _, err := v.Verify(at(-time.Second)); !errors.Is(err, authn.ErrStarting) {
		t.Errorf("before the start: %v", err)
	}
	server.t = server.t.Add(time.Hour)
	for offset, want := range map[time.Duration]error{
		-60 * time.Second: nil, 60 * time.Second: nil, -60*time.Second - time.Millisecond: authn.ErrTime, 60*time.Second + time.Millisecond: authn.ErrTime,
	} {
		if _, err := v.Verify(at(offset)); !errors.Is(err, want) {
			t.Errorf("%v: %v", offset, err)
		}
	}
	r := at(60 * time.Second)
	for wait := time.Duration(0); wait <= 3*time.Minute; wait += 10 * time.Second {
		_, err := v.Verify(r)
		switch {
		case wait == 0 && err != nil:
			t.Fatal(err)
		case wait > 0 && wait <= 2*time.Minute && !errors.Is(err, authn.ErrReplay):
			t.Errorf("after %v: %v", wait, err)
		case wait > 2*time.Minute && !errors.Is(err, authn.ErrTime):
			t.Errorf("after %v: %v", wait, err)
		}
		server.t = server.t.Add(10 * time.Second)
	}
	r = at(0)
	if _, err := v.Verify(r); err != nil {
		t.Fatal(err)
	}
	server.t = server.t.Add(-time.Minute) // a clock that goes back
	if _, err := v.Verify(r); !errors.Is(err, authn.ErrReplay) {
		t.Errorf("after the clock went back: %v", err)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	server := newClock()
	v := authn.NewVerifier(authn.Config{Audience: ledger, Now: server.now, MaxSeen: 10, MaxKey: 4})
	a, b, c := newKey(t), newKey(t), newKey(t)
	send := func(k key.Private) error {
		_, err := v.Verify(signed(t, authn.Signer{Key: k, Audience: ledger, Now: server.now}, http.MethodGet, "https://x/", ""))
		return err
	}
	for range 4 {
		if err := errors.Join(send(a), send(b)); err != nil {
			t.Fatal(err)
		}
	}
	if err := send(a); !errors.Is(err, authn.ErrFull) {
		t.Errorf("a fifth of one key: %v", err)
	}
	if err := errors.Join(send(c), send(c)); err != nil {
		t.Error(err)
	}
	if err := send(c); !errors.Is(err, authn.ErrFull) {
		t.Errorf("an eleventh: %v", err)
	}
	server.t = server.t.Add(4 * time.Minute)
	if err := errors.Join(send(a), send(b), send(c)); err != nil {
		t.Errorf("later: %v", err)
	}
}

func TestVerifyNamed(t *testing.T) {
	c, k := newClock(), newKey(t)
	v := authn.NewVerifier(authn.Config{Audience: ledger, Now: c.now})
	body := bytes.Repeat([]byte("x"), 100)
	request := func(body []byte) *http.Request {
		out, err := http.NewRequest(http.MethodPut, "https://x/uploads/u/1", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		out.Header.Set(authn.HeaderDigest, canon.Sum(bytes.Repeat([]byte("x"), 100)).String())
		var sent capture
		signer := authn.Signer{Key: k, Audience: ledger, Now: c.now, MaxBody: 10} // the digest is known, so nothing is held in memory
		if _, err := signer.RoundTripper(&sent).RoundTrip(out); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatal(err)
		}
		in := httptest.NewRequest(http.MethodPut, "https://x/uploads/u/1", sent.r.Body)
		in.Header, in.ContentLength = sent.r.Header, -1
		return in
	}
	got, digest, err := v.VerifyNamed(request(body), 100)
	if err != nil || got != k.Public() || digest != canon.Sum(body) {
		t.Fatal(err)
	}
	other := request(body)
	other.Header.Set(authn.HeaderDigest, canon.Sum(nil).String())
	if _, _, err := v.VerifyNamed(other, 100); !errors.Is(err, authn.ErrSignature) {
		t.Errorf("a digest that was not signed: %v", err)
	}
	r := request(body)
	r.ContentLength = 101
	if _, _, err := v.VerifyNamed(r, 100); !errors.Is(err, authn.ErrTooLarge) {
		t.Errorf("announced as too large: %v", err)
	}
}

func TestSignerRefuses(t *testing.T) {
	s := authn.Signer{Key: newKey(t), Audience: ledger, Now: newClock().now, MaxBody: 4}
	r, err := http.NewRequest(http.MethodPost, "https://x/", strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.RoundTripper(&capture{}).RoundTrip(r); !errors.Is(err, authn.ErrTooLarge) {
		t.Errorf("large body: %v", err)
	}
	r.Header.Set(authn.HeaderDigest, "sha256:00")
	if _, err := s.RoundTripper(&capture{}).RoundTrip(r); err == nil {
		t.Error("a digest that is none")
	}
}

func TestFaultKinds(t *testing.T) {
	for err, want := range map[error]fault.Kind{
		authn.ErrUnsigned: fault.Unauthenticated, authn.ErrReplay: fault.Unauthenticated, authn.ErrTooLarge: fault.TooLarge,
		authn.ErrStarting: fault.Unavailable, authn.ErrFull: fault.Unavailable,
	} {
		if got := fault.KindOf(authn.Fault(err)); got != want {
			t.Errorf("%v: %s", err, got)
		}
	}
}

func FuzzHeaders(f *testing.F) {
	f.Add("ed25519:iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=", "1", strings.Repeat("0", 32), "sha256:"+strings.Repeat("0", 64), ledger, "AAAA")
	f.Fuzz(func(t *testing.T, k, at, nonce, digest, audience, signature string) {
		v := authn.NewVerifier(authn.Config{Audience: ledger, Now: newClock().now})
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		for i, value := range []string{k, at, nonce, digest, audience, signature} {
			name := []string{authn.HeaderKey, authn.HeaderTime, authn.HeaderNonce, authn.HeaderDigest, authn.HeaderAudience, authn.HeaderSignature}[i]
			r.Header[name] = []string{value}
		}
		if _, err := v.Verify(r); err == nil {
			t.Fatal("accepted without a signature")
		}
	})
}
