// Package attestation checks a running MarbleRun against the pins of a manifest before anything is entrusted to its mesh: root certificate,
// manifest, the programs that it admits, and the evidence that hardware gives for it.
//
// Invariant: what is called proved follows from the pins, from signatures and from evidence; MarbleRun's word alone proves nothing.
//
// Sees: metadata
package attestation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/evidence"
	"concordat.dev/protocol/marble"
	"concordat.dev/protocol/receipt"
)

// The checks, in order; their names are stable.
const (
	CheckMarbleRun   = "marblerun"
	CheckRoot        = "root"
	CheckManifest    = "manifest"
	CheckPrograms    = "programs"
	CheckAttestation = "attestation"
)

// Mesh is a MarbleRun, the pins that it is held against, and how evidence is checked.
type Mesh struct {
	Address   string // of MarbleRun's client API
	Pins      document.Mesh
	Verifiers []evidence.Verifier
	// Collateral gives what the vendor says of the machine that made a quote; nil: the verifier has it.
	Collateral func(ctx context.Context, quote []byte) (json.RawMessage, error)
	Now        time.Time
}

// Verify runs all checks. Those after one that failed are left out where they need it.
func (m Mesh) Verify(ctx context.Context) []receipt.Check {
	var out []receipt.Check
	add := func(name string, status receipt.Status, detail string, err error) bool {
		if err != nil {
			status, detail = receipt.Failed, err.Error()
		}
		out = append(out, receipt.Check{Name: name, Status: status, Detail: detail})
		return err == nil
	}
	api := marble.NewMarbleRun(m.Address)
	roots, err := api.Roots(ctx)
	if !add(CheckMarbleRun, receipt.Proved, fmt.Sprintf("%s holds the key of the root certificate that it shows", m.Address), err) {
		return out
	}
	if !add(CheckRoot, receipt.Proved, "the root certificate is the pinned one, "+m.Pins.RootCertificate, pinned("root certificate", roots.RootDigest(), m.Pins.RootCertificate)) {
		return out // what another root signs says nothing of the pinned mesh
	}
	manifest, err := api.Manifest(ctx, roots.Root)
	if err == nil {
		err = pinned("MarbleRun manifest", canon.Sum(manifest), m.Pins.MarbleRunManifest)
	}
	if add(CheckManifest, receipt.Proved, "the MarbleRun manifest in force is the pinned one, "+m.Pins.MarbleRunManifest, err) {
		status, detail, err := m.programs(manifest)
		add(CheckPrograms, status, detail, err)
	}
	status, detail, err := m.attestation(ctx, roots)
	add(CheckAttestation, status, detail, err)
	return out
}

func pinned(what string, have canon.Digest, want string) error {
	if have.String() != want {
		return fmt.Errorf("the %s is %s, the manifest pins %s", what, have, want)
	}
	return nil
}

// programs says which programs MarbleRun admits. That it admits no others rests on MarbleRun being what the quote says.
func (m Mesh) programs(manifest []byte) (receipt.Status, string, error) {
	p, err := marble.ReadManifest(manifest)
	if err != nil {
		return receipt.Failed, "", err
	}
	detail := fmt.Sprintf("coordinator %s, worker %s; nobody can change secrets or programs", p.Coordinator, p.Worker)
	if m.Pins.Mode != "sgx" {
		return receipt.Claimed, detail + "; in simulation MarbleRun measures none of them", nil
	}
	return receipt.Proved, detail, nil
}

func (m Mesh) attestation(ctx context.Context, roots marble.Roots) (receipt.Status, string, error) {
	if m.Pins.Mode != "sgx" {
		return receipt.Claimed, "simulation: there is no quote, and the host of every process could read all of it", nil
	}
	if len(roots.Quote) == 0 {
		return receipt.Failed, "", errors.New("MarbleRun has no quote: it runs in simulation")
	}
	e := evidence.Evidence{Kind: evidence.SGX, Report: roots.Quote}
	if m.Collateral != nil {
		var err error
		if e.Collateral, err = m.Collateral(ctx, roots.Quote); err != nil {
			return receipt.Failed, "", err
		}
	}
	return receipt.Attested(m.Pins, roots.Root.Raw, []evidence.Evidence{e}, m.Verifiers, m.Now)
}
