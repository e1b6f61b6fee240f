package receipt

import (
	"crypto/x509"
	"fmt"
	"slices"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/checkpoint"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/evidence"
	"concordat.dev/protocol/grant"
	"concordat.dev/protocol/key"
)

// Options say what the verifier knows from elsewhere.
type Options struct {
	// Manifest is the digest of the manifest that the verifier trusts, of the version that the receipt names.
	Manifest canon.Digest
	// AnyManifest accepts the manifest in the receipt. Everything then rests on keys that the receipt itself brings.
	AnyManifest bool
	// RequireMode, if set, is the mode ("sgx") that the mesh must have.
	RequireMode string
	// Verifiers check the evidence of enclaves. Without the one that is needed a receipt of mode sgx fails.
	Verifiers []evidence.Verifier
	// Tightens judges whether a version only tightens policies of one owner who signed it (policies/approval.Tightens), where the version
	// before allows that. Without it, receipts under versions that not all signed fail.
	Tightens func(next, previous *document.Bundle, signers []key.Public) (owner string, ok bool)
}

// The steps of a verification, in order; their names are stable.
const (
	CheckManifest    = "manifest"
	CheckDocuments   = "documents"
	CheckApprovals   = "approvals"
	CheckRoot        = "root"
	CheckWorker      = "worker"
	CheckRelease     = "release"
	CheckResult      = "result"
	CheckGrant       = "grant"
	CheckRunner      = "runner"
	CheckSQL         = "sql"
	CheckPlan        = "plan"
	CheckCheckpoint  = "checkpoint"
	CheckInclusion   = "inclusion"
	CheckWitnesses   = "witnesses"
	CheckProgram     = "program"
	CheckAttestation = "attestation"
)

// verification carries what earlier steps proved to later ones.
type verification struct {
	Receipt
	options Options
	bundle  *document.Bundle
	root    *x509.Certificate
	pin     canon.Digest
	release Release
	subject canon.Digest
	grant   grant.Grant
	keys    grant.Keys
	head    checkpoint.Checkpoint
}

// step is one link of the chain. It proves, or fails with an error, or reports what is only claimed.
type step struct {
	name  string
	needs []string
	run   func(*verification) (Status, string, error)
}

var steps = []step{
	{CheckManifest, nil, (*verification).checkManifest},
	{CheckDocuments, nil, (*verification).checkDocuments},
	{CheckApprovals, []string{CheckDocuments}, (*verification).checkApprovals},
	{CheckRoot, []string{CheckDocuments}, (*verification).checkRoot},
	{CheckWorker, []string{CheckRoot}, (*verification).checkWorker},
	{CheckRelease, []string{CheckWorker}, (*verification).checkRelease},
	{CheckResult, []string{CheckWorker}, (*verification).checkResult},
	{CheckGrant, []string{CheckWorker}, (*verification).checkGrant},
	{CheckRunner, []string{CheckGrant}, (*verification).checkRunner},
	{CheckSQL, []string{CheckWorker}, (*verification).checkSQL},
	{CheckPlan, []string{CheckWorker}, (*verification).checkPlan},
	{CheckCheckpoint, []string{CheckGrant}, (*verification).checkCheckpoint},
	{CheckInclusion, []string{CheckCheckpoint}, (*verification).checkInclusion},
	{CheckWitnesses, []string{CheckCheckpoint}, (*verification).checkWitnesses},
	{CheckProgram, []string{CheckWorker}, (*verification).checkProgram},
	{CheckAttestation, []string{CheckGrant}, (*verification).checkAttestation},
}

// Verify checks every link of the receipt, offline.
func Verify(r Receipt, o Options) Report {
	v := &verification{Receipt: r, options: o}
	var report Report
	for _, s := range steps {
		c := Check{Name: s.name, Status: Failed}
		if i := slices.IndexFunc(s.needs, report.failed); i >= 0 {
			c.Detail = "not checked, since " + s.needs[i] + " failed"
		} else if status, detail, err := s.run(v); err != nil {
			c.Detail = err.Error()
		} else {
			c.Status, c.Detail = status, detail
		}
		report.Checks = append(report.Checks, c)
	}
	if v.bundle != nil && v.bundle.Manifest.Mesh != nil {
		report.Mode = v.bundle.Manifest.Mesh.Mode
	}
	if o.RequireMode != "" && o.RequireMode != report.Mode {
		report.Checks = append(report.Checks, Check{"mode", Failed, fmt.Sprintf("the mesh ran in mode %q; %q was demanded", report.Mode, o.RequireMode)})
	}
	report.Release, report.Grant = v.release, v.grant
	return report
}
