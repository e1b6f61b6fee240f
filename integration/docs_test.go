package integration_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"

	"concordat.dev/integration/harness"
)

func fileText(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(harness.Repository(), path))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// pages are all Markdown files of the repository, by their path below it.
func pages(t *testing.T) []string {
	t.Helper()
	var out []string
	repository := harness.Repository()
	err := filepath.WalkDir(repository, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != repository && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules" || d.Name() == "bin"):
			return fs.SkipDir
		case strings.HasSuffix(path, ".md"):
			below, err := filepath.Rel(repository, path)
			out = append(out, below)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

var (
	link     = regexp.MustCompile(`\]\(([^)#\s]+)`)
	ownPath  = regexp.MustCompile("`((?:protocol|sql|policies|worker|coordinator|ui|integration|tools|docs)/[A-Za-z0-9_./-]+)`")
	tableRow = regexp.MustCompile("(?m)^\\| `")
	key      = regexp.MustCompile("`([a-z_.\\[\\]]+)`")
)

func TestPagesNameWhatExists(t *testing.T) {
	for _, page := range pages(t) {
		text := fileText(t, page)
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(harness.Repository(), filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s links to %s, which does not exist", page, m[1])
			}
		}
		for _, m := range ownPath.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(harness.Repository(), m[1])); err != nil {
				t.Errorf("%s names %s, which does not exist", page, m[1])
			}
		}
	}
}

// TestConfigurationIsDocumented compares the keys of both configurations with the tables of docs/CONFIG.md, in both directions.
func TestConfigurationIsDocumented(t *testing.T) {
	for _, program := range []string{"coordinator", "worker"} {
		_, section, found := strings.Cut(fileText(t, "docs/CONFIG.md"), "## concordat-"+program+"\n")
		if !found {
			t.Fatalf("docs/CONFIG.md has no section concordat-%s", program)
		}
		section, _, _ = strings.Cut(section, "\n## ")
		told := map[string]bool{}
		for _, line := range strings.Split(section, "\n") {
			if !tableRow.MatchString(line) {
				continue
			}
			cell, _, _ := strings.Cut(line[1:], "|")
			for _, m := range key.FindAllStringSubmatch(cell, -1) {
				for _, part := range strings.Split(strings.ReplaceAll(m[1], "[]", ""), ".") {
					told[part] = true
				}
			}
		}
		have := yamlKeys(t, program+"/server")
		for k := range have {
			if !told[k] {
				t.Errorf("docs/CONFIG.md does not tell of %s in the configuration of concordat-%s", k, program)
			}
		}
		for k := range told {
			if k != "" && !have[k] {
				t.Errorf("docs/CONFIG.md tells of %s, which concordat-%s does not have", k, program)
			}
		}
	}
}

// yamlKeys are the keys of all structs in a folder's files.
func yamlKeys(t *testing.T, folder string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(harness.Repository(), folder, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]bool{}
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if f, ok := n.(*ast.Field); ok && f.Tag != nil {
				name, _, _ := strings.Cut(reflect.StructTag(strings.Trim(f.Tag.Value, "`")).Get("yaml"), ",")
				if name != "" {
					keys[name] = true
				}
			}
			return true
		})
	}
	return keys
}

// TestDependenciesAreDocumented wants every module that ours ask for in docs/DEPENDENCIES.md, with the highest version that one of them names.
func TestDependenciesAreDocumented(t *testing.T) {
	highest := map[string]string{}
	for _, ours := range []string{"protocol", "observe", "sql", "policies", "worker", "coordinator", "ui", "integration"} {
		parsed, err := modfile.Parse("go.mod", []byte(fileText(t, ours+"/go.mod")), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range parsed.Require {
			if strings.HasPrefix(r.Mod.Path, "concordat.dev/") {
				continue
			}
			if _, asked := highest[r.Mod.Path]; (asked || !r.Indirect) && semver.Compare(r.Mod.Version, highest[r.Mod.Path]) > 0 {
				highest[r.Mod.Path] = r.Mod.Version
			}
		}
	}
	page := fileText(t, "docs/DEPENDENCIES.md")
	for path, version := range highest {
		if !strings.Contains(page, "| "+path+" | "+version+" |") {
			t.Errorf("docs/DEPENDENCIES.md has no row for %s %s, with licence and reason", path, version)
		}
	}
}
