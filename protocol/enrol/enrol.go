// Package enrol is how a person asks to be named in a manifest: their id, their participant and their key, signed by that key, so that
// whoever drafts the manifest inserts a key that its holder has, and no typing error.
//
// Invariant: an enrolment that Verify returned was signed by the key that it names. It gives no authority: the manifest does.
//
// Sees: metadata
package enrol

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/dsse"
	"concordat.dev/protocol/key"
)

const (
	// PayloadType is the DSSE payload type of enrolments.
	PayloadType = "application/vnd.concordat.enrolment+json"
	// Type is the only value of an enrolment's type.
	Type = "concordat.dev/enrolment/v1"
)

// ErrInvalid says that an enrolment lacks something, or was not signed by its own key.
var ErrInvalid = errors.New("invalid enrolment")

// Enrolment is what is signed, as canonical JSON. Issued is RFC 3339 in UTC with whole seconds.
type Enrolment struct {
	Type        string `json:"type"`
	Person      string `json:"person"`      // "dana@clinic.example"
	Participant string `json:"participant"` // "clinic"
	Key         string `json:"key"`         // "ed25519:…"
	Issued      string `json:"issued"`
}

// The forms that manifests ask of these ids.
var (
	personForm      = regexp.MustCompile(`^[a-z0-9][a-z0-9._+@-]{0,127}$`)
	participantForm = regexp.MustCompile(`^[a-z][a-z0-9_-]*(\.[a-z0-9_-]+)*$`)
)

func (e Enrolment) validate() error {
	issued, err := time.Parse(time.RFC3339, e.Issued)
	switch {
	case e.Type != Type:
		return fmt.Errorf("%w: type %.60q, want %s", ErrInvalid, e.Type, Type)
	case !personForm.MatchString(e.Person):
		return fmt.Errorf("%w: %.140q is no id of a person: write for instance dana@clinic.example, in lower case", ErrInvalid, e.Person)
	case len(e.Participant) > 64 || !participantForm.MatchString(e.Participant):
		return fmt.Errorf("%w: %.80q is no id of a participant", ErrInvalid, e.Participant)
	case err != nil || issued.UTC().Format(time.RFC3339) != e.Issued:
		return fmt.Errorf("%w: issued %.40q: want RFC 3339 in UTC with whole seconds", ErrInvalid, e.Issued)
	}
	return nil
}

// Sign makes the enrolment of a person with this key.
func Sign(person, participant string, k key.Private, now time.Time) (dsse.Envelope, error) {
	e := Enrolment{Type: Type, Person: person, Participant: participant, Key: k.Public().String(), Issued: now.UTC().Truncate(time.Second).Format(time.RFC3339)}
	if err := e.validate(); err != nil {
		return dsse.Envelope{}, err
	}
	payload, err := canon.Marshal(e)
	if err != nil {
		return dsse.Envelope{}, err
	}
	return dsse.Sign(PayloadType, payload, k), nil
}

// Parse reads and checks the payload of an enrolment. It checks no signature.
func Parse(payload []byte) (Enrolment, error) {
	var e Enrolment
	if err := canon.Unmarshal(payload, &e); err != nil {
		return e, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return e, e.validate()
}

// Verify returns an enrolment that its own key signed.
func Verify(envelope dsse.Envelope) (Enrolment, error) {
	e, err := Parse(envelope.Payload)
	if err != nil {
		return e, err
	}
	k, err := key.ParsePublic(e.Key)
	if err != nil {
		return e, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if _, err := envelope.Verify(PayloadType, []key.Public{k}); err != nil {
		return e, fmt.Errorf("%w: not signed by its own key: %w", ErrInvalid, err)
	}
	return e, nil
}
