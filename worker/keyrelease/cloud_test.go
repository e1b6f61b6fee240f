package keyrelease

import (
	"context"
	"crypto"
	"crypto/aes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var errBusy = errors.New("busy")

// cloud is attestation service, vault, sign-in and metadata service in one. It holds each request against testdata/api.json.
type cloud struct {
	t        *testing.T
	api      map[string]operation
	signer   tls.Certificate // of the vault
	key      []byte
	evidence *rsa.PublicKey // in the token that was issued last
	seen     []string

	busy, status                  int
	after                         string
	denied, other, long, trailing bool
	kid, enc, nonce, kty          string
	spoil                         func(string) string
}

// operation is one call of the description.
type operation struct {
	Method, Path, Type      string
	Query, Form             map[string]string
	Body                    map[string]any
	Authorization, Metadata bool
}

func newCloud(t *testing.T, key []byte) (*cloud, azure) {
	t.Helper()
	raw, err := os.ReadFile("testdata/api.json")
	if err != nil {
		t.Fatal(err)
	}
	authority := newAuthority(t)
	c := &cloud{t: t, key: key, signer: authority.issue(t, "127.0.0.1"), enc: wrapping, kty: "oct-HSM"}
	if err := json.Unmarshal(raw, &c.api); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(c)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{c.signer}, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(authority.certificate)
	here := caller{web: client(&http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}),
		wait: func(context.Context, time.Duration) error { return nil }}
	a := azure{call: here, link: here, roots: roots, now: time.Now, quote: quoted, metadata: server.URL, login: server.URL, cfg: Azure{
		Key: server.URL + "/keys/room/0123456789abcdef0123456789abcdef", Attestation: server.URL, Identity: Identity{Managed: "system"},
	}}
	c.kid = a.cfg.Key
	return c, a
}

func (c *cloud) signIn(a azure) string {
	if a.cfg.Identity.Managed != "" {
		return "managed"
	}
	return "application"
}

func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, body, err := c.judge(r)
	if err != nil {
		c.t.Errorf("%s %s is not as described: %v", r.Method, r.URL.Path, err)
		http.Error(w, "", http.StatusBadRequest)
		return
	}
	c.seen = append(c.seen, name)
	if c.status != 0 {
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(c.status)
		return
	}
	if c.busy > 0 {
		c.busy--
		w.Header().Set("Retry-After", c.after)
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	answer := map[string]any{"access_token": "bearer-" + name, "token_type": "Bearer"}
	switch name {
	case "attest":
		answer = map[string]any{"token": c.attest(body)}
	case "release":
		if c.denied || body["target"] != "header.token.signature" || !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer bearer-") {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"error":{"code":"Forbidden","message":"the policy"}}`)
			return
		}
		answer = map[string]any{"value": c.release(body)}
	}
	c.write(w, answer)
}

func (c *cloud) write(w http.ResponseWriter, answer map[string]any) {
	if c.long {
		_, _ = w.Write(make([]byte, maxAnswer+1))
		return
	}
	_ = json.NewEncoder(w).Encode(answer)
	if c.trailing {
		_, _ = io.WriteString(w, "{}")
	}
}

// judge finds the operation that a request is, and says how it differs from its description.
func (c *cloud) judge(r *http.Request) (string, map[string]any, error) {
	for name, o := range c.api {
		if o.Method != r.Method || !regexp.MustCompile(o.Path).MatchString(r.URL.Path) {
			continue
		}
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			return name, nil, err
		}
		body := map[string]any{}
		errs := []error{values(r.URL.Query(), o.Query), nil, nil}
		switch {
		case r.Header.Get("Content-Type") != o.Type:
			errs[1] = fmt.Errorf("content type %q", r.Header.Get("Content-Type"))
		case o.Authorization == (r.Header.Get("Authorization") == ""):
			errs[1] = errors.New("authorization")
		case o.Metadata != (r.Header.Get("Metadata") == "true"):
			errs[1] = errors.New("header Metadata")
		case o.Form != nil:
			form, err := url.ParseQuery(string(raw))
			errs[2] = errors.Join(err, values(form, o.Form))
		case o.Body != nil:
			errs[2] = errors.Join(json.Unmarshal(raw, &body), properties(body, o.Body))
		case len(raw) > 0:
			errs[2] = errors.New("a body")
		}
		return name, body, errors.Join(errs...)
	}
	return "", nil, errors.New("no such operation")
}

func values(got url.Values, want map[string]string) error {
	object, form := map[string]any{}, map[string]any{}
	for k, v := range got {
		object[k] = strings.Join(v, "\x00")
	}
	for k, v := range want {
		form[k] = "/^(" + v + ")$"
	}
	return properties(object, form)
}

func properties(got, want map[string]any) error {
	for k, form := range want {
		optional := strings.HasSuffix(k, "?")
		v, ok := got[strings.TrimSuffix(k, "?")]
		switch {
		case !ok && !optional:
			return fmt.Errorf("%s is missing", k)
		case ok:
			if err := property(v, form); err != nil {
				return fmt.Errorf("%s: %w", k, err)
			}
		}
	}
	for k := range got {
		if want[k] == nil && want[k+"?"] == nil {
			return fmt.Errorf("%s is not described", k)
		}
	}
	return nil
}

func property(v, form any) error {
	if inner, ok := form.(map[string]any); ok {
		object, ok := v.(map[string]any)
		if !ok {
			return errors.New("no object")
		}
		return properties(object, inner)
	}
	s, ok := v.(string)
	f, _ := form.(string)
	expression, isExpression := strings.CutPrefix(f, "/")
	switch {
	case !ok || s == "":
		return errors.New("no text")
	case f == "string":
		return nil
	case f == "base64url":
		_, err := base64.RawURLEncoding.DecodeString(s)
		return err
	case isExpression && regexp.MustCompile(expression).MatchString(s), slices.Contains(strings.Split(f, "|"), s):
		return nil
	}
	return fmt.Errorf("%q is not %s", s, f)
}

// attest checks as the service does that the quote is over the runtime data, and notes the key in it.
func (c *cloud) attest(body map[string]any) string {
	data := body["runtimeData"].(map[string]any)
	raw, err := decode(data["data"].(string))
	if err != nil {
		c.t.Error(err)
	}
	if quote, _ := quoted(raw); body["quote"] != encode(quote) || data["dataType"] != "JSON" {
		c.t.Error("the quote is not over the runtime data, or that is not JSON")
	}
	var runtime struct {
		Keys []struct{ Kty, Kid, Use, N, E string }
	}
	if err := json.Unmarshal(raw, &runtime); err != nil || len(runtime.Keys) != 1 || runtime.Keys[0].Kty != "RSA" || runtime.Keys[0].Kid == "" {
		c.t.Errorf("runtime data %s: %v", raw, err)
		return ""
	}
	n, err1 := decode(runtime.Keys[0].N)
	e, err2 := decode(runtime.Keys[0].E)
	if err := errors.Join(err1, err2); err != nil {
		c.t.Error(err)
	}
	c.evidence = &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
	return "header.token.signature"
}

// release wraps the key and signs, as a vault does.
func (c *cloud) release(body map[string]any) string {
	to, kek := c.evidence, make([]byte, 32)
	_, _ = rand.Read(kek)
	if c.other {
		k, err := rsa.GenerateKey(rand.Reader, wrapBits)
		if err != nil {
			c.t.Error(err)
		}
		to = &k.PublicKey
	}
	sealed, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, to, kek, nil)
	if err != nil {
		c.t.Error(err)
	}
	nonce := c.nonce
	if nonce == "" {
		nonce = body["nonce"].(string)
	}
	hsm := marshal(c.t, map[string]any{"schema_version": "1.0", "header": map[string]any{"kid": "concordat", "alg": "dir", "enc": c.enc},
		"ciphertext": encode(append(sealed, wrapPadded(c.t, kek, c.key)...))})
	payload := marshal(c.t, map[string]any{
		"request": map[string]any{"api-version": "7.4", "enc": c.enc, "kid": c.kid, "nonce": nonce},
		"response": map[string]any{"key": map[string]any{"attributes": map[string]any{"exportable": true},
			"key": map[string]any{"kid": c.kid, "kty": c.kty, "key_ops": []string{"encrypt"}, "key_hsm": encode(hsm)}}},
	})
	head := marshal(c.t, map[string]any{"alg": "RS256", "kid": "hsm", "x5c": c.signer.Certificate})
	signed := encode(head) + "." + encode(payload)
	sum := sha256.Sum256([]byte(signed))
	signature, err := c.signer.PrivateKey.(crypto.Signer).Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		c.t.Error(err)
	}
	token := signed + "." + encode(signature)
	if c.spoil != nil {
		token = c.spoil(token)
	}
	return token
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Error(err)
	}
	return b
}

// wrapPadded is RFC 5649 section 4.1, written the other way round from what it tests.
func wrapPadded(t *testing.T, kek, plain []byte) []byte {
	t.Helper()
	block, err := aes.NewCipher(kek)
	if err != nil {
		t.Fatal(err)
	}
	a := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, 0xa65959a6), uint32(len(plain)))
	blocks := (len(plain) + 7) / 8
	p := append(append([]byte(nil), plain...), make([]byte, 8*blocks-len(plain))...)
	if blocks == 1 {
		out := append(a, p...)
		block.Encrypt(out, out)
		return out
	}
	for j := range 6 {
		for i := range blocks {
			b := append(append([]byte(nil), a...), p[8*i:8*i+8]...)
			block.Encrypt(b, b)
			binary.BigEndian.PutUint64(a, binary.BigEndian.Uint64(b)^uint64(blocks*j+i+1))
			copy(p[8*i:], b[8:])
		}
	}
	return append(a, p...)
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// authority issues certificates.
type authority struct {
	certificate *x509.Certificate
	key         *rsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "root"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	raw, err := x509.CreateCertificate(rand.Reader, form, form, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return authority{c, key}
}

func (a authority) issue(t *testing.T, host string) tls.Certificate {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: host}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if ip := net.ParseIP(host); ip != nil {
		form.IPAddresses = []net.IP{ip}
	} else {
		form.DNSNames = []string{host}
	}
	raw, err := x509.CreateCertificate(rand.Reader, form, a.certificate, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{raw, a.certificate.Raw}, PrivateKey: key}
}
