// Package event is what most leaves of the log commit to: one thing that happened to a collaboration, as canonical JSON. (The leaf of a
// release commits to the body of its receipt instead.)
//
// Invariant: an event has one form of bytes, so that whoever holds it and the leaf's salt can compute the leaf.
//
// Sees: metadata
package event

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/grant"
)

// Type is the only value of an event's type.
const Type = "concordat.dev/event/v1"

// Reserve is the action of the event that a worker demands to find in the log.
const Reserve = "reserve"

// ErrInvalid says that an event has another form.
var ErrInvalid = errors.New("invalid event")

// Event is the body of a leaf.
type Event struct {
	Type          string          `json:"type"`
	Action        string          `json:"action"`
	Ledger        string          `json:"ledger"`
	Collaboration string          `json:"collaboration"` // empty for what concerns the whole ledger
	Time          string          `json:"time"`          // of the ledger, RFC 3339 with fractions of a second, UTC
	Detail        json.RawMessage `json:"detail"`
}

// Marshal writes an event as canonical JSON. The detail is anything that has a canonical form.
func Marshal(action, ledger, collaboration string, at time.Time, detail any) ([]byte, error) {
	out := canon.AppendString([]byte(`{"action":`), action)
	out = canon.AppendString(append(out, `,"collaboration":`...), collaboration)
	out, err := canon.Append(append(out, `,"detail":`...), detail)
	if err != nil {
		return nil, fmt.Errorf("event %s: %w", action, err)
	}
	out = canon.AppendString(append(out, `,"ledger":`...), ledger)
	out = canon.AppendString(append(out, `,"time":`...), at.UTC().Format(time.RFC3339Nano))
	out = canon.AppendString(append(out, `,"type":`...), Type)
	return append(out, '}'), nil
}

// Parse reads what Marshal wrote, and nothing else.
func Parse(body []byte) (Event, error) {
	var e Event
	if err := canon.Unmarshal(body, &e); err != nil {
		return Event{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if e.Type != Type || e.Action == "" || e.Ledger == "" {
		return Event{}, fmt.Errorf("%w: type %.60q, want %s with action and ledger", ErrInvalid, e.Type, Type)
	}
	return e, nil
}

// Reservation is the detail of a reserve event: which query may be executed once, over what, at which price.
type Reservation struct {
	Query    string          `json:"query"`
	Version  int             `json:"version"`  // of the manifest
	Manifest canon.Digest    `json:"manifest"` // of its canonical JSON
	Plan     canon.Digest    `json:"plan"`
	Question canon.Digest    `json:"question"`
	Datasets []grant.Dataset `json:"datasets"` // by id
	Price    []grant.Price   `json:"price"`    // by owner and namespace
}

// ReservationOf is the reservation that a leaf's body records.
func ReservationOf(body []byte) (Event, Reservation, error) {
	e, err := Parse(body)
	if err != nil {
		return Event{}, Reservation{}, err
	}
	var r Reservation
	if e.Action != Reserve {
		return Event{}, Reservation{}, fmt.Errorf("%w: action %.60q, want %s", ErrInvalid, e.Action, Reserve)
	}
	if err := canon.Unmarshal(e.Detail, &r); err != nil {
		return Event{}, Reservation{}, fmt.Errorf("%w: reservation: %w", ErrInvalid, err)
	}
	return e, r, nil
}
