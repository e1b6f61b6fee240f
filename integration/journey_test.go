package integration_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"concordat.dev/integration/harness"
	"concordat.dev/protocol/answer"
	"concordat.dev/ui/demo"
	"concordat.dev/ui/mesh"
)

// organisation is a home of its own: keys, receipts and what was signed from there. It knows the mesh by an address and the root to pin.
type organisation struct {
	t         *testing.T
	bin, home string
	where     []string // flags that name the mesh
}

// run runs concordat and expects an exit code; it returns what stands on standard output.
func (o organisation) run(code int, args ...string) string {
	o.t.Helper()
	return o.ran(code, args...).Out
}

func (o organisation) ran(code int, args ...string) harness.Ran {
	o.t.Helper()
	got := harness.Command(o.t, o.bin, o.home, append(args, o.where...)...)
	if got.Code != code {
		o.t.Fatalf("concordat %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got.Code, code, got.Out, got.Err)
	}
	return got
}

func (o organisation) key(name string) string { return filepath.Join(o.home, "keys", name+".key") }

// said expects a text in what a command says.
func said(t *testing.T, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Fatalf("%q is missing in\n%s", want, text)
		}
	}
}

// TestJourney is the study of the demo by commands alone: three organisations with a home each, and a mesh that an operator runs.
func TestJourney(t *testing.T) {
	bin := harness.Binaries(t)
	all := map[string]organisation{}
	keys := map[string]string{}
	for _, o := range demo.Organisations {
		all[o.ID] = organisation{t: t, bin: bin, home: t.TempDir()}
		keys[o.ID] = strings.TrimSpace(all[o.ID].run(0, "key", "new", o.ID))
		keys[o.Steward] = strings.TrimSpace(all[o.ID].run(0, "key", "new", o.Steward))
	}
	clinic, registry := all["clinic"], all["registry"]
	keys[demo.Analyst] = strings.TrimSpace(clinic.run(0, "key", "new", demo.Analyst))
	keys[demo.Auditor] = strings.TrimSpace(registry.run(0, "key", "new", demo.Auditor))
	if clinic.run(0, "key", "show", clinic.key("clinic")) != keys["clinic"]+"\n" {
		t.Error("key show differs from key new")
	}
	clinic.run(1, "key", "new", "clinic") // never overwritten

	operator := organisation{t: t, bin: bin, home: t.TempDir()}
	t.Cleanup(func() { down(t, operator.home) })
	operator.run(0, "up", "--founder", keys["clinic"])
	said(t, operator.ran(1, "up").Err, "a mesh is running here already", "concordat down")
	m, err := mesh.Open(operator.home)
	if err != nil {
		t.Fatal(err)
	}
	for id, o := range all {
		for _, c := range m.State().Coordinators {
			o.where = append(o.where, "--coordinator", c.API)
		}
		o.where = append(o.where, "--root", string(m.State().RootCertificate), "-c", demo.Collaboration)
		all[id] = o
	}
	clinic, registry = all["clinic"], all["registry"]

	room := t.TempDir()
	agree(t, all, room, keys)
	upload(t, all)
	receipts := study(t, clinic)
	formats(t, clinic)
	refusals(t, clinic)
	pausing(t, clinic, registry)
	records(t, clinic, registry, room, len(receipts))

	operator.run(0, "down")
	said(t, clinic.ran(1, "query", "--key", clinic.key(demo.Analyst), countPatients).Err, "no coordinator answers")
	offline := organisation{t: t, bin: bin, home: t.TempDir()} // it knows no mesh
	for _, file := range receipts {
		said(t, offline.run(0, "receipt", "verify", file, "--manifest", room), "verified: receipt of query", "16 checks")
		offline.run(0, "receipt", "show", file)
	}
	otherTools(t, offline, receipts[0], tampered(t, offline, receipts[0], room))
}

// down ends the mesh of a home and expects that none of its processes is left.
func down(t *testing.T, home string) {
	m, err := mesh.Open(home)
	if err != nil {
		return // it never came up
	}
	if err := m.Down(); err != nil {
		t.Error(err)
	}
	for _, p := range m.State().Processes {
		if p.Running() {
			t.Errorf("%s is still process %d", p.Name, p.PID)
		}
	}
}

func agree(t *testing.T, all map[string]organisation, room string, keys map[string]string) {
	clinic := all["clinic"]
	if err := demo.WriteRoom(room, keys); err != nil {
		t.Fatal(err)
	}
	said(t, clinic.ran(1, "manifest", "propose", room, "--key", clinic.key("clinic")).Err, "pins no mesh")
	clinic.run(0, "manifest", "propose", room, "--pin", "--key", clinic.key("clinic"))
	clinic.run(0, "mesh", "verify", room)
	clinic.run(0, "manifest", "lint", room)
	for i, o := range demo.Organisations {
		org := all[o.ID]
		var status struct {
			State           string
			Signed, Missing []string
		}
		if err := json.Unmarshal([]byte(org.run(0, "manifest", "status", "--format", "json", "--key", org.key(o.ID))), &status); err != nil {
			t.Fatal(err)
		}
		if status.State != "proposed" || len(status.Signed) != i || len(status.Missing) != len(all)-i {
			t.Fatalf("before %s signs: %+v", o.ID, status)
		}
		org.run(0, "manifest", "sign", "--dir", room, "--yes", "--key", org.key(o.ID))
	}
	said(t, clinic.run(0, "manifest", "status", "--key", clinic.key(demo.Analyst)), "version 1: active", "missing  none")
	said(t, clinic.ran(0, "manifest", "diff", room, "--key", clinic.key("clinic")).Err, "no difference")
}

func upload(t *testing.T, all map[string]organisation) {
	files, err := demo.WriteData(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	clinic := all["clinic"]
	said(t, clinic.run(3, "query", "--key", clinic.key(demo.Analyst), "--format", "json", countPatients), `"dataset_missing"`)
	for _, o := range demo.Organisations {
		org := all[o.ID]
		said(t, org.run(0, "dataset", "upload", o.Dataset, files[o.Dataset], "--key", org.key(o.Steward)), o.Dataset+" accepted")
	}
	stranger := all["laboratory"]
	said(t, stranger.ran(1, "dataset", "upload", "clinic.patients", files["clinic.patients"], "--key", stranger.key("lars")).Err, "belongs to clinic")
	said(t, clinic.run(0, "dataset", "list", "--key", clinic.key(demo.Analyst)), "clinic.patients", "laboratory.results", "registry.events")
	said(t, clinic.run(0, "dataset", "versions", "clinic.patients", "--key", clinic.key("dana")), "current")
}

// study asks all questions and returns the files of their receipts.
func study(t *testing.T, clinic organisation) []string {
	questions, err := demo.Study()
	if err != nil {
		t.Fatal(err)
	}
	var receipts []string
	for _, q := range questions {
		before := askJSON(t, clinic, "--explain", q.SQL)
		got := askJSON(t, clinic, q.SQL)
		if got.Verdict != answer.Released || len(got.Rows) == 0 || got.Receipt == nil || len(got.Price) == 0 {
			t.Fatalf("%s: %+v", q.Name, got)
		}
		if before.Receipt != nil || len(before.Rows) > 0 || before.Price[0].Rho != got.Price[0].Rho {
			t.Errorf("%s: explained as %+v, cost %+v", q.Name, before, got.Price)
		}
		receipts = append(receipts, filepath.Join(clinic.home, "receipts", got.Receipt.ID+".json"))
	}
	return receipts
}

func askJSON(t *testing.T, o organisation, args ...string) answer.Answer {
	t.Helper()
	a, err := answer.Parse([]byte(o.run(0, append([]string{"query", "--format", "json", "--key", o.key(demo.Analyst)}, args...)...)))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// formats asks one question in every format: the same release, paid once.
func formats(t *testing.T, clinic organisation) {
	const sql = "SELECT male, count(DISTINCT id) AS patients, avg(bmi) AS bmi FROM clinic.patients GROUP BY male"
	first := askJSON(t, clinic, sql)
	ask := func(args ...string) string {
		return clinic.run(0, append([]string{"query", "--key", clinic.key(demo.Analyst), sql}, args...)...)
	}
	said(t, ask(), "male", "patients", "±", "price: clinic/patient")
	rows, err := csv.NewReader(strings.NewReader(ask("--format", "csv"))).ReadAll()
	if err != nil || len(rows) != 3 || strings.Join(rows[0], ",") != "male,patients,patients_low,patients_high,bmi,bmi_low,bmi_high" {
		t.Errorf("csv: %v %v", rows, err)
	}
	if stream := ask("--format", "arrow"); !strings.HasPrefix(stream, "\xff\xff\xff\xff") {
		t.Errorf("arrow begins with %x", stream[:8])
	}
	file := filepath.Join(t.TempDir(), "result.parquet")
	ask("--format", "parquet", "--out", file)
	if b, err := os.ReadFile(file); err != nil || !bytes.HasPrefix(b, []byte("PAR1")) || !bytes.HasSuffix(b, []byte("PAR1")) {
		t.Errorf("parquet: %d bytes, %v", len(b), err)
	}
	again := askJSON(t, clinic, sql)
	if first.Receipt.ID != again.Receipt.ID || again.Price[0].Rho != 0 || *again.Price[0].RemainingRho != *first.Price[0].RemainingRho {
		t.Errorf("the same question again: receipt %+v, price %+v, before %+v %+v", again.Receipt, again.Price, first.Receipt, first.Price)
	}
}

func refusals(t *testing.T, clinic organisation) {
	questions, err := demo.Refused()
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range questions {
		said(t, clinic.run(3, "query", "--key", clinic.key(demo.Analyst), q.SQL), "nothing was charged", "identifier_use", "instead:")
	}
	said(t, clinic.run(3, "query", "--format", "json", "--key", clinic.key("dana"), countPatients), `"not_permitted"`)
	clinic.run(2, "query", "--format", "xml", countPatients)
	clinic.run(2, "quarry")
	clinic.run(2, "query", countPatients) // several keys, none named
	clinic.run(1, "query", "--key", filepath.Join(clinic.home, "none.key"), countPatients)
}

func pausing(t *testing.T, clinic, registry organisation) {
	ask := []string{"query", "--format", "json", "--key", clinic.key(demo.Analyst), countPatients}
	registry.run(0, "manifest", "pause", "--reason", "we look into something", "--yes", "--key", registry.key("registry"))
	said(t, clinic.run(3, ask...), `"manifest_inactive"`, "registry")
	said(t, clinic.run(0, "manifest", "status", "--key", clinic.key(demo.Analyst)), "paused")
	said(t, clinic.ran(1, "manifest", "resume", "--yes", "--key", clinic.key("clinic")).Err, "did not pause")
	registry.run(0, "manifest", "resume", "--yes", "--key", registry.key("registry"))
	said(t, clinic.run(0, ask...), `"released"`)
}

// records reads budgets, history and log, and holds them against one another.
func records(t *testing.T, clinic, registry organisation, room string, studied int) {
	var budgets []harness.Budget
	var history []harness.Recorded
	read := func(into any, args ...string) {
		if err := json.Unmarshal([]byte(clinic.run(0, append(args, "--format", "json", "--key", clinic.key(demo.Analyst))...)), into); err != nil {
			t.Fatal(err)
		}
	}
	read(&budgets, "budget")
	read(&history, "history", "--limit", "1000")
	spent := map[string]float64{}
	for _, q := range history {
		for _, p := range q.Price {
			spent[p.Owner] += p.Rho
		}
	}
	for _, b := range budgets {
		if diff := b.SpentRho - spent[b.Owner]; diff > 1e-9 || diff < -1e-9 {
			t.Errorf("%s spent rho %g by its budget, %g by the history", b.Owner, b.SpentRho, spent[b.Owner])
		}
	}
	if len(history) <= studied || len(budgets) != 3 {
		t.Errorf("%d queries in the history, %d budgets", len(history), len(budgets))
	}
	said(t, clinic.run(0, "log", "verify", "--key", clinic.key("clinic")), "ok    log of ledger", "ok    receipt")
	said(t, registry.run(0, "log", "verify", "--key", registry.key(demo.Auditor)), "nothing was seen before")
	said(t, registry.run(0, "log", "verify", "--key", registry.key(demo.Auditor)), "that were seen before")
	said(t, registry.run(0, "log", "entries", "--format", "json", "--key", registry.key(demo.Auditor)), `"leaf"`)
	said(t, registry.run(0, "log", "checkpoint", "--key", registry.key(demo.Auditor)), "\n")

	other := t.TempDir()
	if err := os.CopyFS(other, os.DirFS(room)); err != nil {
		t.Fatal(err)
	}
	replaceIn(t, filepath.Join(other, "manifest.yaml"), "ledger: ", "ledger: 0")
	said(t, clinic.run(1, "mesh", "verify", other), "FAIL", "mesh.ledger")
}

func replaceIn(t *testing.T, file, before, after string) {
	t.Helper()
	b, err := os.ReadFile(file) //nolint:gosec // G304: of the test
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), before) {
		t.Fatalf("%s lacks %q", file, before)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(b), before, after, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// tampered changes one digit of a receipt's result, which then does not verify.
func tampered(t *testing.T, offline organisation, file, room string) (changed string) {
	b, err := os.ReadFile(file) //nolint:gosec // G304: of the test
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(b, []byte(`"rows":[[`))
	digit := at + bytes.IndexAny(b[at:], "12345678")
	b[digit]++
	changed = harness.File(t, "receipt.json", string(b))
	said(t, offline.run(1, "receipt", "verify", changed, "--manifest", room), "NOT VERIFIED", "result")
	return changed
}
