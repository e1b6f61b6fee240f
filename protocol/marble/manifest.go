package marble

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"

	"concordat.dev/protocol/canon"
)

// ErrManifest says that a MarbleRun manifest is not the one that Concordat writes.
var ErrManifest = errors.New("not a MarbleRun manifest of Concordat")

// Measurements are the 64 hex digits each that tell our two programs apart from all others: in SGX mode MRENCLAVE; in simulation
// the SHA-256 of the binary, which `concordat up` checks and MarbleRun does not.
type Measurements struct {
	Coordinator string
	Worker      string
}

// The parts of MarbleRun's manifest (v1.6.0, coordinator/manifest) that ours has. It is frozen: no users, so nobody can update it
// or read a secret; no recovery keys; and state sealed to the one MarbleRun build that participants pin (UniqueKey).
type (
	manifestForm struct {
		Packages map[string]packageForm
		Marbles  map[string]marbleForm
		Secrets  map[string]secretForm
		Config   configForm
	}
	packageForm    struct{ UniqueID string }
	parametersForm struct{ Env map[string]string }
	marbleForm     struct {
		Package    string
		Parameters parametersForm
	}
	secretForm struct {
		Type   string
		Size   int // bits
		Shared bool
	}
	configForm struct{ SealMode string }
)

var measurementForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

// Manifest writes the MarbleRun manifest of a mesh. It is a function of the measurements alone: everyone who builds the same
// programs gets the same bytes, and its digest can be signed before any mesh runs.
func Manifest(m Measurements) ([]byte, error) {
	form := manifestForm{
		Packages: map[string]packageForm{}, Marbles: map[string]marbleForm{}, Secrets: map[string]secretForm{},
		Config: configForm{SealMode: "UniqueKey"},
	}
	for marbleType, measurement := range map[string]string{Coordinator: m.Coordinator, Worker: m.Worker} {
		if !measurementForm.MatchString(measurement) {
			return nil, fmt.Errorf("marble: measurement of %s must be 64 hex digits, is %q", marbleType, measurement)
		}
		name, secret := "concordat-"+marbleType, marbleType+"_root"
		form.Packages[name] = packageForm{UniqueID: measurement}
		form.Secrets[secret] = secretForm{Type: "symmetric-key", Size: minSecret * 8, Shared: true}
		form.Marbles[marbleType] = marbleForm{Package: name, Parameters: parametersForm{
			Env: map[string]string{envSecret: "{{ hex .Secrets." + secret + " }}"},
		}}
	}
	return canon.Marshal(form)
}

// ReadManifest gives the measurements in a MarbleRun manifest after checking that it is byte for byte what Manifest writes for
// them: no user, role, further marble or other use of a secret can hide in it.
func ReadManifest(raw []byte) (Measurements, error) {
	var form manifestForm
	if err := json.Unmarshal(raw, &form); err != nil {
		return Measurements{}, fmt.Errorf("marble: %w: %w", ErrManifest, err)
	}
	m := Measurements{
		Coordinator: form.Packages["concordat-"+Coordinator].UniqueID,
		Worker:      form.Packages["concordat-"+Worker].UniqueID,
	}
	again, err := Manifest(m)
	if err != nil {
		return Measurements{}, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	if !bytes.Equal(raw, again) {
		return Measurements{}, fmt.Errorf("marble: %w: it says more than, or other than, the two measurements it names", ErrManifest)
	}
	return m, nil
}
