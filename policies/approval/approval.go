// Package approval judges who agreed to a manifest: whether a proposal may be made, which participants have signed it, whether that
// is all of them, and who stands behind a pause, a resumption or a revocation.
//
// Invariant: pure; a manifest is complete only when every participant of it and of the version before it, each with its
// threshold of keys, signed exactly its bytes, for this ledger and version; or when it is one of the amendments for which the version
// before asks less (Version.Status).
//
// Sees: metadata
package approval

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/dsse"
	"concordat.dev/protocol/key"
	"concordat.dev/protocol/statement"
)

// The reasons why a proposal or a signature does not count.
var (
	ErrVersion   = errors.New("not the next version of this collaboration")
	ErrMesh      = errors.New("the manifest pins another mesh than the one that runs")
	ErrSigner    = errors.New("not signed by a key that may do this")
	ErrSubject   = errors.New("the statement is about something else")
	ErrExpired   = errors.New("the manifest's last day has passed")
	ErrThreshold = errors.New("fewer keys signed than the participant's threshold asks for")
)

// Mesh is the mesh that runs, as manifests pin it. Voters are the node keys of the coordinators.
type Mesh = document.Mesh

// Proposal is a manifest that somebody proposes, with what it is judged against.
type Proposal struct {
	Bundle   *document.Bundle
	Digest   canon.Digest       // of the manifest's canonical JSON
	Previous *document.Manifest // the newest version that was active, nil for the first
	Mesh     Mesh               // that runs
	Founders []string           // keys that may propose a first version
	Now      time.Time
}

// Check judges the proposal and its envelope, and returns the key that proposed. All reasons are joined.
func (p Proposal) Check(envelope dsse.Envelope) (key.Public, error) {
	m := p.Bundle.Manifest
	errs := []error{checkMesh(m.Mesh, p.Mesh)}
	if p.Previous != nil && Succeeds(m.Mesh, p.Mesh) {
		errs = []error{checkSuccessor(m.Mesh, p.Mesh)}
	}
	version, proposers := 1, p.Founders
	if p.Previous != nil {
		version, proposers = p.Previous.Version+1, keysOf(p.Previous)
		if m.Collaboration != p.Previous.Collaboration {
			errs = append(errs, fmt.Errorf("%w: collaboration %q, not %q", ErrSubject, m.Collaboration, p.Previous.Collaboration))
		}
	}
	if m.Version != version {
		errs = append(errs, fmt.Errorf("%w: it is version %d, the next one is %d", ErrVersion, m.Version, version))
	}
	if Expired(m, p.Now) {
		errs = append(errs, fmt.Errorf("%w: %s", ErrExpired, m.Expires))
	}
	for _, part := range m.Participants {
		if len(part.Keys) == 0 {
			errs = append(errs, fmt.Errorf("%w: participant %s has no keys", ErrSigner, part.ID))
		}
	}
	s, signers, err := verify(envelope, proposers)
	if err != nil {
		return key.Public{}, errors.Join(append(errs, err)...)
	}
	errs = append(errs, about(s, statement.Propose, m, p.Digest, p.Mesh.Ledger))
	return signers[0], errors.Join(errs...)
}

func checkMesh(pinned *document.Mesh, runs Mesh) error {
	if pinned == nil {
		return fmt.Errorf("%w: it pins none; copy the pins from `concordat status`", ErrMesh)
	}
	var errs []error
	for _, f := range []struct{ name, want, have string }{
		{"mode", pinned.Mode, runs.Mode},
		{"marblerun_manifest", pinned.MarbleRunManifest, runs.MarbleRunManifest},
		{"root_certificate", pinned.RootCertificate, runs.RootCertificate},
		{"coordinator", pinned.Coordinator, runs.Coordinator},
		{"ledger", pinned.Ledger, runs.Ledger},
	} {
		if f.want != f.have {
			errs = append(errs, fmt.Errorf("%w: mesh.%s is %s, it pins %s", ErrMesh, f.name, f.have, f.want))
		}
	}
	if !slices.Equal(pinned.Inherits, runs.Inherits) {
		errs = append(errs, fmt.Errorf("%w: mesh.inherits are %v, it pins %v", ErrMesh, runs.Inherits, pinned.Inherits))
	}
	if len(pinned.Voters) > 0 && !sameSet(pinned.Voters, runs.Voters) {
		errs = append(errs, fmt.Errorf("%w: mesh.voters are %v, it pins %v", ErrMesh, runs.Voters, pinned.Voters))
	}
	return errors.Join(errs...)
}

// Approve checks an approval envelope for a manifest and returns the keys that signed it. Allowed are the keys of its participants
// and of the version before.
func Approve(envelope dsse.Envelope, m, previous *document.Manifest, digest canon.Digest) ([]key.Public, error) {
	allowed := keysOf(m)
	if previous != nil {
		allowed = append(allowed, keysOf(previous)...)
	}
	s, signers, err := verify(envelope, allowed)
	if err != nil {
		return nil, err
	}
	return signers, about(s, statement.Approve, m, digest, m.Mesh.Ledger)
}

// Expired says whether the manifest's last day has passed, in UTC. A date that can't be read has passed.
func Expired(m *document.Manifest, now time.Time) bool {
	last, err := time.Parse(time.DateOnly, m.Expires)
	return err != nil || !now.Before(last.AddDate(0, 0, 1))
}

func verify(envelope dsse.Envelope, allowed []string) (statement.Statement, []key.Public, error) {
	keys, err := parseKeys(allowed)
	if err != nil {
		return statement.Statement{}, nil, err
	}
	s, signers, err := statement.Verify(envelope, keys)
	if err != nil {
		return statement.Statement{}, nil, notSigned(err)
	}
	return s, signers, nil
}

func parseKeys(allowed []string) ([]key.Public, error) {
	keys := make([]key.Public, 0, len(allowed))
	for _, text := range allowed {
		k, err := key.ParsePublic(text)
		if err != nil {
			return nil, notSigned(err)
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// notSigned says which keys may, where the signature itself is that of another.
func notSigned(err error) error {
	if errors.Is(err, dsse.ErrNoSignature) {
		return fmt.Errorf("%w: it takes the key of an organisation, such as --key clinic.key; a steward's own only deletes data and approves plans (%w)", ErrSigner, err)
	}
	return fmt.Errorf("%w: %w", ErrSigner, err)
}

func about(s statement.Statement, action statement.Action, m *document.Manifest, digest canon.Digest, ledger string) error {
	switch {
	case s.Action != action:
		return fmt.Errorf("%w: it says %s, not %s", ErrSubject, s.Action, action)
	case s.Ledger != ledger:
		return fmt.Errorf("%w: ledger %s, not %s", ErrSubject, s.Ledger, ledger)
	case s.Collaboration != m.Collaboration:
		return fmt.Errorf("%w: collaboration %s, not %s", ErrSubject, s.Collaboration, m.Collaboration)
	case s.Version != m.Version:
		return fmt.Errorf("%w: version %d, not %d", ErrSubject, s.Version, m.Version)
	case s.Subject != digest:
		return fmt.Errorf("%w: digest %s, not %s", ErrSubject, s.Subject, digest)
	}
	return nil
}

func keysOf(m *document.Manifest) []string {
	var keys []string
	for _, p := range m.Participants {
		keys = append(keys, p.Keys...)
	}
	return keys
}

func sameSet(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(slices.Compact(a), slices.Compact(b))
}
