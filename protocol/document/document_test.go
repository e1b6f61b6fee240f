package document_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"concordat.dev/protocol/document"
)

// room is the directory of the two example rooms, shared with the integration tests.
const room = "../../integration/testdata/room"

func loadDir(t *testing.T, dir string) *document.Bundle {
	t.Helper()
	b, err := document.LoadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRoomsAreValidDrafts(t *testing.T) {
	for _, name := range []string{"dp", "threshold"} {
		b := loadDir(t, filepath.Join(room, name))
		for _, p := range b.Validate(document.Draft) {
			t.Errorf("%s: %s", name, p)
		}
		if len(b.Policies) != 9 {
			t.Errorf("%s: %d policies", name, len(b.Policies))
		}
		if name == "threshold" && len(b.Warnings()) != 10 {
			t.Errorf("%d warnings, want one for the ledger and one a policy", len(b.Warnings()))
		}
		// Without keys, people and mesh none of them may be signed.
		if got := b.Validate(document.Signed); len(got) != 8 {
			t.Errorf("%s: as signed: %v", name, got)
		}
	}
}

func TestSignedFormComesBack(t *testing.T) {
	b := loadDir(t, filepath.Join(room, "dp"))
	s, err := b.Signable()
	if err != nil {
		t.Fatal(err)
	}
	reversed := make([][]byte, 0, len(s.Policies))
	for _, p := range s.Policies {
		reversed = append([][]byte{p}, reversed...)
	}
	back, err := document.OpenSigned(s.Manifest, reversed)
	if err != nil {
		t.Fatal(err)
	}
	again, err := back.Signable()
	if err != nil || !bytes.Equal(again.Manifest, s.Manifest) || again.Digest() != s.Digest() {
		t.Fatal("the signed form is not stable", err)
	}
	for i := range s.Policies {
		if !bytes.Equal(again.Policies[i], s.Policies[i]) {
			t.Errorf("policy %d changed", i)
		}
	}
	if problems := back.Validate(document.Draft); len(problems) > 0 {
		t.Error(problems)
	}
	if p := back.Policies["hospital.patients"]; p.MaxRows != 1000 || p.Release.MaxGroups != 1000 || p.Columns["age"].Grain != "5" || p.Columns["diagnosis"].Domain.Size() != 12 {
		t.Errorf("%+v", p)
	}
}

func TestOpenSignedRefuses(t *testing.T) {
	b := loadDir(t, filepath.Join(room, "dp"))
	s, err := b.Signable()
	if err != nil {
		t.Fatal(err)
	}
	replace := func(b []byte, from, to string) []byte {
		out := bytes.Replace(b, []byte(from), []byte(to), 1)
		if bytes.Equal(out, b) {
			t.Fatalf("%q is not there", from)
		}
		return out
	}
	with := func(i int, p []byte) [][]byte {
		out := append([][]byte{}, s.Policies...)
		out[i] = p
		return out
	}
	for name, c := range map[string]struct {
		manifest []byte
		policies [][]byte
		want     string
	}{
		"policy weakened":      {s.Manifest, with(0, replace(s.Policies[0], `"min_units":10`, `"min_units":1`)), "digest"},
		"policy missing":       {s.Manifest, s.Policies[1:], "9 datasets, 8 policies"},
		"policy twice":         {s.Manifest, with(0, s.Policies[1]), "9 datasets, 9 policies"},
		"policy left over":     {s.Manifest, append(s.Policies[:9:9], []byte("{}")), "10 policies"},
		"spaces":               {append([]byte(" "), s.Manifest...), s.Policies, "RFC 8785"},
		"unknown field":        {replace(s.Manifest, `"kind"`, `"k":1,"kind"`), s.Policies, `unknown field "k"`},
		"other case":           {replace(s.Manifest, `"kind"`, `"Kind"`), s.Policies, "RFC 8785"},
		"default left out":     {replace(s.Manifest, `"time_grid":"0s"`, ``), s.Policies, "every default"},
		"path beside digest":   {replace(s.Manifest, `"owner":"publisher",`, `"owner":"publisher","policy":"x",`), s.Policies, "digest"},
		"not JSON":             {[]byte("apiVersion: x"), s.Policies, "decode"},
		"too large":            {make([]byte, document.MaxSize+1), s.Policies, "at most"},
		"digest of other file": {replace(s.Manifest, string(digestOf(t, s.Manifest, 0)), string(digestOf(t, s.Manifest, 1))), s.Policies, "policy is for"},
	} {
		_, err := document.OpenSigned(c.manifest, c.policies)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

func digestOf(t *testing.T, manifest []byte, i int) string {
	t.Helper()
	m, err := document.ParseManifestJSON(manifest)
	if err != nil {
		t.Fatal(err)
	}
	return m.Datasets[i].PolicyDigest
}

func TestLoadDirStaysInside(t *testing.T) {
	policy, err := os.ReadFile(filepath.Join(room, "dp/policies/hospital.patients.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	outside := filepath.Join(t.TempDir(), "outside.yaml")
	if err := os.WriteFile(outside, policy, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"../outside.yaml": "not a relative path", outside: "not a relative path", "policies/../../x.yaml": "not a relative path", "./policies/x.yaml": "not a relative path",
		"policies/x.json": "not a relative path", `policies\x.yaml`: "not a relative path", "policies/missing.yaml": "no such file", "link.yaml": "escapes",
	} {
		dir := t.TempDir()
		if err := os.Symlink(outside, filepath.Join(dir, "link.yaml")); err != nil {
			t.Fatal(err)
		}
		text := "apiVersion: concordat.dev/v1\nkind: Manifest\ndatasets:\n  - {id: hospital.patients, owner: hospital, policy: '" + path + "'}\n"
		if err := os.WriteFile(filepath.Join(dir, document.ManifestFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := document.LoadDir(dir)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), filepath.Join(dir, "manifest.yaml:4:")) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestLoadDirNamesFiles(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none")
	if _, err := document.LoadDir(missing); err == nil || !strings.Contains(err.Error(), missing) {
		t.Errorf("no directory: %v", err)
	}
	empty := t.TempDir()
	if _, err := document.LoadDir(empty); err == nil || !strings.Contains(err.Error(), empty) || !strings.Contains(err.Error(), document.ManifestFile) {
		t.Errorf("no manifest: %v", err)
	}
	dir := filepath.Join(room, "dp")
	b := loadDir(t, dir)
	b.Manifest.Purpose, b.Policies["bank_a.flags"].Joins = "", "never"
	problems := b.Validate(document.Draft)
	if len(problems) != 2 || problems[0].File != filepath.Join(dir, "manifest.yaml") || problems[1].File != filepath.Join(dir, "policies/bank_a.flags.yaml") || problems[1].Line == 0 {
		t.Errorf("%v", problems)
	}
}
