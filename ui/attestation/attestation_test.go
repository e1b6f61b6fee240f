package attestation_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/evidence"
	"concordat.dev/protocol/evidence/sgx/sgxtest"
	"concordat.dev/protocol/marble"
	"concordat.dev/protocol/receipt"
	"concordat.dev/ui/attestation"
)

var (
	now     = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	program = sha256.Sum256([]byte("MarbleRun"))
)

// fake is MarbleRun's client API as marble.MarbleRun calls it: `quote` and `manifest`.
type fake struct {
	root     *x509.Certificate
	between  *x509.Certificate
	key      *ecdsa.PrivateKey
	quote    []byte
	manifest []byte
	signer   *ecdsa.PrivateKey // of the manifest
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{key: newKey(t)}
	f.signer = f.key
	f.root = issue(t, "MarbleRun Coordinator", nil, &f.key.PublicKey, f.key)
	f.between = issue(t, "MarbleRun Coordinator - Intermediate CA", f.root, &newKey(t).PublicKey, f.key)
	var err error
	f.manifest, err = marble.Manifest(marble.Measurements{Coordinator: strings.Repeat("c0", 32), Worker: strings.Repeat("e0", 32)})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fake) pins(mode string) document.Mesh {
	return document.Mesh{
		Mode: mode, MarbleRunManifest: canon.Sum(f.manifest).String(), RootCertificate: canon.Sum(f.root.Raw).String(),
		Coordinator: "sha256:" + hex.EncodeToString(program[:]), Ledger: strings.Repeat("ab", 16),
	}
}

func (f *fake) serve(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	answer := func(path string, data func() any) {
		mux.HandleFunc("GET /api/v2/"+path, func(w http.ResponseWriter, _ *http.Request) {
			_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": data()})
		})
	}
	answer("quote", func() any { return map[string]any{"cert": toPEM(f.between, f.root), "quote": f.quote} })
	answer("manifest", func() any {
		sum := sha256.Sum256(f.manifest)
		signature, err := ecdsa.SignASN1(rand.Reader, f.signer, sum[:])
		if err != nil {
			panic(err)
		}
		return map[string]any{"manifest": f.manifest, "manifestSignatureRootECDSA": signature}
	})
	s := httptest.NewUnstartedServer(mux)
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{{Certificate: [][]byte{f.root.Raw}, PrivateKey: f.key}}}
	s.StartTLS()
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "https://")
}

func TestVerify(t *testing.T) {
	const proved, claimed, failed = receipt.Proved, receipt.Claimed, receipt.Failed
	for name, c := range map[string]struct {
		mode    string
		enclave func(*sgxtest.Enclave)
		change  func(*fake)
		pins    func(*document.Mesh)
		want    []receipt.Status // MarbleRun, root, manifest, programs, attestation
	}{
		"simulation":            {mode: "simulation", want: []receipt.Status{proved, proved, proved, claimed, claimed}},
		"hardware":              {mode: "sgx", want: []receipt.Status{proved, proved, proved, proved, proved}},
		"no quote":              {mode: "sgx", change: func(f *fake) { f.quote = nil }, want: []receipt.Status{proved, proved, proved, proved, failed}},
		"quote of another root": {mode: "sgx", enclave: func(e *sgxtest.Enclave) { e.Data = make([]byte, 32) }, want: []receipt.Status{proved, proved, proved, proved, failed}},
		"another MarbleRun":     {mode: "sgx", enclave: func(e *sgxtest.Enclave) { e.Measurement[5]++ }, want: []receipt.Status{proved, proved, proved, proved, failed}},
		"debug enclave":         {mode: "sgx", enclave: func(e *sgxtest.Enclave) { e.Debug = true }, want: []receipt.Status{proved, proved, proved, proved, failed}},
		"other root pinned":     {mode: "sgx", pins: func(m *document.Mesh) { m.RootCertificate = canon.Sum(nil).String() }, want: []receipt.Status{proved, failed}},
		"other manifest pinned": {mode: "simulation", pins: func(m *document.Mesh) { m.MarbleRunManifest = canon.Sum(nil).String() }, want: []receipt.Status{proved, proved, failed, claimed}},
		"manifest by a stranger": {mode: "simulation", change: func(f *fake) { f.signer = newKey(t) },
			want: []receipt.Status{proved, proved, failed, claimed}},
		"manifest with a user": {mode: "simulation", change: func(f *fake) { f.manifest = []byte(`{"Users":{}}`) }, want: []receipt.Status{proved, proved, proved, failed, claimed}},
	} {
		t.Run(name, func(t *testing.T) {
			f, p := newFake(t), sgxtest.New(t, now.AddDate(0, 0, -1))
			sum := sha256.Sum256(f.root.Raw)
			e := sgxtest.Enclave{Measurement: program, Data: sum[:]}
			if c.enclave != nil {
				c.enclave(&e)
			}
			if c.mode == "sgx" {
				f.quote = p.Quote(t, e)
			}
			if c.change != nil {
				c.change(f)
			}
			m := attestation.Mesh{Address: f.serve(t), Pins: f.pins(c.mode), Verifiers: []evidence.Verifier{p.Verifier()}, Now: now}
			m.Collateral = func(context.Context, []byte) (json.RawMessage, error) { return p.Collateral(t).Marshal() }
			if c.pins != nil {
				c.pins(&m.Pins)
			}
			checks := m.Verify(t.Context())
			ok := len(checks) == len(c.want)
			for i := range min(len(checks), len(c.want)) {
				ok = ok && checks[i].Status == c.want[i]
			}
			if !ok {
				t.Errorf("got %+v, want %v", checks, c.want)
			}
		})
	}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func issue(t *testing.T, name string, parent *x509.Certificate, public *ecdsa.PublicKey, by *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, public, by)
	if err != nil {
		t.Fatal(err)
	}
	out, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func toPEM(certs ...*x509.Certificate) string {
	var out strings.Builder
	for _, c := range certs {
		_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
	}
	return out.String()
}
