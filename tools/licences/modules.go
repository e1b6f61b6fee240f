package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// programs are what is built for others, by folder of the module.
var programs = map[string]string{
	"ui": "./cmd/concordat", "coordinator": "./cmd/concordat-coordinator", "worker": "./cmd/concordat-worker",
	"tools/marblerun": "github.com/edgelesssys/marblerun/cmd/coordinator",
}

// phrases tell licences apart, in this order: what is refused comes first, so that a file with two licences is not taken for the milder one.
var phrases = []struct{ licence, phrase string }{
	{"AGPL", "gnu affero general public license"},
	{"GPL", "gnu general public license"},
	{"LGPL", "gnu lesser general public license"},
	{"SSPL", "server side public license"},
	{"BUSL", "business source license"},
	{"MPL-2.0", "mozilla public license"},
	{"Apache-2.0", "apache license"},
	{"BSD", "redistribution and use in source and binary forms"},
	{"MIT", "permission is hereby granted, free of charge"},
	{"ISC", "permission to use, copy, modify, and/or distribute"},
	{"ISC", "permission to use, copy, modify, and distribute"},
	{"Unlicense", "this is free and unencumbered software"},
	{"CC0-1.0", "cc0 1.0"},
}

var allowed = []string{"Apache-2.0", "BSD", "MIT", "ISC", "MPL-2.0", "Unlicense", "CC0-1.0"}

// exceptions are judged by hand, at one exact version: the text of MPL-2.0 names the licences of GNU as secondary ones, which phrases take for
// them; MarbleRun's change date has passed.
var exceptions = map[string]string{
	"github.com/edgelesssys/marblerun@v1.6.0": "MPL-2.0 since 30 October 2026, the change date of its Business Source License (docs/DEPENDENCIES.md)",
}

var licenceFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying|unlicense)([.-].*)?$`)

var space = regexp.MustCompile(`[\s*#/]+`)

type module struct{ Path, Version, Dir string }

// linked are the modules whose packages are linked into a program; ours are left out.
func linked(root, folder, program string) ([]module, error) {
	cmd := exec.Command("go", "list", "-deps", "-tags", "duckdb_arrow", "-json=Module", program) //nolint:gosec // our own table
	cmd.Dir = filepath.Join(root, folder)
	cmd.Env = append(os.Environ(), "GOWORK=off")
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list in %s: %w: %s", folder, err, complaint.String())
	}
	var modules []module
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct{ Module *module }
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return modules, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list in %s: %w", folder, err)
		}
		if m := p.Module; m != nil && m.Version != "" && !strings.HasPrefix(m.Path, "concordat.dev/") && !slices.Contains(modules, *m) {
			modules = append(modules, *m)
		}
	}
}

// licence says under what a module comes, as the files at its root or, for a module inside a repository's folder, above it say.
func licence(m module) string {
	entries, err := os.ReadDir(m.Dir)
	if err != nil {
		return "unread"
	}
	for _, e := range entries {
		if e.IsDir() || !licenceFile.MatchString(e.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(m.Dir, e.Name())) //nolint:gosec // Go's own cache
		if err == nil {
			if l := classify(string(text)); l != "" {
				return l
			}
		}
	}
	return "unknown"
}

// classify finds the licence of a text. The Mozilla text speaks of the licences of GNU, so its own title decides.
func classify(text string) string {
	plain := space.ReplaceAllString(strings.ToLower(text), " ")
	head := plain[:min(len(plain), 600)]
	if strings.Contains(head, "mozilla public license") {
		return "MPL-2.0"
	}
	for _, p := range phrases {
		if strings.Contains(plain, p.phrase) {
			return p.licence
		}
	}
	return ""
}

// judge gives all problems, and how much was looked at.
func judge(root string) (problems []string, checked int, err error) {
	seen := map[string]bool{}
	for folder, program := range programs {
		modules, err := linked(root, folder, program)
		if err != nil {
			return nil, 0, err
		}
		for _, m := range modules {
			name := m.Path + "@" + m.Version
			if seen[name] {
				continue
			}
			seen[name] = true
			if l := licence(m); !slices.Contains(allowed, l) && exceptions[name] == "" {
				problems = append(problems, fmt.Sprintf("%s: licence %s is not allowed; judge it by hand, or leave the module out", name, l))
			}
		}
	}
	lock, err := os.ReadFile(filepath.Join(root, "ui/web/package-lock.json")) //nolint:gosec // the repository's own
	if err != nil {
		return nil, 0, err
	}
	manifest, err := os.ReadFile(filepath.Join(root, "ui/web/package.json")) //nolint:gosec // the repository's own
	if err != nil {
		return nil, 0, err
	}
	more, n, err := packages(manifest, lock)
	problems = append(problems, more...)
	slices.Sort(problems)
	return problems, len(seen) + n, err
}
