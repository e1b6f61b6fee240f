package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"concordat.dev/protocol/document"
)

// pinSection is the mesh section of a manifest in YAML.
func pinSection(m document.Mesh) string {
	var b strings.Builder
	b.WriteString("mesh:\n")
	fmt.Fprintf(&b, "  mode: %s\n  marblerun_manifest: %q\n  root_certificate: %q\n  coordinator: %q\n  ledger: %q\n",
		m.Mode, m.MarbleRunManifest, m.RootCertificate, m.Coordinator, m.Ledger)
	list := func(name string, values []string) {
		if len(values) > 0 {
			fmt.Fprintf(&b, "  %s:\n", name)
		}
		for _, v := range values {
			fmt.Fprintf(&b, "    - %q\n", v)
		}
	}
	list("voters", m.Voters)
	list("inherits", m.Inherits)
	return b.String()
}

// pin replaces the mesh section of a manifest, or appends it; every other byte stays.
func pin(manifest string, m document.Mesh) string {
	lines := strings.SplitAfter(manifest, "\n")
	var kept strings.Builder
	inside, placed := false, false
	for _, line := range lines {
		top := line != "" && !strings.ContainsAny(line[:1], " \t\r\n#-}")
		if top {
			inside = strings.HasPrefix(line, "mesh:")
			if inside && !placed {
				kept.WriteString(pinSection(m))
				placed = true
			}
		}
		if !inside {
			kept.WriteString(line)
		}
	}
	if placed {
		return kept.String()
	}
	return strings.TrimRight(kept.String(), "\n") + "\n" + pinSection(m)
}

// pinFile writes the mesh section into the manifest of a directory.
func pinFile(dir string, m document.Mesh) error {
	file := filepath.Join(dir, document.ManifestFile)
	before, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("pin the mesh: %w", err)
	}
	if err := os.WriteFile(file, []byte(pin(string(before), m)), 0o644); err != nil { //nolint:gosec // G306: a manifest is no secret
		return fmt.Errorf("pin the mesh: %w", err)
	}
	return nil
}
