package marble

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"concordat.dev/protocol/canon"
)

// maxResponse bounds what is read from MarbleRun's client API.
const maxResponse = 4 << 20

// State is how far MarbleRun's coordinator is (MarbleRun v1.6.0, coordinator/state).
type State int

// The states that MarbleRun's client API reports.
const (
	Recovering       State = 1 // cannot unseal its state: needs the recovery key, or takes a new manifest
	AwaitingManifest State = 2
	AcceptingMarbles State = 3
)

// Roots are MarbleRun's certificates and its own quote. All is MarbleRun's word for itself until the root is pinned.
type Roots struct {
	Root         *x509.Certificate // the pin
	Intermediate *x509.Certificate // by Root, over the key that signs marbles
	Quote        []byte            // over Root; empty in simulation
}

// RootDigest is what a manifest pins as mesh.root_certificate.
func (r Roots) RootDigest() canon.Digest { return canon.Sum(r.Root.Raw) }

// MarbleRun speaks MarbleRun's client API (HTTPS and JSON, version 2).
type MarbleRun struct { //nolint:revive // the name of the product that it speaks to, always in full
	addr string
	http *http.Client
}

// NewMarbleRun takes the address (host:port) of a client API. It never reuses a connection, so each answer has its own TLS peer.
func NewMarbleRun(addr string) *MarbleRun {
	return &MarbleRun{addr: addr, http: &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{
			MinVersion:         tls.VersionTLS13,
			InsecureSkipVerify: true, //nolint:gosec // G402: MarbleRun's certificate is its own root; Roots checks that TLS used it, pins decide
		},
	}}}
}

// State asks how far MarbleRun is.
func (m *MarbleRun) State(ctx context.Context) (State, error) {
	var out struct {
		Code State `json:"code"`
	}
	if _, err := m.do(ctx, http.MethodGet, "status", nil, &out); err != nil {
		return 0, err
	}
	return out.Code, nil
}

// Roots fetches the certificates and checks that they belong together and that the server holds the root's key.
func (m *MarbleRun) Roots(ctx context.Context) (Roots, error) {
	var out struct {
		Cert  string `json:"cert"`
		Quote []byte `json:"quote"`
	}
	peer, err := m.do(ctx, http.MethodGet, "quote", nil, &out)
	if err != nil {
		return Roots{}, err
	}
	certs, err := readCertificates([]byte(out.Cert), 2) // intermediate, root
	if err != nil {
		return Roots{}, m.fail("quote", err)
	}
	r := Roots{Intermediate: certs[0], Root: certs[1], Quote: out.Quote}
	if !r.Root.Equal(peer) {
		return Roots{}, m.fail("quote", errors.New("the server's TLS certificate is not the root that it tells: something sits between"))
	}
	pool := x509.NewCertPool()
	pool.AddCert(r.Root)
	_, err = r.Intermediate.Verify(x509.VerifyOptions{
		Roots: pool, CurrentTime: time.Now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return Roots{}, m.fail("quote", fmt.Errorf("intermediate certificate: %w", err))
	}
	return r, nil
}

// Manifest fetches the MarbleRun manifest in force and checks root's signature over it.
func (m *MarbleRun) Manifest(ctx context.Context, root *x509.Certificate) ([]byte, error) {
	var out struct {
		Signature []byte `json:"manifestSignatureRootECDSA"`
		Manifest  []byte `json:"manifest"`
	}
	if _, err := m.do(ctx, http.MethodGet, "manifest", nil, &out); err != nil {
		return nil, err
	}
	key, ok := root.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return nil, m.fail("manifest", fmt.Errorf("root has a key of type %T, not ECDSA", root.PublicKey))
	}
	if sum := sha256.Sum256(out.Manifest); !ecdsa.VerifyASN1(key, sum[:], out.Signature) {
		return nil, m.fail("manifest", errors.New("its signature is not by the root certificate"))
	}
	return out.Manifest, nil
}

// SetManifest sets the MarbleRun manifest, which is possible once in the life of a mesh.
func (m *MarbleRun) SetManifest(ctx context.Context, manifest []byte) error {
	in := struct {
		Manifest []byte `json:"manifest"`
	}{manifest}
	_, err := m.do(ctx, http.MethodPost, "manifest", in, nil)
	return err
}

// do makes one call and gives the certificate that the server used.
func (m *MarbleRun) do(ctx context.Context, method, path string, in, out any) (*x509.Certificate, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, m.fail(path, err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "https://"+m.addr+"/api/v2/"+path, body)
	if err != nil {
		return nil, m.fail(path, err)
	}
	resp, err := m.http.Do(req)
	if err != nil {
		return nil, m.fail(path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse))
	if err != nil {
		return nil, m.fail(path, err)
	}
	var wrapped struct {
		Status, Message string
		Data            json.RawMessage
	}
	if err := json.Unmarshal(raw, &wrapped); err != nil || wrapped.Status != "success" {
		return nil, m.fail(path, fmt.Errorf("HTTP %d: %s", resp.StatusCode, wrapped.Message))
	}
	if out != nil {
		if err := json.Unmarshal(wrapped.Data, out); err != nil {
			return nil, m.fail(path, err)
		}
	}
	return resp.TLS.PeerCertificates[0], nil
}

func (m *MarbleRun) fail(path string, err error) error {
	return fmt.Errorf("marble: MarbleRun client API %s, %s: %w", m.addr, path, err)
}
