// Package attest stands in for SGX in tests of MarbleRun's admission: quotes signed by a software key (protocol/evidence/software), and a
// validator that checks them in earnest. It plugs into MarbleRun's own core where the enclave build plugs in EGo's.
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
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/edgelesssys/marblerun/coordinator/quote"

	"concordat.dev/protocol/evidence"
	"concordat.dev/protocol/evidence/software"
)

var errSubstance = errors.New("a package without UniqueID admits anything")

// Hardware stands for the CPUs of a vendor: one signing key.
type Hardware struct{ software.Hardware }

// NewHardware makes hardware with a key of its own.
func NewHardware() (*Hardware, error) {
	h, err := software.NewHardware()
	return &Hardware{h}, err
}

// Enclave is a program on this hardware.
func (h *Hardware) Enclave(uniqueID string, debug bool) Enclave { return Enclave{h, uniqueID, debug} }

// Enclave issues quotes about itself.
type Enclave struct {
	hardware *Hardware
	uniqueID string
	debug    bool
}

// Issue implements MarbleRun's quote.Issuer: over SHA-256 of the certificate, as in its enclave build (ertvalidator).
func (e Enclave) Issue(certificate []byte) ([]byte, error) {
	sum := sha256.Sum256(certificate)
	q, err := e.hardware.Quote(e.uniqueID, e.debug, sum[:])
	return q.Report, err
}

// Validate implements MarbleRun's quote.Validator. Why it refuses is one of the reasons of protocol/evidence.
func (h *Hardware) Validate(q, certificate []byte, p quote.PackageProperties, _ quote.InfrastructureProperties) error {
	if p.UniqueID == "" {
		return fmt.Errorf("attest: %w", errSubstance)
	}
	r, err := evidence.Verify([]evidence.Verifier{h.Verifier()}, evidence.Evidence{Kind: evidence.Software, Report: q}, time.Time{})
	if err != nil {
		return fmt.Errorf("attest: %w", err)
	}
	sum := sha256.Sum256(certificate)
	if err := r.Check(evidence.Want{Measurement: p.UniqueID, Data: sum[:]}, true); err != nil {
		return fmt.Errorf("attest: %w", err)
	}
	if !p.IsCompliant(quote.PackageProperties{UniqueID: r.Measurement, Debug: r.Debug}) {
		return fmt.Errorf("attest: %w: it does not comply with the package", evidence.ErrMeasurement)
	}
	return nil
}
