package keyrelease

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// The versions of the interfaces, as Azure/azure-rest-api-specs describes them: data-plane/Microsoft.Attestation 2022-08-01,
// data-plane/Microsoft.KeyVault 7.4.
const (
	attestVersion = "2022-08-01"
	vaultVersion  = "7.4"
	// metadata is the address of the machine's metadata service, on the machine's own link.
	metadata        = "http://169.254.169.254"
	metadataVersion = "2018-02-01"
	login           = "https://login.microsoftonline.com"
	// wrapBits is the size of the key pair that a key is released to: what Microsoft's own clients make.
	wrapBits = 2048
	// wrapping is how the vault wraps the key: OAEP with SHA-256 around an AES key, and that around the key (RFC 5649).
	wrapping = "RSA_AES_KEY_WRAP_256"
)

// azure releases one key.
type azure struct {
	cfg             Azure
	call            caller
	link            caller // to the metadata service
	roots           *x509.CertPool
	quote           func(data []byte) ([]byte, error)
	now             func() time.Time
	metadata, login string
}

// Sources gives a source for each vault of the file. quote asks the hardware for a quote whose report data is the SHA-256 of data, and zeros;
// nil where there is no hardware, which is an error: a vault releases to enclaves only.
func (f File) Sources(quote func(data []byte) ([]byte, error)) ([]Source, error) {
	if quote == nil {
		return nil, errors.New("vaults release keys to enclaves only, and this process is in none: leave the file of vaults away in mode simulation")
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(f.Roots)) {
		return nil, fmt.Errorf("%w: no roots", errConfig)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	var sources []Source
	for _, cfg := range f.Azure {
		sources = append(sources, azure{
			cfg: cfg, quote: quote, roots: roots, now: time.Now, metadata: metadata, login: login,
			call: caller{web: client(transport), wait: pause},
			link: caller{web: client(&http.Transport{}), wait: pause},
		})
	}
	return sources, nil
}

// client follows no redirection: a token or a secret must not go elsewhere.
func client(t http.RoundTripper) *http.Client {
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// Release has the enclave attested with a fresh key pair, and the vault release its key to that pair.
func (a azure) Release(ctx context.Context) ([]byte, error) {
	pair, err := rsa.GenerateKey(rand.Reader, wrapBits)
	if err != nil {
		return nil, fmt.Errorf("make a key pair: %w", err)
	}
	evidence, err := a.attest(ctx, &pair.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("attest: %w", err)
	}
	bearer, err := a.bearer(ctx)
	if err != nil {
		return nil, fmt.Errorf("sign in: %w", err)
	}
	nonce := rand.Text()
	body, err := json.Marshal(map[string]string{"target": evidence, "enc": wrapping, "nonce": nonce})
	if err != nil {
		return nil, err
	}
	var answer struct {
		Value string `json:"value"`
	}
	err = a.call.call(ctx, request{
		method: http.MethodPost, url: a.cfg.Key + "/release?api-version=" + vaultVersion, body: body,
		header: map[string]string{"Content-Type": "application/json", "Authorization": "Bearer " + bearer},
	}, &answer)
	if err != nil {
		return nil, fmt.Errorf("release: %w", err)
	}
	key, err := a.open(answer.Value, nonce, pair)
	if err != nil {
		return nil, fmt.Errorf("release of %s: %w", a.cfg.Key, err)
	}
	return key, nil
}

// attest quotes the public key and has Azure Attestation say so in a token.
func (a azure) attest(ctx context.Context, public *rsa.PublicKey) (string, error) {
	runtime, err := json.Marshal(map[string]any{"keys": []any{map[string]any{
		"kty": "RSA", "kid": "concordat", "use": "enc", "key_ops": []string{"encrypt"},
		"n": encode(public.N.Bytes()), "e": encode(big.NewInt(int64(public.E)).Bytes()),
	}}})
	if err != nil {
		return "", err
	}
	quote, err := a.quote(runtime)
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(map[string]any{
		"quote": encode(quote), "runtimeData": map[string]string{"data": encode(runtime), "dataType": "JSON"},
	})
	if err != nil {
		return "", err
	}
	var answer struct {
		Token string `json:"token"`
	}
	err = a.call.call(ctx, request{
		method: http.MethodPost, url: a.cfg.Attestation + "/attest/SgxEnclave?api-version=" + attestVersion, body: body,
		header: map[string]string{"Content-Type": "application/json"},
	}, &answer)
	if err == nil && strings.Count(answer.Token, ".") != 2 {
		err = fmt.Errorf("%s: %w: no token", a.cfg.Attestation, errAnswer)
	}
	return answer.Token, err
}

// bearer signs in for the vault's kind of service.
func (a azure) bearer(ctx context.Context) (string, error) {
	key, err := url.Parse(a.cfg.Key)
	if err != nil {
		return "", err
	}
	resource := "https://vault.azure.net"
	if strings.HasSuffix(key.Hostname(), ".managedhsm.azure.net") {
		resource = "https://managedhsm.azure.net"
	}
	by, r := a.link, request{header: map[string]string{"Metadata": "true"}, method: http.MethodGet}
	query := url.Values{"api-version": {metadataVersion}, "resource": {resource}}
	if id := a.cfg.Identity; id.Managed == "" {
		secret, err := os.ReadFile(id.SecretFile)
		if err != nil {
			return "", err
		}
		form := url.Values{"grant_type": {"client_credentials"}, "client_id": {id.Client}, "scope": {resource + "/.default"},
			"client_secret": {strings.TrimSpace(string(secret))}}
		by, r = a.call, request{method: http.MethodPost, url: a.login + "/" + url.PathEscape(id.Tenant) + "/oauth2/v2.0/token",
			body: []byte(form.Encode()), header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}}
	} else {
		if id.Managed != "system" {
			query.Set("client_id", id.Managed)
		}
		r.url = a.metadata + "/metadata/identity/oauth2/token?" + query.Encode()
	}
	var answer struct {
		Token string `json:"access_token"`
		Type  string `json:"token_type"`
	}
	if err := by.call(ctx, r, &answer); err != nil {
		return "", err
	}
	if answer.Token == "" || !strings.EqualFold(answer.Type, "Bearer") || strings.ContainsAny(answer.Token, " \r\n") {
		return "", fmt.Errorf("%w: no bearer token", errAnswer)
	}
	return answer.Token, nil
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
