// Package membership is the signed statement by which organisations change the coordinators of a ledger: node_join, node_remove, and
// recover, by which a ledger whose majority is lost goes on from one checkpoint of its log.
//
// Invariant: a statement that Parse or Verify returned names its ledger and the number of the change, which is used once, so it means
// nothing for another ledger and nothing a second time. All organisations sign identical bytes.
//
// Sees: metadata
package membership

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/dsse"
	"concordat.dev/protocol/key"
)

const (
	// PayloadType is the DSSE payload type of these statements.
	PayloadType = "application/vnd.concordat.membership+json"
	// Type is the only value of a statement's type.
	Type = "concordat.dev/membership/v1"
	// MaxVoters is how many coordinators a ledger has at most.
	MaxVoters = 15
	// MaxReason is the length of a reason in bytes.
	MaxReason = 2000
)

// Action is what a statement does.
type Action string

// The actions.
const (
	Join    Action = "node_join"
	Remove  Action = "node_remove"
	Recover Action = "recover"
)

// Node is one coordinator: its own key, and where the others reach it.
type Node struct {
	Key     key.Public `json:"key"`
	Address string     `json:"address"` // host:port of its raft side
}

// Statement is what is signed, as canonical JSON.
type Statement struct {
	Type   string `json:"type"`
	Action Action `json:"action"`
	Ledger string `json:"ledger"`
	// Number of this change: one more than those that took effect before.
	Number int `json:"number"`
	// Node joins, or is removed; a node that is removed is named by its key alone.
	Node *Node `json:"node,omitempty"`
	// From is the checkpoint of the log from which a recovery goes on.
	From *Checkpoint `json:"from,omitempty"`
	// Voters are all coordinators after a recovery; the first one holds the state.
	Voters []Node `json:"voters,omitempty"`
	// Issued is when a recovery was drafted, RFC 3339 in UTC with whole seconds: the time of the ledger is not before it.
	Issued string `json:"issued,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// Checkpoint names a log by its size and root hash.
type Checkpoint struct {
	Size int64  `json:"size"`
	Root string `json:"root"` // base64, as in a checkpoint
}

// ErrInvalid says that a statement has a field that it must not have, or lacks one.
var ErrInvalid = errors.New("invalid statement about coordinators")

var ledgerForm = regexp.MustCompile(`^[0-9a-f]{32}$`)

// Validate says what is wrong with s, in an error that matches ErrInvalid.
func (s Statement) Validate() error {
	switch {
	case s.Type != Type:
		return s.bad("type", Type)
	case !ledgerForm.MatchString(s.Ledger):
		return s.bad("ledger", "32 hex digits")
	case s.Number < 1:
		return s.bad("number", "1 or more")
	case len(s.Reason) > MaxReason:
		return s.bad("reason", fmt.Sprintf("at most %d bytes", MaxReason))
	}
	switch s.Action {
	case Join, Remove:
		return s.validateNode()
	case Recover:
		return s.validateRecovery()
	default:
		return fmt.Errorf("%w: unknown action %.40q", ErrInvalid, s.Action)
	}
}

func (s Statement) bad(field, want string) error {
	return fmt.Errorf("%w: %s of %s: want %s", ErrInvalid, field, s.Action, want)
}

func (s Statement) validateNode() error {
	if s.Node == nil || s.Node.Key.IsZero() || s.Node.Key.SSH() {
		return s.bad("node", "the key of a coordinator")
	}
	if s.From != nil || len(s.Voters) > 0 || s.Issued != "" {
		return s.bad("from, voters and issued", "none: they are of recover")
	}
	if s.Action == Remove {
		if s.Node.Address != "" {
			return s.bad("node.address", "none: the key alone says who goes")
		}
		return nil
	}
	return s.reachable(*s.Node)
}

func (s Statement) reachable(n Node) error {
	host, port, err := net.SplitHostPort(n.Address)
	if err != nil || host == "" || port == "" || len(n.Address) > 255 {
		return s.bad("address", "host:port where the other coordinators reach it")
	}
	return nil
}

func (s Statement) validateRecovery() error {
	if s.Node != nil {
		return s.bad("node", "none: voters are all there are")
	}
	if s.From == nil || s.From.Size < 1 {
		return s.bad("from", "size and root of the log")
	}
	if _, err := tlog.ParseHash(s.From.Root); err != nil {
		return s.bad("from.root", "a hash in base64")
	}
	if len(s.Voters) == 0 || len(s.Voters) > MaxVoters {
		return s.bad("voters", fmt.Sprintf("1 to %d coordinators", MaxVoters))
	}
	for i, v := range s.Voters {
		if v.Key.IsZero() || v.Key.SSH() {
			return s.bad("voters", "the key of each coordinator")
		}
		if err := s.reachable(v); err != nil {
			return err
		}
		if slices.ContainsFunc(s.Voters[:i], func(o Node) bool { return o.Key == v.Key || o.Address == v.Address }) {
			return s.bad("voters", "each key and each address once")
		}
	}
	if _, err := s.Time(); err != nil {
		return s.bad("issued", "RFC 3339 in UTC with whole seconds")
	}
	return nil
}

// Time is when a recovery was drafted.
func (s Statement) Time() (time.Time, error) {
	t, err := time.Parse(time.RFC3339, s.Issued)
	if err == nil && t.UTC().Format(time.RFC3339) != s.Issued {
		err = errors.New("another form of time")
	}
	return t, err
}

// Payload validates s and writes the bytes that are signed. A zero Type is filled in.
func (s Statement) Payload() ([]byte, error) {
	if s.Type == "" {
		s.Type = Type
	}
	if err := s.Validate(); err != nil {
		return nil, err
	}
	return canon.Marshal(s)
}

// Sign signs s with each key.
func Sign(s Statement, keys ...key.Private) (dsse.Envelope, error) {
	payload, err := s.Payload()
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
		return Statement{}, nil, fmt.Errorf("verify statement about coordinators: %w", err)
	}
	s, err := Parse(e.Payload)
	if err != nil {
		return Statement{}, nil, fmt.Errorf("verify statement about coordinators: %w", err)
	}
	return s, signers, nil
}
