// Package clients_test asks the demo's study of a real mesh through the clients that its users have: database/sql, Python with ADBC and pandas, the
// JDBC driver of Flight SQL, and our own Python package. Whoever asks, and however, gets the release that `concordat query` gives, pays nothing for it
// again, and can verify its receipt offline.
package clients_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"concordat.dev/integration/harness"
	"concordat.dev/protocol/answer"
	"concordat.dev/ui/demo"
)

// world is a mesh with the demo's data, and what the command line said to its study.
type world struct {
	t       *testing.T
	room    *harness.Room
	address string // Flight SQL of a coordinator
	key     string // file of the analyst's key
	study   []demo.Query
	answers map[string]answer.Answer
	sql     string // folder of the study's texts
}

func TestClients(t *testing.T) {
	m := harness.Up(t)
	r := m.Agree(harness.StudyRoom(), harness.Generous)
	r.UploadStudy("clinic.patients", "laboratory.results", "registry.events")
	w := &world{t: t, room: r, address: m.State().Coordinators[0].Flight, key: filepath.Join(m.Home, "keys", "analyst.key"), answers: map[string]answer.Answer{}, sql: t.TempDir()}
	if err := os.MkdirAll(filepath.Dir(w.key), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := r.Keys[harness.Analyst].Save(w.key); err != nil {
		t.Fatal(err)
	}
	var err error
	if w.study, err = demo.Study(); err != nil {
		t.Fatal(err)
	}
	for _, q := range w.study {
		if w.answers[q.Name], err = answer.Parse([]byte(w.concordat("query", "--format", "json", q.SQL))); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(w.sql, q.Name+".sql"), []byte(q.SQL), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name string
		ask  func(*world)
		pays bool // asks more than the study
	}{
		{"DatabaseSQL", (*world).databaseSQL, false}, {"Receipts", (*world).receipts, false}, {"Token", (*world).token, false},
		{"Python", (*world).python, false}, {"JDBC", (*world).jdbc, false}, {"Package", (*world).pythonPackage, true},
		{"Metrics", (*world).metrics, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			here := *w
			here.t, here.room = t, w.room.In(t)
			before := here.room.Budgets()
			c.ask(&here)
			if after := here.room.Budgets(); !c.pays && !reflect.DeepEqual(before, after) {
				t.Errorf("what was paid before was paid again: %+v, then %+v", before, after)
			}
		})
	}
}

// concordat runs the command with the analyst's key and expects that it succeeds.
func (w *world) concordat(args ...string) string {
	w.t.Helper()
	m := w.room.Mesh
	got := harness.Command(w.t, m.Bin(), m.Home, append(args, "--key", w.key)...)
	if got.Code != 0 {
		w.t.Fatalf("concordat %s: exit code %d\n%s%s", args[0], got.Code, got.Out, got.Err)
	}
	return got.Out
}

func (w *world) loginToken() string {
	w.t.Helper()
	return strings.TrimSpace(w.concordat("token", "--life", "30m"))
}

func (w *world) rootFile() string { return filepath.Join(w.room.Mesh.Home, "root.pem") }

// same compares what a client got with the answer of the command line, intervals included.
func (w *world) same(question string, columns []string, rows [][]string) {
	w.t.Helper()
	a := w.answers[question]
	var want [][]string
	for i, row := range a.Rows {
		var line []string
		for j, v := range row {
			line = append(line, text(v))
			if a.Columns[j].Kind == answer.Key {
				continue
			}
			for end := range 2 {
				if in := a.Intervals[i][j]; in != nil {
					line = append(line, text(in[end]))
				} else {
					line = append(line, none)
				}
			}
		}
		want = append(want, line)
	}
	var names []string
	for _, c := range a.Columns {
		if names = append(names, c.Name); c.Kind != answer.Key {
			names = append(names, c.Name+"_low", c.Name+"_high")
		}
	}
	if !reflect.DeepEqual(names, columns) {
		w.t.Errorf("%s: columns %v, want %v", question, columns, names)
	}
	if len(want) == 0 || len(rows) != len(want) {
		w.t.Fatalf("%s: %d rows, want %d", question, len(rows), len(want))
	}
	for i, row := range rows {
		for j, got := range row {
			if !equal(got, want[i][j]) {
				w.t.Errorf("%s: row %d, %s: %s, want %s", question, i+1, columns[j], got, want[i][j])
			}
		}
	}
}

// none is what stands for no value.
const none = `\N`

func text(v any) string {
	if v == nil {
		return none
	}
	return fmt.Sprint(v)
}

// equal compares as numbers what are numbers: clients print them in their own ways.
func equal(a, b string) bool {
	x, xerr := strconv.ParseFloat(a, 64)
	y, yerr := strconv.ParseFloat(b, 64)
	if xerr != nil || yerr != nil {
		return a == b
	}
	return math.Abs(x-y) <= 1e-9*math.Max(1, math.Abs(y))
}

// verified verifies receipts offline: with a home that knows no mesh, and the digest of the manifest alone.
func (w *world) verified(receipt string) {
	w.t.Helper()
	file := harness.File(w.t, "receipt.json", receipt)
	got := harness.Command(w.t, w.room.Mesh.Bin(), w.t.TempDir(), "receipt", "verify", file, "--digest", w.room.Documents.Digest.String())
	if got.Code != 0 || !strings.Contains(got.Out, "verified: receipt of query") {
		w.t.Errorf("receipt verify: exit code %d\n%s%s", got.Code, got.Out, got.Err)
	}
}

// token is made by the command, and nothing else takes it.
func (w *world) token() {
	said := harness.Command(w.t, w.room.Mesh.Bin(), w.room.Mesh.Home, "token", "--key", w.key, "--life", "25h")
	if said.Code != 2 {
		w.t.Errorf("a token for 25 hours: exit code %d, %s", said.Code, said.Err)
	}
	w.outsider()
}

// tool is what `make clients` installed, or the reason to skip.
func (w *world) tool(path, why string) string {
	w.t.Helper()
	file := filepath.Join(harness.Repository(), ".tools", "clients", path)
	if _, err := os.Stat(file); err != nil {
		w.t.Skipf("%s is not installed: `make clients` installs it where it can, and says why where it cannot", why)
	}
	return file
}

// output runs a client and gives what it prints.
func (w *world) output(name string, args ...string) []byte {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), name, args...) //nolint:gosec // G204: a client that make clients installed
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		w.t.Fatalf("%s: %v\n%s%s", filepath.Base(name), err, out, said.Bytes())
	}
	return out
}

// python asks with adbc_driver_flightsql and pandas.
func (w *world) python() {
	python := w.tool("python/bin/python", "Python with adbc_driver_flightsql")
	var said struct {
		Queries map[string]struct {
			Columns  []string
			Rows     [][]*string
			Metadata map[string]string
		}
		Refused string
		Objects map[string][]struct {
			Catalog string `json:"catalog_name"`
			Schemas []struct {
				Name   string `json:"db_schema_name"`
				Tables []struct {
					Name    string `json:"table_name"`
					Columns []struct {
						Name string `json:"column_name"`
					} `json:"table_columns"`
				} `json:"db_schema_tables"`
			} `json:"catalog_db_schemas"`
		}
		Info    map[string]string
		Columns []string
		Tool    []any
	}
	out := w.output(python, "testdata/study.py", w.address, w.loginToken(), w.rootFile(), w.sql)
	if err := json.Unmarshal(out, &said); err != nil {
		w.t.Fatalf("%v: %s", err, out)
	}
	for _, q := range w.study {
		got := said.Queries[q.Name]
		var rows [][]string
		for _, line := range got.Rows {
			var row []string
			for _, v := range line {
				if v == nil {
					row = append(row, none)
				} else {
					row = append(row, *v)
				}
			}
			rows = append(rows, row)
		}
		w.same(q.Name, got.Columns, rows)
		w.verified(got.Metadata["concordat.receipt_json"])
	}
	if !strings.Contains(said.Refused, "not_aggregated") || !strings.Contains(said.Refused, "no statement shows rows") {
		w.t.Errorf("refused: %s", said.Refused)
	}
	all := said.Objects["all"]
	if len(all) != 1 || all[0].Catalog != w.room.ID() || len(all[0].Schemas) != 3 || len(all[0].Schemas[0].Tables) != 1 || len(all[0].Schemas[0].Tables[0].Columns) == 0 {
		w.t.Errorf("objects: %+v", said.Objects)
	}
	if got, want := fmt.Sprint(said.Tool), fmt.Sprintf("[%s 1 [n n_low n_high] 1]", w.room.ID()); got != want {
		w.t.Errorf("what tools ask: %s, want %s", got, want)
	}
	if len(said.Columns) == 0 || said.Info["vendor_name"] != "Concordat" {
		w.t.Errorf("columns %v, info %v", said.Columns, said.Info)
	}
}

// jdbc asks with the JDBC driver of Flight SQL.
func (w *world) jdbc() {
	driver := w.tool("flight-sql-jdbc-driver.jar", "the JDBC driver")
	java, err := exec.LookPath("java")
	if err != nil {
		w.t.Skip("there is no java")
	}
	out := w.output(java, "--add-opens=java.base/java.nio=ALL-UNNAMED", "-cp", driver, "testdata/Study.java", w.address, w.loginToken(), w.rootFile(), w.sql)
	columns, rows := map[string][]string{}, map[string][][]string{}
	refused, tables, tools := map[string]string{}, 0, 0
	remarks := map[string]string{}
	for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		switch f := strings.Split(line, "\t"); f[0] {
		case "columns":
			columns[f[1]] = f[2:]
		case "row":
			rows[f[1]] = append(rows[f[1]], f[2:])
		case "refused":
			refused[f[1]] = f[2]
		case "table":
			tables++
		case "column":
			remarks[f[1]] = f[2]
		case "tool": // columns of one aggregate with its interval, without rows; or the probe
			if tools++; f[2] != "3" && f[1] != "SELECT 1" || (f[3] == "0") == (f[1] == "SELECT 1") {
				w.t.Errorf("%s", line)
			}
		case "unanswered", "released":
			w.t.Errorf("%s", line)
		case "valid":
			if f[1] != "true" {
				w.t.Error("the driver takes its connection for broken")
			}
		}
	}
	for _, q := range w.study {
		w.same(q.Name, columns[q.Name], rows[q.Name])
	}
	if tables != 3 || tools != 10 || !strings.HasPrefix(remarks["age"], "measure; bounds [") {
		w.t.Errorf("%d tables, %d texts of tools, remarks %v", tables, tools, remarks)
	}
	for sql, want := range map[string]string{
		"parameter": "Write the value into the text", "SELECT 2": "Write FROM with a dataset of the manifest.", "SELECT * FROM clinic.patients LIMIT 0": "no statement shows rows",
		"DELETE FROM clinic.patients": "not_one_select",
	} {
		if !strings.Contains(refused[sql], want) {
			w.t.Errorf("%s: %s", sql, refused[sql])
		}
	}
}

// wheel builds the package and gives a folder into which it is installed as its users do.
func (w *world) wheel(python string) string {
	w.t.Helper()
	built, site := w.t.TempDir(), w.t.TempDir()
	source := filepath.Join(harness.Repository(), "ui", "python")
	cmd := exec.CommandContext(w.t.Context(), python, "-m", "hatchling", "build", "-t", "wheel", "-d", built) //nolint:gosec // G204: ours
	cmd.Dir = source
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("hatchling: %v\n%s", err, out)
	}
	wheels, err := filepath.Glob(filepath.Join(built, "*.whl"))
	if err != nil || len(wheels) != 1 {
		w.t.Fatalf("wheels %v: %v", wheels, err)
	}
	w.output(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-index", "--target", site, wheels[0])
	if _, err := os.Stat(filepath.Join(site, "concordat", "py.typed")); err != nil {
		w.t.Errorf("the wheel is not typed: %v", err)
	}
	return site
}

// pythonPackage runs the tests of ui/python, with the example of its README, against this mesh and the package as it is installed.
func (w *world) pythonPackage() {
	python := w.tool("python/bin/python", "Python with pytest")
	site := w.wheel(python)
	cmd := exec.CommandContext(w.t.Context(), python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests") //nolint:gosec // G204: ours
	cmd.Dir = filepath.Join(harness.Repository(), "ui", "python")
	answers, err := json.Marshal(w.answers)
	if err != nil {
		w.t.Fatal(err)
	}
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1", "PYTHONPATH="+site, "CONCORDAT_TEST_HOME="+w.room.Mesh.Home, "CONCORDAT_TEST_KEY="+w.key,
		"CONCORDAT_TEST_BIN="+filepath.Join(w.room.Mesh.Bin(), "concordat"), "CONCORDAT_TEST_STUDY="+w.sql,
		"CONCORDAT_TEST_ANSWERS="+harness.File(w.t, "answers.json", string(answers)), "CONCORDAT_TEST_DIGEST="+w.room.Documents.Digest.String())
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("pytest: %v\n%s", err, out)
	}
	if strings.Contains(string(out), "skipped") {
		w.t.Errorf("with a mesh nothing is skipped:\n%s", out)
	}
}
