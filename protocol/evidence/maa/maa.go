// Package maa verifies tokens of Azure Attestation: JWTs in which Microsoft's service says what it verified of an SGX quote. Whoever accepts
// one trusts that service, its keys and its policy in place of Intel's chain, so all three are pinned: no key is ever fetched.
//
// Invariant: a Result comes only of a token that a pinned key of a pinned issuer signed with RS256, under a pinned policy, within its time.
//
// Sees: metadata
package maa

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"time"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/evidence"
)

// leeway is how far the service's clock may be ahead of the verifier's.
const leeway = time.Minute

// Trust is one issuer as a verifier pins it.
type Trust struct {
	Issuer   string   `json:"issuer"`   // https://NAME.REGION.attest.azure.net, as in the token's iss
	Keys     []Key    `json:"keys"`     // of the issuer's /certs, RSA only
	Policies []string `json:"policies"` // accepted x-ms-policy-hash: what the service demanded of firmware, among others
}

// Key is an RSA public key as a JSON Web Key (RFC 7517); numbers are big-endian base64url.
type Key struct {
	ID string `json:"kid"`
	N  string `json:"n"`
	E  string `json:"e"`
}

type issuer struct {
	keys     map[string]*rsa.PublicKey
	policies []string
}

type verifier struct{ issuers map[string]issuer }

var errTrust = errors.New("what is pinned of an attestation service is incomplete or malformed")

// New verifies tokens of these issuers. An issuer without keys or without policies is an error: it would accept nothing, or anything.
func New(trust ...Trust) (evidence.Verifier, error) {
	v := verifier{issuers: map[string]issuer{}}
	for _, t := range trust {
		if !strings.HasPrefix(t.Issuer, "https://") || len(t.Keys) == 0 || len(t.Policies) == 0 || slices.Contains(t.Policies, "") {
			return nil, fmt.Errorf("maa: %w: issuer %q, %d keys, %d policies", errTrust, t.Issuer, len(t.Keys), len(t.Policies))
		}
		i := issuer{keys: map[string]*rsa.PublicKey{}, policies: t.Policies}
		for _, k := range t.Keys {
			public, err := k.public()
			if err != nil {
				return nil, fmt.Errorf("maa: %w: issuer %s, key %q: %w", errTrust, t.Issuer, k.ID, err)
			}
			i.keys[k.ID] = public
		}
		v.issuers[t.Issuer] = i
	}
	return v, nil
}

// ReadTrust reads one pinned issuer; the file is canonical JSON, so that its digest can be agreed on.
func ReadTrust(raw []byte) (Trust, error) {
	var t Trust
	if err := canon.Unmarshal(raw, &t); err != nil {
		return t, fmt.Errorf("maa: %w: %w", errTrust, err)
	}
	return t, nil
}

func (k Key) public() (*rsa.PublicKey, error) {
	n, err := segment(k.N)
	if err != nil {
		return nil, err
	}
	e, err := segment(k.E)
	if err != nil {
		return nil, err
	}
	exponent := new(big.Int).SetBytes(e)
	if k.ID == "" || len(n) < 256 || len(n) > 1024 || !exponent.IsInt64() || exponent.Int64() < 3 || exponent.Int64() > 1<<31-1 {
		return nil, fmt.Errorf("no id, or not RSA of 2048 bits and more")
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent.Int64())}, nil
}

func segment(s string) ([]byte, error) { return base64.RawURLEncoding.Strict().DecodeString(s) }

func (verifier) Kind() evidence.Kind { return evidence.MAA }

// header is the JOSE header. Keys that come with a token (jku, x5c) are not looked at; extensions that must be understood are not.
type header struct {
	Algorithm string   `json:"alg"`
	KeyID     string   `json:"kid"`
	Critical  []string `json:"crit"`
}

// claims are those of an SGX token (API 2022-08-01). A pointer tells what is missing from what is zero.
type claims struct {
	Issuer      string  `json:"iss"`
	NotBefore   *int64  `json:"nbf"`
	Expires     *int64  `json:"exp"`
	Type        string  `json:"x-ms-attestation-type"`
	Policy      string  `json:"x-ms-policy-hash"`
	Debug       *bool   `json:"x-ms-sgx-is-debuggable"`
	Measurement string  `json:"x-ms-sgx-mrenclave"`
	Signer      string  `json:"x-ms-sgx-mrsigner"`
	Product     *uint16 `json:"x-ms-sgx-product-id"`
	Version     *uint16 `json:"x-ms-sgx-svn"`
	Data        string  `json:"x-ms-sgx-report-data"`
}

// Verify checks a token, the report of e, as of a time. There is no collateral: what has to be known beside the token is pinned.
func (v verifier) Verify(e evidence.Evidence, at time.Time) (evidence.Result, error) {
	if len(e.Collateral) > 0 {
		return evidence.Result{}, fmt.Errorf("%w: a token has no collateral", evidence.ErrMalformed)
	}
	c, i, err := v.open(string(e.Report))
	if err != nil {
		return evidence.Result{}, err
	}
	if c.NotBefore == nil || c.Expires == nil || at.Before(time.Unix(*c.NotBefore, 0).Add(-leeway)) || !at.Before(time.Unix(*c.Expires, 0)) {
		return evidence.Result{}, fmt.Errorf("%w: the token does not count at %s", evidence.ErrCollateral, at.UTC().Format(time.RFC3339))
	}
	if !slices.Contains(i.policies, c.Policy) {
		return evidence.Result{}, fmt.Errorf("%w: the service applied policy %.80q, which is not pinned", evidence.ErrCollateral, c.Policy)
	}
	return c.result()
}

// open checks the signature and gives what was signed.
func (v verifier) open(token string) (claims, issuer, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return claims{}, issuer{}, fmt.Errorf("%w: not a token of three parts", evidence.ErrMalformed)
	}
	var h header
	var c claims
	if err := errors.Join(decode(parts[0], &h), decode(parts[1], &c)); err != nil {
		return claims{}, issuer{}, err
	}
	i, ok := v.issuers[c.Issuer]
	if !ok {
		return claims{}, issuer{}, fmt.Errorf("%w: issuer %.80q is not pinned", evidence.ErrSignature, c.Issuer)
	}
	key, ok := i.keys[h.KeyID]
	if !ok || h.Algorithm != "RS256" || len(h.Critical) > 0 {
		return claims{}, issuer{}, fmt.Errorf("%w: algorithm %.20q, key %.80q of %s", evidence.ErrSignature, h.Algorithm, h.KeyID, c.Issuer)
	}
	signature, err := segment(parts[2])
	if err != nil {
		return claims{}, issuer{}, fmt.Errorf("%w: signature: %w", evidence.ErrMalformed, err)
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if err := rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature); err != nil {
		return claims{}, issuer{}, fmt.Errorf("%w: %w", evidence.ErrSignature, err)
	}
	return c, i, nil
}

func decode(part string, into any) error {
	raw, err := segment(part)
	if err != nil {
		return fmt.Errorf("%w: %w", evidence.ErrMalformed, err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("%w: %w", evidence.ErrMalformed, err)
	}
	return nil
}

var measurementForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

func (c claims) result() (evidence.Result, error) {
	data, err := hex.DecodeString(c.Data)
	switch {
	case c.Type != "sgx":
		return evidence.Result{}, fmt.Errorf("%w: a token about %.20q, want sgx", evidence.ErrMalformed, c.Type)
	case !measurementForm.MatchString(c.Measurement), !measurementForm.MatchString(c.Signer):
		return evidence.Result{}, fmt.Errorf("%w: no measurement or no signer", evidence.ErrMalformed)
	case c.Debug == nil, c.Product == nil, c.Version == nil:
		return evidence.Result{}, fmt.Errorf("%w: a claim about the enclave is missing", evidence.ErrMalformed)
	case err != nil, len(data) != 64:
		return evidence.Result{}, fmt.Errorf("%w: x-ms-sgx-report-data is not 64 bytes in hex", evidence.ErrMalformed)
	}
	return evidence.Result{
		Kind: evidence.MAA, Hardware: true, Measurement: c.Measurement, Signer: c.Signer, Product: *c.Product, Version: *c.Version,
		Debug: *c.Debug, Firmware: evidence.AzureBaseline, Until: time.Unix(*c.Expires, 0).UTC(), Data: data,
		Claims: []string{
			"Intel's signature over the quote and the state of the firmware: verified by Azure Attestation at " + c.Issuer + ", not here",
			"the service's policy " + c.Policy,
		},
	}, nil
}
