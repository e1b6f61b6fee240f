// Package software makes and checks quotes signed by a software key, for tests and simulation. It stands where hardware would stand and
// decides as hardware would; it protects nothing, and every result says so (Hardware is false).
//
// Sees: nothing real
package software

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/evidence"
	"concordat.dev/protocol/key"
)

const reportType = "concordat.dev/software-quote/v1"

// Hardware stands for the processors of a vendor: one signing key.
type Hardware struct{ key key.Private }

// NewHardware makes hardware with a key of its own.
func NewHardware() (Hardware, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return Hardware{}, fmt.Errorf("software quotes: %w", err)
	}
	k, err := key.FromSeed(private.Seed())
	return Hardware{k}, err
}

// report is what the key signs, as canonical JSON.
type report struct {
	Type        string `json:"type"`
	Measurement string `json:"measurement"`
	Debug       bool   `json:"debug"`
	Data        []byte `json:"data"`
}

type signed struct {
	Report    []byte `json:"report"`
	Signature []byte `json:"signature"`
}

// Quote signs what an enclave of that measurement (hex) wants to have signed: at most 64 bytes, zeros follow.
func (h Hardware) Quote(measurement string, debug bool, data []byte) (evidence.Evidence, error) {
	full := make([]byte, 64)
	if copy(full, data) < len(data) {
		return evidence.Evidence{}, fmt.Errorf("software quote: %d bytes of data, at most %d", len(data), len(full))
	}
	raw, err := canon.Marshal(report{reportType, measurement, debug, full})
	if err != nil {
		return evidence.Evidence{}, fmt.Errorf("software quote: %w", err)
	}
	quote, err := canon.Marshal(signed{raw, h.key.Sign(raw)})
	return evidence.Evidence{Kind: evidence.Software, Report: quote}, err
}

// Verifier trusts one such hardware.
func (h Hardware) Verifier() evidence.Verifier { return verifier{h.key.Public()} }

type verifier struct{ key key.Public }

func (verifier) Kind() evidence.Kind { return evidence.Software }

func (v verifier) Verify(e evidence.Evidence, _ time.Time) (evidence.Result, error) {
	var s signed
	if err := canon.Unmarshal(e.Report, &s); err != nil {
		return evidence.Result{}, fmt.Errorf("%w: %w", evidence.ErrMalformed, err)
	}
	if !v.key.Verify(s.Report, s.Signature) {
		return evidence.Result{}, evidence.ErrSignature
	}
	var r report
	if err := canon.Unmarshal(s.Report, &r); err != nil || r.Type != reportType || len(r.Data) != 64 {
		return evidence.Result{}, fmt.Errorf("%w: not a software quote", evidence.ErrMalformed)
	}
	if _, err := hex.DecodeString(r.Measurement); err != nil {
		return evidence.Result{}, fmt.Errorf("%w: measurement: %w", evidence.ErrMalformed, err)
	}
	return evidence.Result{
		Kind: evidence.Software, Measurement: r.Measurement, Debug: r.Debug, Firmware: "UpToDate", Data: r.Data,
		Claims: []string{"all of it: a software key signed, no hardware"},
	}, nil
}
