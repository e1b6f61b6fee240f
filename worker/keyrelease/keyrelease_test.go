package keyrelease

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

type source struct {
	key []byte
	err error
}

func (s source) Release(context.Context) ([]byte, error) { return s.key, s.err }

func TestRoot(t *testing.T) {
	secret := bytes.Repeat([]byte{1}, 32)
	a, b := source{key: bytes.Repeat([]byte{2}, 32)}, source{key: bytes.Repeat([]byte{3}, 64)}
	seen := map[string]string{}
	for name, sources := range map[string][]Source{
		"none": nil, "a": {a}, "b": {b}, "a, b": {a, b}, "b, a": {b, a}, "a, a": {a, a},
	} {
		root, err := Root(t.Context(), secret, sources...)
		if err != nil {
			t.Fatal(err)
		}
		if was, ok := seen[string(root)]; ok {
			t.Errorf("%s gives the root of %s", name, was)
		}
		seen[string(root)] = name
		if again, _ := Root(t.Context(), secret, sources...); !bytes.Equal(root, again) {
			t.Errorf("%s gives another root each time", name)
		}
	}
	if seen[string(secret)] != "none" {
		t.Error("without vaults the root is not the mesh's secret")
	}
	// The bytes of all that are mixed are the same, their bounds are not.
	long, err := Root(t.Context(), secret, source{key: bytes.Repeat([]byte{2}, 40)}, source{key: bytes.Repeat([]byte{2}, 32)})
	if err != nil {
		t.Fatal(err)
	}
	short, err := Root(t.Context(), secret, source{key: bytes.Repeat([]byte{2}, 32)}, source{key: bytes.Repeat([]byte{2}, 40)})
	if err != nil || bytes.Equal(long, short) {
		t.Errorf("bounds do not matter: %v", err)
	}
	refused := errors.New("refused")
	if _, err := Root(t.Context(), secret, a, source{err: refused}); !errors.Is(err, refused) {
		t.Errorf("one of two vaults refuses: %v", err)
	}
	if _, err := Root(t.Context(), secret, source{key: make([]byte, 31)}); !errors.Is(err, errShort) {
		t.Errorf("short key: %v", err)
	}
}

func TestLoad(t *testing.T) {
	roots := "  " + strings.ReplaceAll(strings.TrimSpace(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: newAuthority(t).certificate.Raw}))), "\n", "\n  ")
	good := "roots: |\n" + roots + `
azure:
  - key: https://room.managedhsm.azure.net/keys/room/0123456789abcdef0123456789abcdef
    attestation: https://sharedweu.weu.attest.azure.net
    identity: {managed: system}
`
	for name, c := range map[string]struct {
		from, to string
		ok       bool
	}{
		"good":               {"", "", true},
		"an application":     {"{managed: system}", "{tenant: t, client: c, secret_file: /f}", true},
		"half an app":        {"{managed: system}", "{tenant: t, client: c}", false},
		"both identities":    {"{managed: system}", "{managed: system, tenant: t, client: c, secret_file: /f}", false},
		"no identity":        {"{managed: system}", "{}", false},
		"no version":         {"/0123456789abcdef0123456789abcdef", "", false},
		"plain HTTP":         {"https://room", "http://room", false},
		"a query":            {"attest.azure.net", "attest.azure.net?x=1", false},
		"a user":             {"https://room", "https://u@room", false},
		"a path":             {"attest.azure.net", "attest.azure.net/x", false},
		"unknown field":      {"identity:", "identities:", false},
		"no roots":           {roots, "  none", false},
		"a tenant that is a": {"{managed: system}", "{tenant: ../x, client: c, secret_file: /f}", false},
	} {
		path := filepath.Join(t.TempDir(), "vaults.yaml")
		if err := os.WriteFile(path, []byte(strings.Replace(good, c.from, c.to, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := Load(path)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
		if c.ok {
			if _, err := f.Sources(nil); err == nil {
				t.Errorf("%s: sources without hardware", name)
			}
			if s, err := f.Sources(quoted); err != nil || len(s) != 1 {
				t.Errorf("%s: %d sources, %v", name, len(s), err)
			}
		}
	}
}

// TestMaterial: the same key gives the same bytes however it is encoded.
func TestMaterial(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	swapped, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	got, err := material("RSA-HSM", swapped)
	if err != nil || len(got) != 256 {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	key.Primes[0], key.Primes[1] = key.Primes[1], key.Primes[0]
	key.Precomputed = rsa.PrecomputedValues{}
	key.Precompute()
	other, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := material("RSA-HSM", other); err != nil || !bytes.Equal(got, again) {
		t.Errorf("the order of the primes matters: %v", err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(curve)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := material("EC-HSM", raw); err != nil || len(got) != 32 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if _, err := material("RSA", []byte("no key")); !errors.Is(err, errAnswer) {
		t.Errorf("no key: %v", err)
	}
}
