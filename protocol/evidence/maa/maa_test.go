package maa_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"math/big"
	"strings"
	"testing"
	"time"

	"concordat.dev/protocol/evidence"
	"concordat.dev/protocol/evidence/maa"
)

const (
	issuerURL   = "https://room.weu.attest.azure.net"
	policyHash  = "egjnANIzEpS2WgpE4Nk-QEwM69XRCgGS42_G0qLlbnk"
	measurement = "d971961f724b71dfc5f1553ac4efb68ad160e849602cdd851cb840423e592a73"
	signer      = "8568231230270110ed0ce1f7d515b6be1d7505e5828fba19785676030d8fffc2"
)

// service signs tokens as Azure Attestation does.
type service struct{ key *rsa.PrivateKey }

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (s service) trust() maa.Trust {
	return maa.Trust{Issuer: issuerURL, Policies: []string{policyHash}, Keys: []maa.Key{{
		ID: "k1", N: encode(s.key.N.Bytes()), E: encode(big.NewInt(int64(s.key.E)).Bytes()),
	}}}
}

func (s service) token(t *testing.T, header, claims map[string]any) []byte {
	t.Helper()
	h, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	c, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed := encode(h) + "." + encode(c)
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, s.key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return []byte(signed + "." + encode(signature))
}

var at = time.Unix(1_790_000_000, 0)

func goodHeader() map[string]any {
	return map[string]any{"alg": "RS256", "kid": "k1", "typ": "JWT", "jku": "https://elsewhere.example/certs"}
}

func goodClaims() map[string]any {
	data := sha256.Sum256([]byte("root"))
	return map[string]any{
		"iss": issuerURL, "iat": at.Unix(), "nbf": at.Unix(), "exp": at.Unix() + 28800, "jti": "4f", "x-ms-ver": "1.0",
		"x-ms-attestation-type": "sgx", "x-ms-policy-hash": policyHash, "x-ms-sgx-is-debuggable": false,
		"x-ms-sgx-mrenclave": measurement, "x-ms-sgx-mrsigner": signer, "x-ms-sgx-product-id": 1, "x-ms-sgx-svn": 3,
		"x-ms-sgx-report-data": hex.EncodeToString(append(data[:], make([]byte, 32)...)),
	}
}

func newService(t *testing.T) service {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return service{key}
}

func TestToken(t *testing.T) {
	s := newService(t)
	v, err := maa.New(s.trust())
	if err != nil {
		t.Fatal(err)
	}
	data := sha256.Sum256([]byte("root"))
	want := evidence.Want{Measurement: measurement, Data: data[:]}
	check := func(token []byte, when time.Time) error {
		r, err := evidence.Verify([]evidence.Verifier{v}, evidence.Evidence{Kind: evidence.MAA, Report: token}, when)
		if err != nil {
			return err
		}
		return r.Check(want, false)
	}
	for name, c := range map[string]struct {
		header, claims map[string]any // differences; nil removes
		at             time.Duration
		want           error
	}{
		"good":                 {},
		"almost too early":     {at: -time.Minute},
		"too early":            {at: -time.Minute - time.Second, want: evidence.ErrCollateral},
		"at its end":           {at: 28800 * time.Second, want: evidence.ErrCollateral},
		"no end":               {claims: map[string]any{"exp": nil}, want: evidence.ErrCollateral},
		"another policy":       {claims: map[string]any{"x-ms-policy-hash": "other"}, want: evidence.ErrCollateral},
		"no policy":            {claims: map[string]any{"x-ms-policy-hash": nil}, want: evidence.ErrCollateral},
		"another issuer":       {claims: map[string]any{"iss": "https://other.weu.attest.azure.net"}, want: evidence.ErrSignature},
		"another key id":       {header: map[string]any{"kid": "k2"}, want: evidence.ErrSignature},
		"no algorithm":         {header: map[string]any{"alg": "none"}, want: evidence.ErrSignature},
		"a symmetric key":      {header: map[string]any{"alg": "HS256"}, want: evidence.ErrSignature},
		"critical extension":   {header: map[string]any{"crit": []string{"b64"}}, want: evidence.ErrSignature},
		"another program":      {claims: map[string]any{"x-ms-sgx-mrenclave": strings.Repeat("0", 64)}, want: evidence.ErrMeasurement},
		"debug":                {claims: map[string]any{"x-ms-sgx-is-debuggable": true}, want: evidence.ErrDebug},
		"debug unsaid":         {claims: map[string]any{"x-ms-sgx-is-debuggable": nil}, want: evidence.ErrMalformed},
		"deprecated names":     {claims: map[string]any{"x-ms-sgx-is-debuggable": nil, "is-debuggable": false}, want: evidence.ErrMalformed},
		"measurement unsaid":   {claims: map[string]any{"x-ms-sgx-mrenclave": nil}, want: evidence.ErrMalformed},
		"capital measurement":  {claims: map[string]any{"x-ms-sgx-mrenclave": strings.ToUpper(measurement)}, want: evidence.ErrMalformed},
		"product too large":    {claims: map[string]any{"x-ms-sgx-product-id": 65536}, want: evidence.ErrMalformed},
		"other data":           {claims: map[string]any{"x-ms-sgx-report-data": strings.Repeat("ab", 64)}, want: evidence.ErrData},
		"short data":           {claims: map[string]any{"x-ms-sgx-report-data": hex.EncodeToString(data[:])}, want: evidence.ErrMalformed},
		"a confidential VM":    {claims: map[string]any{"x-ms-attestation-type": "sevsnpvm"}, want: evidence.ErrMalformed},
		"a time that is text":  {claims: map[string]any{"exp": "1790000000"}, want: evidence.ErrMalformed},
		"debug that is a text": {claims: map[string]any{"x-ms-sgx-is-debuggable": "false"}, want: evidence.ErrMalformed},
	} {
		header, claims := goodHeader(), goodClaims()
		change(header, c.header)
		change(claims, c.claims)
		if err := check(s.token(t, header, claims), at.Add(c.at)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if err := check(newService(t).token(t, goodHeader(), goodClaims()), at); !errors.Is(err, evidence.ErrSignature) {
		t.Errorf("signed by another key: %v", err)
	}
	good := s.token(t, goodHeader(), goodClaims())
	for i := range good {
		changed := []byte(string(good))
		changed[i] ^= 1
		if check(changed, at) == nil {
			t.Fatalf("byte %d is not bound", i)
		}
	}
}

func change(m, by map[string]any) {
	maps.Copy(m, by)
	maps.DeleteFunc(m, func(_ string, v any) bool { return v == nil })
}

func TestWhatIsPinned(t *testing.T) {
	s := newService(t)
	for name, change := range map[string]func(*maa.Trust){
		"plain HTTP":   func(t *maa.Trust) { t.Issuer = "http://room.weu.attest.azure.net" },
		"no key":       func(t *maa.Trust) { t.Keys = nil },
		"no policy":    func(t *maa.Trust) { t.Policies = nil },
		"empty policy": func(t *maa.Trust) { t.Policies = []string{""} },
		"no key id":    func(t *maa.Trust) { t.Keys[0].ID = "" },
		"short key":    func(t *maa.Trust) { t.Keys[0].N = "AQAB" },
		"exponent 1":   func(t *maa.Trust) { t.Keys[0].E = "AQ" },
		"padding":      func(t *maa.Trust) { t.Keys[0].E = "AQAB=" },
	} {
		trust := s.trust()
		change(&trust)
		if _, err := maa.New(trust); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	if _, err := maa.ReadTrust([]byte(`{"issuer":"https://a","keys":[],"policies":[],"more":1}`)); err == nil {
		t.Error("an unknown field was accepted")
	}
}

// FuzzToken: no text makes the verifier panic, and none that the pinned key did not sign passes.
func FuzzToken(f *testing.F) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		f.Fatal(err)
	}
	v, err := maa.New(service{key}.trust())
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("e30.e30.e30"))
	f.Add([]byte("eyJhbGciOiJSUzI1NiIsImtpZCI6ImsxIn0.eyJpc3MiOiJodHRwczovL3Jvb20ud2V1LmF0dGVzdC5henVyZS5uZXQifQ.AA"))
	f.Fuzz(func(t *testing.T, token []byte) {
		if _, err := v.Verify(evidence.Evidence{Kind: evidence.MAA, Report: token}, at); err == nil {
			t.Fatal("a token that nobody signed was accepted")
		}
	})
}
