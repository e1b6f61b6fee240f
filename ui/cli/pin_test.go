package cli

import (
	"strings"
	"testing"
	"time"

	"concordat.dev/protocol/document"
)

var mesh1 = document.Mesh{Mode: "simulation", MarbleRunManifest: "sha256:m", RootCertificate: "sha256:r", Coordinator: "sha256:c", Ledger: "ab", Voters: []string{"ed25519:x"}}

const section = `mesh:
  mode: simulation
  marblerun_manifest: "sha256:m"
  root_certificate: "sha256:r"
  coordinator: "sha256:c"
  ledger: "ab"
  voters:
    - "ed25519:x"
`

func TestPinChangesTheMeshSectionAlone(t *testing.T) {
	for name, c := range map[string]struct{ before, after string }{
		"missing":      {"# c\na: 1\n", "# c\na: 1\n" + section},
		"no last line": {"a: 1", "a: 1\n" + section},
		"one line":     {"a: 1\nmesh: {mode: sgx}\nb: 2 # mesh:\n", "a: 1\n" + section + "b: 2 # mesh:\n"},
		"flow":         {"mesh: {mode: sgx,\n  ledger: x\n}\nb: 2\n", section + "b: 2\n"},
		"block":        {"a: 1\nmesh:\n  mode: sgx\n  voters:\n    - x\n\nb:\n  mesh: 1\n", "a: 1\n" + section + "b:\n  mesh: 1\n"},
		"list":         {"mesh:\n  voters:\n  - x\nb: 2\n", section + "b: 2\n"},
	} {
		if got := pin(c.before, mesh1); got != c.after {
			t.Errorf("%s:\n%s\nwant:\n%s", name, got, c.after)
		}
		if again := pin(pin(c.before, mesh1), mesh1); again != c.after {
			t.Errorf("%s: a second time changes it:\n%s", name, again)
		}
	}
}

func TestTransfer(t *testing.T) {
	const mib = 1 << 20
	for want, got := range map[string]string{
		"64 MiB of 256 MiB (25 %), 32 MiB/s, 6s left":  transfer(64*mib, 0, 256*mib, 2*time.Second),
		"128 MiB of 256 MiB (50 %), 32 MiB/s, 4s left": transfer(128*mib, 64*mib, 256*mib, 2*time.Second),
		"0 B of 1.5 KiB (0 %)":                         transfer(0, 0, 1536, time.Second),
		"10 B of 10 B (100 %)":                         transfer(10, 0, 10, 10*time.Millisecond),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestExplainSaysEverythingOfPublicData(t *testing.T) {
	var b strings.Builder
	p := &document.Policy{Dataset: "zip", Owner: "post", Unit: document.Unit{None: true}}
	if err := explainPolicy(&b, p); err != nil || !strings.Contains(b.String(), "protects nobody") {
		t.Fatal(err, b.String())
	}
}
