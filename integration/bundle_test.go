package integration_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// otherTools checks a receipt of the real mesh by the commands of VERIFY.md alone, as somebody would who trusts openssl and not us; and a
// receipt whose result was changed.
func otherTools(t *testing.T, offline organisation, file, changed string) {
	t.Helper()
	for _, tool := range []string{"openssl", "sha256sum"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Logf("%s is not installed: VERIFY.md is not tried", tool)
			return
		}
	}
	follow := func(file string) (string, error) {
		dir := filepath.Join(t.TempDir(), "parts")
		offline.run(0, "receipt", "export", file, dir)
		page, err := os.ReadFile(filepath.Join(dir, "VERIFY.md")) //nolint:gosec // G304: of the test
		if err != nil {
			t.Fatal(err)
		}
		var commands strings.Builder
		for i, block := range strings.Split("\n"+string(page), "\n```") {
			if text, ok := strings.CutPrefix(block, "sh\n"); ok && i%2 == 1 {
				commands.WriteString(text + "\n")
			}
		}
		c := exec.Command("sh", "-eu", "-c", commands.String()) //nolint:gosec // G204: the page under test
		c.Dir = dir
		out, err := c.CombinedOutput()
		return string(out), err
	}
	if out, err := follow(file); err != nil || !strings.Contains(out, "all signatures and digests of this receipt hold") {
		t.Errorf("VERIFY.md: %v\n%s", err, out)
	}
	if out, err := follow(changed); err == nil {
		t.Errorf("VERIFY.md takes a changed result:\n%s", out)
	}
}
