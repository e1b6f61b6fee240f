package marble

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"concordat.dev/protocol/endorse"
)

// answer is what MarbleRun v1.6.0 answers a worker, and the roots that its client API tells.
type answer struct {
	env   map[string][]byte
	roots Roots
}

func newAnswer(t *testing.T) answer {
	t.Helper()
	rootKey, meshKey, leafKey := newTestKey(t), newTestKey(t), newTestKey(t)
	root := newTestCA(t, "root", nil, rootKey, rootKey)
	intermediate := newTestCA(t, "mesh", root, meshKey, rootKey)
	marbleRoot := newTestCA(t, "mesh", nil, meshKey, meshKey)
	leaf := newTestCertificate(t, &x509.Certificate{
		ExtraExtensions: []pkix.Extension{{Id: endorse.TypeOID, Value: []byte(Worker)}},
		ExtKeyUsage:     []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, marbleRoot, leafKey, meshKey)
	key, err := x509.MarshalPKCS8PrivateKey(leafKey)
	if err != nil {
		t.Fatal(err)
	}
	return answer{
		env: map[string][]byte{
			envChain:  append(toPEM("CERTIFICATE", leaf.Raw), toPEM("CERTIFICATE", marbleRoot.Raw)...),
			envRoot:   toPEM("CERTIFICATE", root.Raw),
			envKey:    toPEM("PRIVATE KEY", key),
			envSecret: []byte(hex.EncodeToString(make([]byte, minSecret))),
		},
		roots: Roots{Root: root, Intermediate: intermediate},
	}
}

func (a answer) identity(marbleType string) (*Identity, error) {
	p, err := readParameters(a.env)
	if err != nil {
		return nil, err
	}
	return p.identity(marbleType, "uuid", a.roots)
}

func TestIdentityFromMarbleRunsAnswer(t *testing.T) {
	a := newAnswer(t)
	id, err := a.identity(Worker)
	if err != nil {
		t.Fatal(err)
	}
	if len(id.Chain()) != 3 || len(id.Certificate.Certificate) != 2 {
		t.Fatalf("chain of %d, certificate of %d; want leaf, intermediate and root, and leaf and intermediate", len(id.Chain()), len(id.Certificate.Certificate))
	}
	for name, tt := range map[string]struct {
		change func(*answer)
		text   string
	}{
		"no secret":            {func(a *answer) { delete(a.env, envSecret) }, envSecret},
		"short secret":         {func(a *answer) { a.env[envSecret] = []byte("abcd") }, envSecret},
		"no key":               {func(a *answer) { delete(a.env, envKey) }, envKey},
		"key of another":       {func(a *answer) { a.env[envKey] = newAnswer(t).env[envKey] }, "does not belong"},
		"chain without root":   {func(a *answer) { a.env[envChain] = a.env[envRoot] }, envChain},
		"leaf of another mesh": {func(a *answer) { a.env[envChain] = newAnswer(t).env[envChain] }, "does not chain"},
		"client API elsewhere": {func(a *answer) { a.roots = newAnswer(t).roots }, "different roots"},
	} {
		b := newAnswer(t)
		tt.change(&b)
		if _, err := b.identity(Worker); err == nil || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%s: got %v, want %q", name, err, tt.text)
		}
	}
	if _, err := a.identity(Coordinator); err == nil {
		t.Error("a worker's certificate made a coordinator")
	}
}

func TestUUIDIsKept(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a", "uuid")
	first, err := loadUUID(file)
	if err != nil {
		t.Fatal(err)
	}
	second, err := loadUUID(file)
	if err != nil || first != second {
		t.Fatalf("%s, then %s, %v", first, second, err)
	}
	if err := os.WriteFile(file, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := loadUUID(file); err == nil {
		t.Fatal("accepted nonsense")
	}
}

func TestConfigFromEnvWantsAKnownType(t *testing.T) {
	env := map[string]string{"EDG_MARBLE_TYPE": "worker", "EDG_MARBLE_DNS_NAMES": "a.example,10.0.0.7"}
	cfg, err := ConfigFromEnv(func(k string) string { return env[k] })
	if err != nil {
		t.Fatal(err)
	}
	names, addrs := splitNames(cfg.DNSNames)
	if len(names) != 1 || names[0] != "a.example" || len(addrs) != 3 || addrs[2].String() != "10.0.0.7" {
		t.Errorf("names %v, addresses %v", names, addrs)
	}
	if _, err := ConfigFromEnv(func(string) string { return "" }); err == nil {
		t.Error("accepted no type")
	}
}

func newTestCA(t *testing.T, name string, parent *x509.Certificate, key, by *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	c := &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, KeyUsage: x509.KeyUsageCertSign}
	if parent == nil {
		parent = c
	}
	return newTestCertificate(t, c, parent, key, by)
}

func newTestCertificate(t *testing.T, c, parent *x509.Certificate, key, by *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	c.SerialNumber, c.BasicConstraintsValid = big.NewInt(1), true
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	raw, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), by)
	if err != nil {
		t.Fatal(err)
	}
	out, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func newTestKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func toPEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
