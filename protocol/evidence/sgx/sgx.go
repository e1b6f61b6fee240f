// Package sgx verifies Intel SGX quotes (DCAP, ECDSA) in pure Go: the chain from Intel's root over the processor's certificate and the
// quoting enclave to the enclave's report, revocation, and the state of the platform by Intel's own tables.
//
// Why here and not by a library: docs/adr/0018-evidence.md. Certificates' extensions are read by github.com/google/go-tdx-guest/pcs,
// and tools/quotes compares every verdict with another implementation.
//
// Invariant: a Result is returned only when every signature up to Intel's root verifies, nothing in the chain is revoked, and
// collateral and certificates had not ended at the given time. Whether firmware and program are acceptable says Result.Check.
//
// Sees: metadata
package sgx

import (
	"bytes"
	"crypto/x509"
	_ "embed"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"time"

	"concordat.dev/protocol/evidence"
)

// intelRoot is Intel's "SGX Root CA", as published at https://certificates.trustedservices.intel.com; the same for all SGX and TDX.
//
//go:embed intel-sgx-root-ca.pem
var intelRoot []byte

// The subjects that Intel gives its certificates ("SGX PCK Certificate and CRL Specification").
const (
	namePCK        = "Intel SGX PCK Certificate"
	namePlatform   = "Intel SGX PCK Platform CA"
	nameProcessor  = "Intel SGX PCK Processor CA"
	nameTCBSigning = "Intel SGX TCB Signing"
)

// Verifier checks evidence of kind SGX. Collateral, where set, replaces that of the evidence.
type Verifier struct {
	root       *x509.Certificate
	Collateral *Collateral
}

// New trusts Intel's root.
func New() (*Verifier, error) {
	block, _ := pem.Decode(intelRoot)
	root, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("intel's root certificate: %w", err)
	}
	return WithRoot(root), nil
}

// WithRoot trusts another root than Intel's: for tests with hardware of their own.
func WithRoot(root *x509.Certificate) *Verifier { return &Verifier{root: root} }

// Kind is SGX.
func (v *Verifier) Kind() evidence.Kind { return evidence.SGX }

// Verify follows the quote to Intel's root as of a time.
func (v *Verifier) Verify(e evidence.Evidence, at time.Time) (evidence.Result, error) {
	q, err := parseQuote(e.Report)
	if err != nil {
		return evidence.Result{}, err
	}
	c := v.Collateral
	if c == nil {
		if c, err = ParseCollateral(e.Collateral); err != nil {
			return evidence.Result{}, err
		}
	}
	pck, intermediate := q.chain[0], q.chain[1]
	if !q.chain[2].Equal(v.root) {
		return evidence.Result{}, fmt.Errorf("%w: the chain ends in another root than Intel's", evidence.ErrSignature)
	}
	if n := intermediate.Subject.CommonName; pck.Subject.CommonName != namePCK || n != namePlatform && n != nameProcessor {
		return evidence.Result{}, fmt.Errorf("%w: %q by %q is not a processor's certificate", evidence.ErrSignature, pck.Subject.CommonName, n)
	}
	if err := v.checkChain(at, pck, intermediate); err != nil {
		return evidence.Result{}, err
	}
	tables, err := c.open(v, at)
	if err != nil {
		return evidence.Result{}, err
	}
	if err := tables.checkRevoked(v.root, intermediate, pck); err != nil {
		return evidence.Result{}, err
	}
	if err := q.checkSignatures(pck); err != nil {
		return evidence.Result{}, err
	}
	status, advisories, err := tables.status(pck, q.qe)
	if err != nil {
		return evidence.Result{}, err
	}
	if q.report.flags&flagInit == 0 {
		return evidence.Result{}, malformed("the enclave was not initialised")
	}
	return evidence.Result{
		Kind: evidence.SGX, Hardware: true, Measurement: hex.EncodeToString(q.report.enclave), Signer: hex.EncodeToString(q.report.signer),
		Product: q.report.product, Version: q.report.version, Debug: q.report.flags&flagDebug != 0, Firmware: status, Advisories: advisories,
		Until: tables.until(), Data: bytes.Clone(q.report.data),
	}, nil
}

// checkChain verifies a certificate by Intel's root, over an intermediate where there is one.
func (v *Verifier) checkChain(at time.Time, leaf *x509.Certificate, between ...*x509.Certificate) error {
	roots, pool := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(v.root)
	for _, c := range between {
		pool.AddCert(c)
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: pool, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil {
		return fmt.Errorf("%w: %q: %w", evidence.ErrSignature, leaf.Subject.CommonName, err)
	}
	return nil
}
