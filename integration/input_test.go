package integration_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"concordat.dev/integration/harness"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/dsse"
	"concordat.dev/protocol/statement"
	"concordat.dev/ui/client"
)

// wrong is something that must not work: do gives the text that it is refused with, which must hold every want.
type wrong struct {
	name string
	do   func(t *testing.T, r *harness.Room) string
	want []string
}

// TestBadInput hands a mesh what people, programs and hosts get wrong, or try: each is refused in words that help, and changes nothing.
func TestBadInput(t *testing.T) {
	m := harness.Up(t)
	active := m.Agree(harness.StudyRoom(), harness.Generous)
	active.UploadStudy("clinic.patients")
	proposed := m.Draft(harness.StudyRoom(), func(b *document.Bundle) { b.Manifest.Collaboration = "second" })
	if _, err := proposed.Propose(m.Founder, proposed.Documents); err != nil {
		t.Fatal(err)
	}
	run := func(r *harness.Room, all []wrong) {
		for _, w := range all {
			t.Run(w.name, func(t *testing.T) {
				r := r.In(t)
				before := r.State()
				text := w.do(t, r)
				for _, want := range w.want {
					if !strings.Contains(text, want) {
						t.Errorf("it says %q, which lacks %q", text, want)
					}
				}
				if changed := before.Changed(r.State()); len(changed) > 0 {
					t.Errorf("it changed %v", changed)
				}
			})
		}
	}
	run(active, badFiles)
	run(active, badParts)
	run(active, badManifests)
	run(proposed, badApprovals)
	run(active, badRequests)

	before := active.State()
	active.Released(countPatients)
	if changed := before.Changed(active.State()); !slices.Equal(changed, []string{"budgets", "log", "queries"}) {
		t.Errorf("a query that was answered changed %v: comparing states says nothing", changed)
	}
}

const clinicHeader = "id,age,male,weight,height,bmi,futime,status\n"

// file uploads text as the clinic's patients, and gives what the steward is told.
func file(text string) func(*testing.T, *harness.Room) string {
	return func(t *testing.T, r *harness.Room) string {
		report, err := r.Uploading("clinic.patients", harness.File(t, "patients.csv", text)).Run(t.Context())
		if err != nil {
			return err.Error()
		}
		if harness.Accepted(t, report) {
			t.Error("it was accepted")
		}
		var said struct {
			Errors []json.RawMessage `json:"errors"`
		}
		if err := json.Unmarshal(report, &said); err != nil || len(said.Errors) == 0 {
			t.Fatalf("%v: %s", err, report)
		}
		return string(said.Errors[0])
	}
}

var badFiles = []wrong{
	{"broken row", file(clinicHeader + "1,57,0,60,163,22.6,6261,0\n2,67,0\n"), []string{`"row":2`, `"kind":"fields"`, "3"}},
	{"broken quote", file(clinicHeader + "1,57,0,60,163,22.6,6261,0\n\"2\"x,67,0,60,163,22.6,6261,0\n"), []string{`"row":2`, `"kind":"quote"`}},
	{"wrong type", file(clinicHeader + "1,57,0,60,163,22.6,6261,0\n2,old,0,60,163,22.6,6261,0\n"), []string{`"row":2`, `"column":"age"`, `"kind":"type"`, "integer"}},
	{"missing column", file("id,age,male,weight,height,bmi,status\n1,57,0,60,163,22.6,0\n"), []string{"lacks", "futime"}},
	{"no rows", file(clinicHeader), []string{`"row":0`, `"kind":"file"`, "no row that can be kept"}},
	{"duplicate id", file(clinicHeader + "1,57,0,60,163,22.6,6261,0\n2,57,0,60,163,22.6,6261,0\n1,57,0,60,163,22.6,6261,0\n"), []string{`"row":3`, `"column":"id"`, `"kind":"duplicate"`}},
}

// parts uploads three parts; the host then tampers with them, given the paths of the first and the second, before the upload is completed.
func parts(tamper func(first, second string) error) func(*testing.T, *harness.Room) string {
	return func(t *testing.T, r *harness.Room) string {
		folder := strings.TrimPrefix(r.Mesh.State().ObjectStore, "file://")
		var text strings.Builder
		text.WriteString(clinicHeader)
		for i := range 3000 {
			fmt.Fprintf(&text, "%d,57,0,60,163,22.6,6261,0\n", i)
		}
		u := r.Uploading("clinic.patients", harness.File(t, "patients.csv", text.String()))
		u.PartSize = int64(text.Len()/3 + 1)
		before, err := filepath.Glob(filepath.Join(folder, "uploads", "*"))
		if err != nil {
			t.Fatal(err)
		}
		var failed error
		u.Progress = func(done, _, total int64) {
			if done == total {
				now, err := filepath.Glob(filepath.Join(folder, "uploads", "*"))
				now = slices.DeleteFunc(now, func(name string) bool { return slices.Contains(before, name) })
				if failed = err; err == nil {
					failed = tamper(part(t, now[0], 1), part(t, now[0], 2))
				}
			}
		}
		report, err := u.Run(t.Context())
		if failed != nil {
			t.Fatal(failed)
		}
		if err == nil {
			t.Fatalf("it was taken: %s", report)
		}
		return err.Error()
	}
}

// part finds a part of an upload, whose name is its number and its digest.
func part(t *testing.T, folder string, number int) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(folder, fmt.Sprintf("%d-%s", number, strings.Repeat("[0-9a-f]", 64))))
	if err != nil || len(found) != 1 {
		t.Fatalf("part %d in %s: %v %v", number, folder, found, err)
	}
	return found[0]
}

// numbered is the name of a part under another number.
func numbered(path string, number int) string {
	_, digest, _ := strings.Cut(filepath.Base(path), "-")
	return filepath.Join(filepath.Dir(path), fmt.Sprintf("%d-%s", number, digest))
}

func swap(a, b string) error {
	return errors.Join(os.Rename(a, a+".x"), os.Rename(b, a), os.Rename(a+".x", b))
}

var badParts = []wrong{
	{"one flipped bit", parts(func(_, second string) error {
		b, err := os.ReadFile(second) //nolint:gosec // G304: of the test's mesh
		if err != nil {
			return err
		}
		b[len(b)/2] ^= 1
		return os.WriteFile(second, b, 0o600)
	}), []string{"part 2 of 3 was changed after it was signed"}},
	{"missing part", parts(func(_, second string) error {
		return os.Remove(second)
	}), []string{"part 2 of 3 is missing"}},
	{"parts in the wrong order", parts(swap), []string{"part 2 lies in the place of part 1", "the order isn't the signed one"}},
	{"parts in the wrong order, with their names", parts(func(first, second string) error {
		return errors.Join(os.Rename(first, numbered(first, 2)), os.Rename(second, numbered(second, 1)))
	}), []string{"part 1 is not sha256:", "as the statement says"}},
}

// proposing drafts the next version and has the clinic propose it.
func proposing(change func(*document.Bundle), tamper func(*client.Documents)) func(*testing.T, *harness.Room) string {
	return func(t *testing.T, r *harness.Room) string {
		d := r.Version(change)
		if tamper != nil {
			tamper(&d)
		}
		status, err := r.Propose(r.Keys["clinic"], d)
		if err == nil {
			t.Fatalf("it is %s", status.GetState())
		}
		return err.Error()
	}
}

var badManifests = []wrong{
	{"unknown key", func(t *testing.T, r *harness.Room) string {
		room := t.TempDir()
		if err := os.CopyFS(room, os.DirFS(harness.StudyRoom())); err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(room, document.ManifestFile)
		text, err := os.ReadFile(name) //nolint:gosec // G304: of the test
		if err != nil {
			t.Fatal(err)
		}
		text = bytes.Replace(text, []byte("\npurpose:"), []byte("\nmin_unitz: 3\npurpose:"), 1)
		line := 1 + bytes.Count(text[:bytes.Index(text, []byte("min_unitz"))], []byte("\n"))
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
		keyFile := filepath.Join(t.TempDir(), "clinic.key")
		if err := r.Keys["clinic"].Save(keyFile); err != nil {
			t.Fatal(err)
		}
		ran := harness.Command(t, harness.Binaries(t), r.Mesh.Home, "manifest", "propose", room, "--pin", "--key", keyFile)
		if ran.Code != 1 {
			t.Errorf("exit code %d", ran.Code)
		}
		return strings.ReplaceAll(ran.Err, fmt.Sprintf("manifest.yaml:%d:1:", line), "manifest.yaml:LINE:1:")
	}, []string{"manifest.yaml:LINE:1:", `unknown key`, "min_unitz"}},
	{"tampered policy", proposing(func(*document.Bundle) {}, func(d *client.Documents) {
		d.Raw.Policies[0] = bytes.Replace(d.Raw.Policies[0], []byte(`"min_units":10`), []byte(`"min_units":2`), 1)
	}), []string{"clinic.patients", "digest"}},
	{"wrong pins", proposing(func(b *document.Bundle) {
		b.Manifest.Mesh.RootCertificate = "sha256:" + strings.Repeat("0", 64)
	}, nil), []string{"the manifest pins another mesh", "mesh.root_certificate"}},
	{"version after next", proposing(func(b *document.Bundle) { b.Manifest.Version++ }, nil), []string{"it is version 3, the next one is 2"}},
	{"same version", proposing(func(b *document.Bundle) { b.Manifest.Version-- }, nil), []string{"it is version 1, the next one is 2"}},
	{"proposed by an analyst", func(_ *testing.T, r *harness.Room) string {
		_, err := r.Propose(r.Keys[harness.Analyst], r.Version(func(*document.Bundle) {}))
		return fmt.Sprint(err)
	}, []string{"propose_manifest needs one of the roles", harness.Analyst}},
}

// approving hands in the laboratory's approval after a change.
func approving(sign func(r *harness.Room, s statement.Statement) (dsse.Envelope, error)) func(*testing.T, *harness.Room) string {
	return func(t *testing.T, r *harness.Room) string {
		envelope, err := sign(r, r.Documents.Statement(statement.Approve))
		if err != nil {
			t.Fatal(err)
		}
		raw, err := envelope.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		status, err := r.SubmitApproval("laboratory", raw)
		if err == nil {
			t.Fatalf("it is %s, signed by %v", status.GetState(), status.GetSigned())
		}
		return err.Error()
	}
}

var badApprovals = []wrong{
	{"signature of a stranger in the laboratory's name", approving(func(r *harness.Room, s statement.Statement) (dsse.Envelope, error) {
		e, err := statement.Sign(s, r.Keys[harness.Outsider])
		if err == nil {
			e.Signatures[0].KeyID = r.Keys["laboratory"].Public().String()
		}
		return e, err
	}), []string{"not signed by a key that may do this"}},
	{"one flipped bit in the signature", approving(func(r *harness.Room, s statement.Statement) (dsse.Envelope, error) {
		e, err := statement.Sign(s, r.Keys["laboratory"])
		if err == nil {
			e.Signatures[0].Sig[7] ^= 1
		}
		return e, err
	}), []string{"not signed by a key that may do this"}},
	{"signature of other bytes", approving(func(r *harness.Room, s statement.Statement) (dsse.Envelope, error) {
		e, err := statement.Sign(s, r.Keys["laboratory"])
		e.Payload = bytes.Replace(e.Payload, []byte(`"version":1`), []byte(`"version":2`), 1)
		return e, err
	}), []string{"not signed by a key that may do this"}},
	{"signature for another manifest", approving(func(r *harness.Room, s statement.Statement) (dsse.Envelope, error) {
		s.Subject = "sha256:" + s.Subject[7:8] + s.Subject[7:70]
		return statement.Sign(s, r.Keys["laboratory"])
	}), []string{"the statement is about something else", "digest"}},
}
