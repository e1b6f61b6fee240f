package receipt

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/evidence"
	"concordat.dev/protocol/marble"
)

const simulation = "simulation"

// checkProgram follows the pinned MarbleRun manifest to the one program that MarbleRun admits as a worker.
func (v *verification) checkProgram() (Status, string, error) {
	mesh, w := v.bundle.Manifest.Mesh, v.release.Worker
	if len(w.MarbleRun) == 0 {
		if mesh.Mode != simulation {
			return Failed, "", errors.New("MarbleRun's manifest is missing, which says what program a worker is")
		}
		return Claimed, "MarbleRun's manifest is not in this receipt: which program the worker was is not said", nil
	}
	if d := canon.Sum(w.MarbleRun).String(); d != mesh.MarbleRunManifest {
		return Failed, "", fmt.Errorf("the MarbleRun manifest is %s, the manifest pins %s", d, mesh.MarbleRunManifest)
	}
	m, err := marble.ReadManifest(w.MarbleRun)
	if err != nil {
		return Failed, "", err
	}
	if w.Measure != m.Worker {
		return Failed, "", fmt.Errorf("the worker says that it is %.80q, MarbleRun admits %s", w.Measure, m.Worker)
	}
	if mesh.Mode == simulation {
		return Claimed, fmt.Sprintf("the pinned MarbleRun manifest has worker %s, program %s; in simulation nobody measured it", m.Worker, w.Version), nil
	}
	return Proved, fmt.Sprintf("the pinned MarbleRun manifest admits worker %s alone; it calls itself %s", m.Worker, w.Version), nil
}

// checkAttestation checks that hardware vouches for MarbleRun's coordinator, which holds the root's key and measures all marbles. The time is
// that of the reservation: what a processor was worth when the query ran.
func (v *verification) checkAttestation() (Status, string, error) {
	mesh := v.bundle.Manifest.Mesh
	if mesh.Mode == simulation {
		return Claimed, "simulation: no hardware vouches for the programs, and operators could see the data", nil
	}
	at, err := time.Parse(time.RFC3339, v.grant.Reserved)
	if err != nil {
		return Failed, "", fmt.Errorf("time of the reservation: %w", err)
	}
	return Attested(*mesh, v.Root, v.release.Worker.Evidence, v.options.Verifiers, at)
}

// Attested checks all evidence that hardware of the pinned measurement, as of a time, made over the root certificate (DER) of a mesh in mode sgx.
func Attested(mesh document.Mesh, root []byte, all []evidence.Evidence, verifiers []evidence.Verifier, at time.Time) (Status, string, error) {
	if len(all) == 0 {
		return Failed, "", errors.New("mode sgx needs the evidence of MarbleRun's enclave, and there is none")
	}
	sum := sha256.Sum256(root)
	want := evidence.Want{Measurement: strings.TrimPrefix(mesh.Coordinator, "sha256:"), Data: sum[:]}
	var found []string
	for _, e := range all {
		r, err := evidence.Verify(verifiers, e, at)
		if err == nil {
			err = r.Check(want, false)
		}
		if err != nil {
			return Failed, "", err
		}
		found = append(found, r.String())
	}
	return Proved, fmt.Sprintf("as of %s hardware vouches for MarbleRun's coordinator, which holds the root's key (%s)", at.UTC().Format(time.DateOnly), strings.Join(found, "; ")), nil
}
