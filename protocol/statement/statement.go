// Package statement is the one kind of signed statement by which organisations and people change the state of a collaboration:
// propose, approve, reject, pause, resume, revoke, delete, offboard, leave, approve_plan.
//
// Invariant: a statement that Parse or Verify returned names ledger, collaboration, version and subject, so it means nothing for
// another of any of them. All participants who approve a manifest sign identical bytes.
//
// Sees: metadata
package statement

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/dsse"
	"concordat.dev/protocol/key"
)

const (
	// PayloadType is the DSSE payload type of statements.
	PayloadType = "application/vnd.concordat.statement+json"
	// Type is the only value of a statement's type.
	Type = "concordat.dev/statement/v1"
	// MaxReason is the length of a reason in bytes.
	MaxReason = 2000
	maxPerson = 128
)

// Action is what a statement does.
type Action string

// The actions. Subject is the digest of the manifest's canonical JSON, for Delete the digest of the sealed dataset, for ApprovePlan that of
// a query's plan.
const (
	Propose     Action = "propose"
	Approve     Action = "approve"
	Reject      Action = "reject"
	Pause       Action = "pause"
	Resume      Action = "resume"
	Revoke      Action = "revoke"
	Delete      Action = "delete"
	Offboard    Action = "offboard"     // a participant takes all authority from one of its own people
	Leave       Action = "leave"        // a participant leaves: the next version is without it
	ApprovePlan Action = "approve_plan" // an owner lets a query run, where the manifest asks for reviews
)

// Actions are all actions.
var Actions = []Action{Propose, Approve, Reject, Pause, Resume, Revoke, Delete, Offboard, Leave, ApprovePlan}

// ErrInvalid says that a statement has a field that it must not have, or lacks one.
var ErrInvalid = errors.New("invalid statement")

// Statement is what is signed, as canonical JSON. Propose and Approve carry no reason, nonce or issued; the others carry a nonce (16 to
// 64 hex digits, never used twice) and issued (RFC 3339 in UTC, whole seconds); Reject needs a reason. Person is of Offboard alone.
type Statement struct {
	Type          string       `json:"type"`
	Action        Action       `json:"action"`
	Ledger        string       `json:"ledger"`
	Collaboration string       `json:"collaboration"`
	Version       int          `json:"version"`
	Subject       canon.Digest `json:"subject"`
	Reason        string       `json:"reason,omitempty"`
	Nonce         string       `json:"nonce,omitempty"`
	Issued        string       `json:"issued,omitempty"`
	Person        string       `json:"person,omitempty"`
}

var (
	ledgerForm        = regexp.MustCompile(`^[0-9a-f]{32}$`)
	collaborationForm = regexp.MustCompile(`^[a-z][a-z0-9_-]*(\.[a-z0-9_-]+)*$`)
	nonceForm         = regexp.MustCompile(`^[0-9a-f]{16,64}$`)
)

// Validate says what is wrong with s, in an error that matches ErrInvalid.
func (s Statement) Validate() error {
	bad := func(field, want string) error {
		return fmt.Errorf("%w: %s of %s: want %s", ErrInvalid, field, s.Action, want)
	}
	switch {
	case s.Type != Type:
		return bad("type", Type)
	case !slices.Contains(Actions, s.Action):
		return fmt.Errorf("%w: unknown action %.40q", ErrInvalid, s.Action)
	case !ledgerForm.MatchString(s.Ledger):
		return bad("ledger", "32 hex digits")
	case len(s.Collaboration) > 64 || !collaborationForm.MatchString(s.Collaboration):
		return bad("collaboration", "the id of a collaboration")
	case s.Version < 1:
		return bad("version", "1 or more")
	case !s.Subject.Valid():
		return bad("subject", "a sha256 digest")
	case len(s.Reason) > MaxReason:
		return bad("reason", fmt.Sprintf("at most %d bytes", MaxReason))
	case (s.Person != "") != (s.Action == Offboard) || len(s.Person) > maxPerson:
		return bad("person", "the id of a person, of offboard alone")
	}
	if s.Action == Propose || s.Action == Approve {
		if s.Reason != "" || s.Nonce != "" || s.Issued != "" {
			return bad("reason, nonce and issued", "none, so that all signers sign the same bytes")
		}
		return nil
	}
	if s.Action == Reject && s.Reason == "" {
		return bad("reason", "why the manifest is rejected")
	}
	if !nonceForm.MatchString(s.Nonce) {
		return bad("nonce", "16 to 64 hex digits")
	}
	if t, err := time.Parse(time.RFC3339, s.Issued); err != nil || t.UTC().Format(time.RFC3339) != s.Issued {
		return bad("issued", "RFC 3339 in UTC with whole seconds")
	}
	return nil
}

// Sign validates s and signs it with each key. A zero Type is filled in.
func Sign(s Statement, keys ...key.Private) (dsse.Envelope, error) {
	if s.Type == "" {
		s.Type = Type
	}
	if err := s.Validate(); err != nil {
		return dsse.Envelope{}, err
	}
	payload, err := canon.Marshal(s)
	if err != nil {
		return dsse.Envelope{}, err
	}
	return dsse.Sign(PayloadType, payload, keys...), nil
}

// Parse reads and validates the payload of a statement. It checks no signature.
func Parse(payload []byte) (Statement, error) {
	var s Statement
	if err := canon.Unmarshal(payload, &s); err != nil {
		return Statement{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := s.Validate(); err != nil {
		return Statement{}, err
	}
	return s, nil
}

// Verify returns the statement in e and those of the allowed keys that signed it, at least one.
func Verify(e dsse.Envelope, allowed []key.Public) (Statement, []key.Public, error) {
	signers, err := e.Verify(PayloadType, allowed)
	if err != nil {
		return Statement{}, nil, fmt.Errorf("verify statement: %w", err)
	}
	s, err := Parse(e.Payload)
	if err != nil {
		return Statement{}, nil, fmt.Errorf("verify statement: %w", err)
	}
	return s, signers, nil
}
