package enrol_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/dsse"
	"concordat.dev/protocol/enrol"
	"concordat.dev/protocol/key"
)

func TestEnrolmentIsByItsOwnKey(t *testing.T) {
	own, err := key.Generate()
	if err != nil {
		t.Fatal(err)
	}
	other, err := key.Generate()
	if err != nil {
		t.Fatal(err)
	}
	signed, err := enrol.Sign("dana@clinic.example", "clinic", own, time.Date(2026, 5, 1, 12, 0, 0, 5, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	e, err := enrol.Verify(signed)
	if err != nil || e.Key != own.Public().String() || e.Person != "dana@clinic.example" || e.Participant != "clinic" || e.Issued != "2026-05-01T12:00:00Z" {
		t.Fatalf("%+v %v", e, err)
	}
	for name, forged := range map[string]dsse.Envelope{
		"another key":  dsse.Sign(enrol.PayloadType, signed.Payload, other),
		"another type": dsse.Sign("application/json", signed.Payload, own),
		"other bytes":  {PayloadType: signed.PayloadType, Payload: append([]byte(" "), signed.Payload...), Signatures: signed.Signatures},
		"no signature": {PayloadType: signed.PayloadType, Payload: signed.Payload},
	} {
		if _, err := enrol.Verify(forged); !errors.Is(err, enrol.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	e.Key = other.Public().String()
	payload, err := canon.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := enrol.Verify(dsse.Sign(enrol.PayloadType, payload, own)); !errors.Is(err, enrol.ErrInvalid) {
		t.Errorf("for somebody else's key: %v", err)
	}
	for person, participant := range map[string]string{"Dana": "clinic", "": "clinic", "dana": "The Clinic", "ann": "", strings.Repeat("a", 200): "clinic"} {
		if _, err := enrol.Sign(person, participant, own, time.Now()); !errors.Is(err, enrol.ErrInvalid) {
			t.Errorf("%q of %q: %v", person, participant, err)
		}
	}
}
