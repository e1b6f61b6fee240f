package demo_test

import (
	"os"
	"strings"
	"testing"

	"concordat.dev/protocol/document"
	"concordat.dev/protocol/key"
	"concordat.dev/ui/demo"
)

// keys draws one for each organisation and person.
func keys(t *testing.T) map[string]string {
	t.Helper()
	public := map[string]string{}
	names := []string{demo.Analyst, demo.Auditor}
	for _, o := range demo.Organisations {
		names = append(names, o.ID, o.Steward)
	}
	for _, name := range names {
		k, err := key.Generate()
		if err != nil {
			t.Fatal(err)
		}
		public[name] = k.Public().String()
	}
	return public
}

// The written room is complete but for the mesh, which only exists once it runs.
func TestRoomIsValid(t *testing.T) {
	dir := t.TempDir()
	if err := demo.WriteRoom(dir, keys(t)); err != nil {
		t.Fatal(err)
	}
	b, err := document.LoadDir(dir)
	if err != nil {
		text, _ := os.ReadFile(dir + "/manifest.yaml")
		t.Fatalf("%v\n%s", err, text)
	}
	for _, p := range b.Validate(document.Draft) {
		t.Error(p)
	}
	for _, p := range b.Validate(document.Signed) {
		if !strings.HasPrefix(p.Path, "mesh") {
			t.Error(p)
		}
	}
	if b.Manifest.Collaboration != demo.Collaboration || len(b.Manifest.People) != 5 {
		t.Errorf("%s with %d people", b.Manifest.Collaboration, len(b.Manifest.People))
	}
}

func TestDataHasTheColumnsOfThePolicies(t *testing.T) {
	room, data := t.TempDir(), t.TempDir()
	if err := demo.WriteRoom(room, keys(t)); err != nil {
		t.Fatal(err)
	}
	b, err := document.LoadDir(room)
	if err != nil {
		t.Fatal(err)
	}
	files, err := demo.WriteData(data)
	if err != nil {
		t.Fatal(err)
	}
	for id, policy := range b.Policies {
		text, err := os.ReadFile(files[id])
		if err != nil {
			t.Fatal(err)
		}
		header, _, _ := strings.Cut(string(text), "\n")
		columns := strings.Split(header, ",")
		if len(columns) != len(policy.Columns) {
			t.Errorf("%s: %d columns in the data, %d in the policy", id, len(columns), len(policy.Columns))
		}
		for _, c := range columns {
			if _, known := policy.Columns[strings.Trim(c, `"`)]; !known {
				t.Errorf("%s: the policy has no column %s", id, c)
			}
		}
	}
}

func TestStudy(t *testing.T) {
	study, err := demo.Study()
	if err != nil {
		t.Fatal(err)
	}
	joins := 0
	for _, q := range study {
		if q.Title == "" || !strings.HasPrefix(q.SQL, "SELECT") {
			t.Errorf("%s: title %q, text %q", q.Name, q.Title, q.SQL)
		}
		if strings.Count(q.SQL, "JOIN") >= 1 {
			joins++
		}
	}
	if len(study) < 8 || joins < 8 {
		t.Errorf("%d questions, %d of them join organisations: at least 8", len(study), joins)
	}
	if refused, err := demo.Refused(); err != nil || len(refused) == 0 {
		t.Error("no refused question", err)
	}
}
