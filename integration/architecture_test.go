package integration_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"concordat.dev/integration/harness"
)

const house = "concordat.dev/"

// mayImport is the table of the README: which packages of ours those below a folder may import. A folder may always import itself.
var mayImport = []struct {
	folder  string
	allowed []string
}{
	{"protocol", nil},
	{"observe", nil},
	{"sql", nil},
	{"policies", []string{"protocol", "sql/plan", "sql/refusal", "sql/eval"}},
	{"worker", []string{"protocol", "observe", "sql", "policies"}},
	{"ui", []string{"protocol", "observe", "policies"}},
	{"ui/web", nil},
	{"coordinator", []string{"protocol", "observe", "policies", "sql/plan", "ui/web"}},
	{"integration", []string{"protocol", "observe", "sql", "policies", "worker", "coordinator", "ui"}},
}

// onlyIn names the packages that alone may import a dependency and all below its prefix, tests and their support apart.
var onlyIn = map[string][]string{
	"github.com/duckdb/duckdb-go":      {"sql/parse", "worker/engine"},
	"github.com/marcboeker/go-duckdb":  {},
	"github.com/hashicorp/raft":        {"coordinator/raft"},
	"github.com/edgelesssys/marblerun": {},
	"github.com/apache/arrow/go":       {},
}

var forbiddenNames = []string{"util", "utils", "common", "helpers", "helper", "types", "manager", "managers", "misc", "shared"}

const (
	longFile    = 400 // lines: look again
	longestFile = 500
)

// listed is a package as `go list` describes it.
type listed struct {
	ImportPath string
	Name       string
	Dir        string
	Standard   bool
	GoFiles    []string
	CgoFiles   []string
	Imports    []string
	Deps       []string
	DepOnly    bool
}

// own is the path below concordat.dev/; ok is false for others' packages.
func own(path string) (string, bool) { return strings.CutPrefix(path, house) }

// below says whether a path is a folder or lies below it.
func below(path, folder string) bool { return path == folder || strings.HasPrefix(path, folder+"/") }

// support says whether a package is test support, which may import more.
func support(path string) bool {
	return strings.HasSuffix(path, "test") && filepath.Base(path) != "attest" || below(path, "worker/engine/reference") || strings.Contains(path, "/testdata/")
}

// packages lists the packages of a module and all that they depend on, as the module builds alone.
func packages(t *testing.T, module string) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-tags", "duckdb_arrow", "-json=ImportPath,Name,Dir,Standard,GoFiles,CgoFiles,Imports,Deps,DepOnly", "./...")
	cmd.Dir = filepath.Join(harness.Repository(), module)
	cmd.Env = append(os.Environ(), "GOWORK=off")
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list in %s: %v\n%s", module, err, said.String())
	}
	var all []listed
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func TestArchitecture(t *testing.T) {
	for _, row := range mayImport {
		t.Run(row.folder, func(t *testing.T) {
			all := packages(t, row.folder)
			for _, p := range all {
				path, ours := own(p.ImportPath)
				if !ours || !below(path, row.folder) {
					continue
				}
				checkName(t, path, p)
				checkDoc(t, path, p)
				if support(path) {
					continue
				}
				for _, imported := range p.Imports {
					checkImport(t, path, imported, row.folder, row.allowed)
				}
				if len(p.CgoFiles) > 0 {
					t.Errorf("%s has cgo of its own", path)
				}
			}
			checkWhole(t, row.folder, all)
		})
	}
}

func checkImport(t *testing.T, path, imported, folder string, allowed []string) {
	if other, ours := own(imported); ours {
		ok := below(other, folder) || slices.ContainsFunc(allowed, func(a string) bool { return below(other, a) })
		if !ok {
			t.Errorf("%s imports %s; packages of %s may import %v", path, other, folder, allowed)
		}
		if support(other) && folder != "integration" {
			t.Errorf("%s, which is no test support, imports %s, which is", path, other)
		}
		return
	}
	for dependency, in := range onlyIn {
		if folder == "integration" { // tests of the whole and benchmarks compare with the plain engine
			continue
		}
		if strings.HasPrefix(imported, dependency) && !slices.Contains(in, path) {
			t.Errorf("%s imports %s, which only %v may", path, imported, in)
		}
	}
}

// checkWhole judges what a module is linked from.
func checkWhole(t *testing.T, module string, all []listed) {
	for _, p := range all {
		path, ours := own(p.ImportPath)
		if !ours {
			if cgo := len(p.CgoFiles) > 0 && !p.Standard; cgo && (module == "coordinator" || module == "policies" || module == "protocol" || module == "ui") {
				t.Errorf("%s is linked from %s, which is cgo", module, p.ImportPath)
			}
			if strings.HasPrefix(p.ImportPath, "github.com/edgelesssys/marblerun") && module != "integration" {
				t.Errorf("%s is linked from %s: its marble API is generated in protocol/gen", module, p.ImportPath)
			}
			continue
		}
		for _, pair := range [][2]string{{"coordinator", "worker"}, {"worker", "coordinator"}} {
			if below(path, pair[0]) && !support(path) && slices.ContainsFunc(p.Deps, func(d string) bool { o, ours := own(d); return ours && below(o, pair[1]) }) {
				t.Errorf("%s depends on %s", path, pair[1])
			}
		}
		// cgo comes with the parser only: whatever of sql does not need the parser builds without.
		if below(path, "sql") && path != "sql/parse" && !support(path) && slices.ContainsFunc(p.Deps, func(d string) bool { return strings.HasPrefix(d, "github.com/duckdb/") }) {
			t.Errorf("%s depends on DuckDB", path)
		}
	}
}

func checkName(t *testing.T, path string, p listed) {
	if slices.Contains(forbiddenNames, p.Name) || slices.Contains(forbiddenNames, filepath.Base(path)) {
		t.Errorf("%s: a package is named after what it holds, not %q", path, p.Name)
	}
}

// checkDoc expects a package's doc with a line that says what it sees.
func checkDoc(t *testing.T, path string, p listed) {
	if strings.Contains(path, "/gen/") || len(p.GoFiles) == 0 { // generated, or tests only
		return
	}
	for _, file := range p.GoFiles {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, file), nil, parser.ParseComments|parser.PackageClauseOnly)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains("\n"+f.Doc.Text(), "\nSees: ") {
			return
		}
	}
	t.Errorf("%s: its doc has no line `Sees: …`", path)
}

// TestFilesAreShort holds every Go file of the repository, generated code apart, to the sizes of the house.
func TestFilesAreShort(t *testing.T) {
	err := filepath.WalkDir(harness.Repository(), func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "gen" || entry.Name() == "node_modules") {
			return fs.SkipDir
		}
		if entry.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		lines, err := count(name)
		short, _ := filepath.Rel(harness.Repository(), name)
		if lines > longestFile {
			t.Errorf("%s has %d lines, at most %d: split it", short, lines, longestFile)
		} else if lines > longFile {
			t.Logf("%s has %d lines: look again", short, lines)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func count(name string) (int, error) {
	f, err := os.Open(name) //nolint:gosec // G304: of the repository
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	n := 0
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		n++
	}
	return n, s.Err()
}

// TestReadmeShowsTheTable compares the README's rows with the table that is checked.
func TestReadmeShowsTheTable(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(harness.Repository(), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range mayImport {
		want := "nothing"
		switch {
		case row.folder == "integration":
			want = "all"
		case len(row.allowed) > 0:
			want = "`" + strings.Join(row.allowed, "`, `") + "`"
		}
		found := false
		for line := range strings.Lines(string(raw)) {
			if strings.HasPrefix(line, fmt.Sprintf("| `%s`", row.folder)) {
				cell, _, _ := strings.Cut(strings.Split(line, "|")[2], ";")
				found = strings.TrimSpace(cell) == want
			}
		}
		if !found {
			t.Errorf("README.md: the row of `%s` has to say %s", row.folder, want)
		}
	}
}
