// Package attest stands in for SGX in tests of MarbleRun's admission: quotes signed by a software key, and a validator that checks
// them in earnest. It plugs into MarbleRun's own core where the enclave build plugs in EGo's.
//
// Invariant: Validate accepts a quote only if this hardware signed it, over exactly this certificate, for an enclave that complies
// with the package.
//
// It is a module of its own: the module that builds MarbleRun must not get other versions of its dependencies, and so another
// measurement, because of a test.
//
// Sees: nothing real
package attest

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/edgelesssys/marblerun/coordinator/quote"
)

// The reasons of Validate.
var (
	ErrNone      = errors.New("no quote, or not one of this kind")
	ErrHardware  = errors.New("quote is not signed by the hardware")
	ErrSubject   = errors.New("quote is over another certificate")
	ErrPackage   = errors.New("enclave does not comply with the package")
	errSubstance = errors.New("a package without UniqueID admits anything")
)

// Hardware stands for the CPUs of a vendor: one signing key.
type Hardware struct {
	public  ed25519.PublicKey
	private ed25519.PrivateKey
}

// NewHardware makes hardware with a key of its own.
func NewHardware() (*Hardware, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("attest: %w", err)
	}
	return &Hardware{public, private}, nil
}

// Enclave is a program on this hardware.
func (h *Hardware) Enclave(uniqueID string, debug bool) Enclave { return Enclave{h, uniqueID, debug} }

// Enclave issues quotes about itself.
type Enclave struct {
	hardware *Hardware
	uniqueID string
	debug    bool
}

// report is what hardware says of an enclave.
type report struct {
	UniqueID string
	Debug    bool
	Data     []byte // SHA-256 of the certificate, as in MarbleRun's quotes (ertvalidator)
}

type signedReport struct{ Report, Signature []byte }

// Issue implements MarbleRun's quote.Issuer.
func (e Enclave) Issue(certificate []byte) ([]byte, error) {
	sum := sha256.Sum256(certificate)
	raw, err := json.Marshal(report{e.uniqueID, e.debug, sum[:]})
	if err != nil {
		return nil, fmt.Errorf("attest: %w", err)
	}
	return json.Marshal(signedReport{raw, ed25519.Sign(e.hardware.private, raw)})
}

// Validate implements MarbleRun's quote.Validator.
func (h *Hardware) Validate(q, certificate []byte, p quote.PackageProperties, _ quote.InfrastructureProperties) error {
	var s signedReport
	if err := json.Unmarshal(q, &s); err != nil {
		return fmt.Errorf("attest: %w: %w", ErrNone, err)
	}
	if !ed25519.Verify(h.public, s.Report, s.Signature) {
		return fmt.Errorf("attest: %w", ErrHardware)
	}
	var r report
	if err := json.Unmarshal(s.Report, &r); err != nil {
		return fmt.Errorf("attest: %w: %w", ErrNone, err)
	}
	if sum := sha256.Sum256(certificate); string(sum[:]) != string(r.Data) {
		return fmt.Errorf("attest: %w", ErrSubject)
	}
	if p.UniqueID == "" {
		return fmt.Errorf("attest: %w", errSubstance)
	}
	if !p.IsCompliant(quote.PackageProperties{UniqueID: r.UniqueID, Debug: r.Debug}) {
		return fmt.Errorf("attest: %w: it is %q, debug %t", ErrPackage, r.UniqueID, r.Debug)
	}
	return nil
}
