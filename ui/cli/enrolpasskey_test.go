package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/dsse"
	"concordat.dev/protocol/enrol"
	"concordat.dev/protocol/webauthn/webauthntest"
)

// enrolment is the file that a page makes of a passkey; signer signs it.
func enrolment(t *testing.T, named, signer webauthntest.Passkey, changes ...func(*webauthntest.Made)) string {
	t.Helper()
	payload, err := canon.Marshal(enrol.Enrolment{
		Type: enrol.Type, Person: "dana@clinic.example", Participant: "clinic", Key: named.Public(t).String(), Issued: "2026-05-01T00:00:00Z",
	})
	if err != nil {
		t.Fatal(err)
	}
	e := dsse.Envelope{Payload: payload, PayloadType: enrol.PayloadType, Signatures: []dsse.Signature{
		{KeyID: named.Public(t).String(), Sig: signer.Sign(t, dsse.PAE(enrol.PayloadType, payload), changes...)},
	}}
	raw, err := e.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// A passkey's enrolment ends up in the manifest as any other; one by another passkey, for another host or in an ed25519 key's place does not.
func TestEnrolPasskey(t *testing.T) {
	room := t.TempDir()
	file := filepath.Join(room, document.ManifestFile)
	const text = `apiVersion: concordat.dev/v1
kind: Manifest
collaboration: room
version: 1
purpose: p
expires: 2030-01-01
participants:
  - {id: clinic, name: Clinic}
namespaces: {}
datasets: []
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(in string) (int, string) {
		var out, errs bytes.Buffer
		code := Run(t.Context(), []string{"manifest", "enrol", room, "-", "--role", "steward", "--home", t.TempDir()}, Streams{In: strings.NewReader(in), Out: &out, Err: &errs})
		return code, errs.String()
	}
	hers, another := webauthntest.New(t, "room.example"), webauthntest.New(t, "room.example")
	for name, in := range map[string]string{
		"signed by another passkey": enrolment(t, hers, another),
		"signed on another origin": enrolment(t, hers, hers, func(m *webauthntest.Made) {
			m.ClientData = strings.Replace(m.ClientData, "https://room.example", "https://room.example.evil.example", 1)
		}),
		"made, not asked for": enrolment(t, hers, hers, func(m *webauthntest.Made) {
			m.ClientData = strings.Replace(m.ClientData, "webauthn.get", "webauthn.create", 1)
		}),
	} {
		if code, errs := run(in); code == 0 || !strings.Contains(errs, "enrolment") {
			t.Errorf("%s: %d %s", name, code, errs)
		}
	}
	if after, err := os.ReadFile(file); err != nil || string(after) != text {
		t.Errorf("a refused enrolment changed the manifest: %v\n%s", err, after)
	}
	if code, errs := run(enrolment(t, hers, hers)); code != 0 {
		t.Fatal(errs)
	}
	after, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	m, _, err := document.ParseManifest(file, after)
	if err != nil {
		t.Fatal(err)
	}
	if p, ok := m.Person("dana@clinic.example"); !ok || p.Keys[0] != hers.Public(t).String() {
		t.Errorf("the manifest has %+v", m.People)
	}
}
