package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// scripts are the packages that may run a script when they are installed, and why.
var scripts = map[string]string{
	"fsevents": "for macOS only, and optional",
}

var npmAllowed = []string{
	"MIT", "ISC", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "0BSD", "CC0-1.0", "BlueOak-1.0.0", "Unlicense", "Python-2.0", "CC-BY-4.0",
	"MIT-0", "MPL-2.0", "(Apache-2.0 AND BSD-3-Clause)", "(MIT OR Apache-2.0)", "(MIT OR CC0-1.0)", "MIT OR Apache-2.0",
}

var exact = regexp.MustCompile(`^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$`)

type npmPackage struct {
	Version, Resolved, Integrity string
	License                      any
	HasInstallScript             bool
	Link                         bool
}

// packages judges a lock file of version 3 and the manifest it belongs to.
func packages(manifest, lock []byte) (problems []string, checked int, err error) {
	var m struct{ Dependencies, DevDependencies map[string]string }
	if err := json.Unmarshal(manifest, &m); err != nil {
		return nil, 0, fmt.Errorf("package.json: %w", err)
	}
	var l struct {
		LockfileVersion int
		Packages        map[string]npmPackage
	}
	if err := json.Unmarshal(lock, &l); err != nil {
		return nil, 0, fmt.Errorf("package-lock.json: %w", err)
	}
	if l.LockfileVersion != 3 || len(l.Packages) == 0 {
		return nil, 0, fmt.Errorf("package-lock.json: version %d with %d packages; want version 3", l.LockfileVersion, len(l.Packages))
	}
	for _, wanted := range []map[string]string{m.Dependencies, m.DevDependencies} {
		for name, version := range wanted {
			if !exact.MatchString(version) {
				problems = append(problems, fmt.Sprintf("npm %s: %q is no exact version", name, version))
			}
			if got := l.Packages["node_modules/"+name].Version; got != version {
				problems = append(problems, fmt.Sprintf("npm %s: package.json says %s, the lock %q", name, version, got))
			}
		}
	}
	for path, p := range l.Packages {
		if path == "" {
			continue
		}
		checked++
		for _, what := range p.problems(path) {
			problems = append(problems, fmt.Sprintf("npm %s %s: %s", strings.TrimPrefix(path, "node_modules/"), p.Version, what))
		}
	}
	slices.Sort(problems)
	return problems, checked, nil
}

func (p npmPackage) problems(path string) []string {
	var out []string
	if digest, ok := strings.CutPrefix(p.Integrity, "sha512-"); !ok || !digestOf(digest) {
		out = append(out, "no SHA-512 digest")
	}
	if p.Link || !exact.MatchString(p.Version) || (p.Resolved != "" && !strings.HasPrefix(p.Resolved, "https://")) {
		out = append(out, "not a version of a registry")
	}
	name := path[strings.LastIndex(path, "node_modules/")+len("node_modules/"):]
	if p.HasInstallScript && scripts[name] == "" {
		out = append(out, "runs a script when it is installed")
	}
	if l, _ := p.License.(string); !slices.Contains(npmAllowed, l) {
		out = append(out, fmt.Sprintf("licence %v is not allowed", p.License))
	}
	return out
}

func digestOf(s string) bool {
	b, err := base64.StdEncoding.DecodeString(s)
	return err == nil && len(b) == 64
}
