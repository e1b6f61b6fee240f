package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"concordat.dev/protocol/document"
)

func TestInsertPerson(t *testing.T) {
	const entry = "{id: x, participant: c, roles: [analyst], keys: [k]}"
	for name, c := range map[string]struct{ before, after string }{
		"block of flows": {"a: 1\npeople:\n  - {id: d}\n\n# then\nmesh:\n  m: 1\n", "a: 1\npeople:\n  - {id: d}\n  - " + entry + "\n\n# then\nmesh:\n  m: 1\n"},
		"blocks":         {"people:\n- id: d\n  roles:\n    [a]\nz: 1", "people:\n- id: d\n  roles:\n    [a]\n- " + entry + "\nz: 1\n"},
		"lists within":   {"people:\n  - id: d\n    keys:\n      - k\nz: 1\n", "people:\n  - id: d\n    keys:\n      - k\n  - " + entry + "\nz: 1\n"},
		"none":           {"a: 1\n", "a: 1\npeople:\n  - " + entry + "\n"},
	} {
		if got := insertPerson(c.before, entry); got != c.after {
			t.Errorf("%s:\n%s", name, got)
		}
	}
}

// A key that enrolled itself ends up in the manifest; a tampered enrolment, an unknown organisation and a second time do not.
func TestEnrol(t *testing.T) {
	home, room := t.TempDir(), t.TempDir()
	run := func(in string, args ...string) (int, string, string) {
		var out, errs bytes.Buffer
		code := Run(t.Context(), append(args, "--home", home), Streams{In: strings.NewReader(in), Out: &out, Err: &errs})
		return code, out.String(), errs.String()
	}
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
	if code, _, errs := run("", "key", "new"); code != 0 {
		t.Fatal(errs)
	}
	code, enrolment, errs := run("", "key", "enrol", "--person", "dana@clinic.example", "--participant", "clinic")
	if code != 0 {
		t.Fatal(errs)
	}
	if code, _, errs := run("", "key", "enrol", "--person", "Dana", "--participant", "clinic"); code != 2 || !strings.Contains(errs, "lower case") {
		t.Errorf("%d %s", code, errs)
	}
	forged := strings.Replace(enrolment, `"sig":"`, `"sig":"AAAA`, 1)
	for name, c := range map[string]struct {
		in   string
		args []string
		want string
	}{
		"forged":    {forged, []string{"--role", "steward"}, "enrolment"},
		"no role":   {enrolment, nil, "which roles"},
		"bad input": {"{}", []string{"--role", "steward"}, "-"},
	} {
		if code, _, errs := run(c.in, append([]string{"manifest", "enrol", room, "-"}, c.args...)...); code == 0 || !strings.Contains(errs, c.want) {
			t.Errorf("%s: %d %s", name, code, errs)
		}
	}
	if code, _, errs := run(enrolment, "manifest", "enrol", room, "-", "--role", "steward", "--role", "analyst"); code != 0 {
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
	if p, ok := m.Person("dana@clinic.example"); !ok || len(p.Roles) != 2 || len(p.Keys) != 1 || !strings.HasPrefix(string(after), text) {
		t.Errorf("%s", after)
	}
	if code, _, errs := run(enrolment, "manifest", "enrol", room, "-", "--role", "steward"); code != 1 || !strings.Contains(errs, "already") {
		t.Errorf("twice: %d %s", code, errs)
	}
}
