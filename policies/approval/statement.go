package approval

import (
	"fmt"
	"slices"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/dsse"
	"concordat.dev/protocol/statement"
)

// Participant checks a statement about a manifest and returns it with the participant that stands behind it: one of the manifest or, where
// there is one, of the version before it, who may object to what would follow. Pause and Offboard take one key, so that they are quick;
// everything else the participant's threshold.
func Participant(envelope dsse.Envelope, m, previous *document.Manifest, digest canon.Digest) (statement.Statement, string, error) {
	keys, participants := keysOf(m), m.Participants
	if previous != nil {
		keys, participants = append(keys, keysOf(previous)...), slices.Concat(participants, previous.Participants)
	}
	s, signers, err := verify(envelope, keys)
	if err != nil {
		return statement.Statement{}, "", err
	}
	if err := about(s, s.Action, m, subjectOf(s, digest), m.Mesh.Ledger); err != nil {
		return statement.Statement{}, "", err
	}
	signed := set(signers)
	for _, p := range participants {
		if !slices.Contains(p.Keys, signers[0].String()) {
			continue
		}
		if s.Action != statement.Pause && s.Action != statement.Offboard && !reached(p, signed) {
			return statement.Statement{}, "", fmt.Errorf("%w: %s of %s needs %d", ErrThreshold, s.Action, p.ID, p.Threshold)
		}
		return s, p.ID, nil
	}
	return statement.Statement{}, "", ErrSigner
}

// subjectOf is what a statement has to be about: the manifest, or what the caller has to look at: a dataset, a plan.
func subjectOf(s statement.Statement, manifest canon.Digest) canon.Digest {
	if s.Action == statement.Delete || s.Action == statement.ApprovePlan {
		return s.Subject
	}
	return manifest
}

// Steward checks a statement about the manifest in force that a steward signed with a key of their own, and returns it with the steward.
func Steward(envelope dsse.Envelope, m *document.Manifest, digest canon.Digest) (statement.Statement, document.Person, error) {
	var keys []string
	for _, p := range m.People {
		if slices.Contains(p.Roles, "steward") {
			keys = append(keys, p.Keys...)
		}
	}
	s, signers, err := verify(envelope, keys)
	if err != nil {
		return statement.Statement{}, document.Person{}, err
	}
	if err := about(s, s.Action, m, subjectOf(s, digest), m.Mesh.Ledger); err != nil {
		return statement.Statement{}, document.Person{}, err
	}
	who, _ := m.PersonByKey(signers[0].String())
	return s, who, nil
}
