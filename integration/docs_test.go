package integration_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
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
	link    = regexp.MustCompile(`\]\(([^)#\s]+)`)
	ownPath = regexp.MustCompile("`((?:protocol|sql|policies|worker|coordinator|ui|integration|tools|docs)/[A-Za-z0-9_./-]+)`")
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

// TestConfigurationIsDocumented holds docs/CONFIG.md to the comments of the structs that are decoded.
func TestConfigurationIsDocumented(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "run", "./cmd/configuration", "--check")
	cmd.Dir = filepath.Join(harness.Repository(), "integration")
	cmd.Env = append(os.Environ(), "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
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
