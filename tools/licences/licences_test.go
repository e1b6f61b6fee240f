package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestClassify(t *testing.T) {
	for want, text := range map[string]string{
		"MPL-2.0":    "Mozilla Public License Version 2.0\n" + strings.Repeat("x ", 400) + "Secondary License means the GNU General Public License",
		"GPL":        "                    GNU GENERAL PUBLIC LICENSE\n   Version 3",
		"AGPL":       "GNU AFFERO\nGENERAL PUBLIC LICENSE … GNU General Public License",
		"MIT":        "Copyright X\n\nPermission is hereby granted, free of\ncharge, to any person",
		"BSD":        "// Redistribution and use in source and\n// binary forms, with or without",
		"Apache-2.0": "  Apache License\n  Version 2.0",
		"BUSL":       "Business Source License 1.1 … Change License: Mozilla",
		"":           "All rights reserved.",
	} {
		if got := classify(text); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestModuleWithoutLicence(t *testing.T) {
	dir := t.TempDir()
	if got := licence(module{Dir: dir}); got != "unknown" {
		t.Error(got)
	}
	if err := os.WriteFile(filepath.Join(dir, "LICENSE.md"), []byte("Permission is hereby granted, free of charge"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := licence(module{Dir: dir}); got != "MIT" {
		t.Error(got)
	}
}

func TestPackages(t *testing.T) {
	const digest = "sha512-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="
	manifest := `{"dependencies": {"a": "1.2.3"}}`
	good := `{"lockfileVersion": 3, "packages": {"": {}, "node_modules/a": {"version": "1.2.3", "resolved": "https://r/a.tgz", "integrity": "` + digest + `", "license": "MIT"}}}`
	if problems, n, err := packages([]byte(manifest), []byte(good)); err != nil || n != 1 || len(problems) != 0 {
		t.Fatal(problems, n, err)
	}
	for name, c := range map[string]struct{ from, to, want string }{
		"range":         {`"a": "1.2.3"`, `"a": "^1.2.3"`, "no exact version"},
		"another":       {`"version": "1.2.3"`, `"version": "1.2.4"`, "package.json says"},
		"no digest":     {digest, "sha1-AAAA", "no SHA-512 digest"},
		"from a branch": {"https://r/a.tgz", "git+ssh://r/a", "not a version of a registry"},
		"script":        {`"license"`, `"hasInstallScript": true, "license"`, "runs a script"},
		"GPL":           {`"MIT"`, `"GPL-3.0"`, "licence GPL-3.0"},
		"none":          {`"license": "MIT"`, `"x": 1`, "licence <nil>"},
	} {
		problems, _, err := packages([]byte(strings.Replace(manifest, c.from, c.to, 1)), []byte(strings.Replace(good, c.from, c.to, 1)))
		if err != nil || !strings.Contains(strings.Join(problems, "\n"), c.want) {
			t.Errorf("%s: %v, %v", name, problems, err)
		}
	}
	if _, _, err := packages([]byte(manifest), []byte(`{"lockfileVersion": 1}`)); err == nil {
		t.Error("an old lock file was accepted")
	}
}
