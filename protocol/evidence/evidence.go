// Package evidence is the seam between Concordat and the hardware that vouches for a program: evidence of a kind goes in, and what a
// verifier of that kind proved comes out, in words that are the same for all kinds. The kinds are packages of their own (sgx,
// software), so that only who verifies links them.
//
// Invariant: Check passes only for a program of the wanted measurement, not debuggable, on hardware of acceptable firmware, whose
// evidence was made over the wanted data. What a verifier could not prove stands in Claims.
//
// Sees: metadata
package evidence

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Kind names a form of evidence.
type Kind string

// The kinds. TDX and SNP are names kept free: nothing verifies them yet. Software is no hardware at all: a key signs what a program says of
// itself, for tests.
const (
	SGX      Kind = "sgx-dcap"  // Intel SGX quote, version 3, bare or with the header of Open Enclave as EGo and MarbleRun send it
	TDX      Kind = "tdx"       // Intel TDX quote, version 4
	SNP      Kind = "sev-snp"   // AMD SEV-SNP attestation report
	MAA      Kind = "azure-maa" // token of Azure Attestation over an SGX quote: Microsoft's word for what it verified
	Software Kind = "software"
)

// Evidence is a report of hardware, and what its vendor said about that hardware at the time. The form of Collateral depends on the kind;
// it is canonical JSON.
type Evidence struct {
	Kind       Kind            `json:"kind"`
	Report     []byte          `json:"report"`
	Collateral json.RawMessage `json:"collateral,omitempty"`
}

// MaxReport and MaxCollateral bound what verifiers read.
const (
	MaxReport     = 64 << 10
	MaxCollateral = 1 << 20
)

// The reasons of verifiers and of Check.
var (
	ErrKind        = errors.New("evidence of a kind that this program cannot check")
	ErrMalformed   = errors.New("malformed evidence")
	ErrSignature   = errors.New("the evidence is not signed by the vendor's hardware")
	ErrCollateral  = errors.New("what the vendor says of the hardware is missing, outdated or not for it")
	ErrRevoked     = errors.New("the vendor revoked this hardware's certificate")
	ErrMeasurement = errors.New("the hardware vouches for another program")
	ErrData        = errors.New("the evidence was made over other data")
	ErrDebug       = errors.New("the program runs in debug mode: its host can read it")
	ErrFirmware    = errors.New("the hardware's firmware is not in a state that protects")
	ErrSoftware    = errors.New("a software quote proves nothing about hardware")
)

// Result is what a verifier proved.
type Result struct {
	Kind        Kind
	Hardware    bool   // false: a software key signed, for tests and simulation
	Measurement string // of the program, lower-case hex: MRENCLAVE, MRTD or the launch measurement
	Signer      string // of the program, lower-case hex, where hardware knows one: MRSIGNER
	Product     uint16 // ISVPRODID
	Version     uint16 // ISVSVN
	Debug       bool
	Firmware    string    // the vendor's word for the state of the platform: UpToDate, SWHardeningNeeded, OutOfDate, …
	Advisories  []string  // known weaknesses that the vendor lists for it
	Until       time.Time // when the collateral has to be renewed
	Data        []byte    // 64 bytes that the program had signed
	Claims      []string  // what is assumed and was not proved
}

// Verifier checks evidence of one kind, as of a time: certificates and collateral must not have ended by then.
type Verifier interface {
	Kind() Kind
	Verify(e Evidence, at time.Time) (Result, error)
}

// Verify has the verifier of e's kind check it.
func Verify(verifiers []Verifier, e Evidence, at time.Time) (Result, error) {
	if len(e.Report) > MaxReport || len(e.Collateral) > MaxCollateral {
		return Result{}, fmt.Errorf("%s: %w: report of %d bytes, collateral of %d", e.Kind, ErrMalformed, len(e.Report), len(e.Collateral))
	}
	i := slices.IndexFunc(verifiers, func(v Verifier) bool { return v.Kind() == e.Kind })
	if i < 0 {
		return Result{}, fmt.Errorf("%w: %.40q", ErrKind, e.Kind)
	}
	r, err := verifiers[i].Verify(e, at)
	if err != nil {
		return Result{}, fmt.Errorf("%s: %w", e.Kind, err)
	}
	return r, nil
}

// Want is what evidence has to be about.
type Want struct {
	Measurement string // lower-case hex
	Data        []byte // what the program's 64 bytes begin with; zeros must follow
}

// firmware are the states in which secrets are safe from known attacks if the program follows Intel's advice on software; MarbleRun
// accepts the same by default. AMD's reports carry versions only: see snp. AzureBaseline is Azure Attestation's judgement under a policy that the
// verifier was given: its tokens name no state.
var firmware = []string{"UpToDate", "SWHardeningNeeded", AzureBaseline}

// AzureBaseline is the firmware of a platform that Azure Attestation accepted.
const AzureBaseline = "AzureBaseline"

// Check says why r does not prove w. Evidence made by software fails too, unless simulation is accepted.
func (r Result) Check(w Want, simulation bool) error {
	data := make([]byte, len(r.Data))
	copy(data, w.Data)
	switch {
	case !r.Hardware && !simulation:
		return ErrSoftware
	case w.Measurement == "" || r.Measurement != w.Measurement:
		return fmt.Errorf("%w: measurement %s, want %s", ErrMeasurement, r.Measurement, w.Measurement)
	case len(w.Data) == 0 || len(w.Data) > len(r.Data) || !bytes.Equal(r.Data, data):
		return fmt.Errorf("%w: %x, want %x", ErrData, r.Data, w.Data)
	case r.Debug:
		return ErrDebug
	case !slices.Contains(firmware, r.Firmware):
		return fmt.Errorf("%w: %s %v", ErrFirmware, r.Firmware, r.Advisories)
	}
	return nil
}

// String says what was proved, for a line of a checklist.
func (r Result) String() string {
	s := fmt.Sprintf("%s: program %s", r.Kind, r.Measurement)
	if r.Signer != "" {
		s += fmt.Sprintf(" by signer %s, product %d, version %d", r.Signer, r.Product, r.Version)
	}
	s += ", debug off"
	if r.Debug {
		s = s[:len(s)-len("off")] + "ON"
	}
	s += ", firmware " + r.Firmware
	if len(r.Advisories) > 0 {
		s += fmt.Sprintf(" %v", r.Advisories)
	}
	return s
}
