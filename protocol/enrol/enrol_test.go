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
	"concordat.dev/protocol/webauthn/webauthntest"
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

// A passkey signs its enrolment in a browser.
func TestPasskey(t *testing.T) {
	p := webauthntest.New(t, "room.example")
	sign := func(key string) dsse.Envelope {
		payload, err := canon.Marshal(enrol.Enrolment{Type: enrol.Type, Person: "dana@clinic.example", Participant: "clinic", Key: key, Issued: "2026-01-01T00:00:00Z"})
		if err != nil {
			t.Fatal(err)
		}
		return dsse.Envelope{PayloadType: enrol.PayloadType, Payload: payload, Signatures: []dsse.Signature{
			{KeyID: key, Sig: p.Sign(t, dsse.PAE(enrol.PayloadType, payload))},
		}}
	}
	if e, err := enrol.Verify(sign(p.Public(t).String())); err != nil || e.Key != p.Public(t).String() {
		t.Error(e, err)
	}
	if _, err := enrol.Verify(sign(webauthntest.New(t, "room.example").Public(t).String())); !errors.Is(err, enrol.ErrInvalid) {
		t.Error("signed by another passkey:", err)
	}
}
