package helm_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
)

const enclaves = "../../deploy/enclave"

// manifest is what Gramine 1.8 takes (python/graminelibos/manifest_check.py there), as far as ours uses it; reading is strict.
type manifest struct {
	Loader struct {
		Entrypoint struct {
			URI string `toml:"uri"`
		} `toml:"entrypoint"`
		LogLevel string         `toml:"log_level"`
		Argv     []string       `toml:"argv"`
		Env      map[string]any `toml:"env"`
	} `toml:"loader"`
	LibOS struct {
		Entrypoint string `toml:"entrypoint"`
	} `toml:"libos"`
	FS struct {
		Mounts []struct {
			Type    string `toml:"type"`
			Path    string `toml:"path"`
			URI     string `toml:"uri"`
			KeyName string `toml:"key_name"`
		} `toml:"mounts"`
	} `toml:"fs"`
	Sys struct {
		SIGTERM bool `toml:"enable_sigterm_injection"`
		DNS     bool `toml:"enable_extra_runtime_domain_names_conf"`
		NoFork  bool `toml:"disallow_subprocesses"`
		Flock   bool `toml:"experimental__enable_flock"`
		Stack   struct {
			Size string `toml:"size"`
		} `toml:"stack"`
	} `toml:"sys"`
	SGX struct {
		Debug       bool     `toml:"debug"`
		Attestation string   `toml:"remote_attestation"`
		Size        string   `toml:"enclave_size"`
		Threads     int      `toml:"max_threads"`
		EDMM        bool     `toml:"edmm_enable"`
		Product     int      `toml:"isvprodid"`
		Version     int      `toml:"isvsvn"`
		Policy      string   `toml:"file_check_policy"`
		Trusted     []string `toml:"trusted_files"`
		Allowed     []string `toml:"allowed_files"`
	} `toml:"sgx"`
}

func renderManifest(t *testing.T, name string, set ...string) manifest {
	t.Helper()
	if exec.CommandContext(t.Context(), "python3", "-c", "import jinja2").Run() != nil {
		t.Skip("python3 with jinja2 is not here: gramine-manifest brings it, or the Debian package python3-jinja2")
	}
	args := append([]string{enclaves + "/render.py", enclaves + "/" + name + ".manifest.template", "bin=/opt/concordat", "size=16G", "threads=64"}, set...)
	out, err := exec.CommandContext(t.Context(), "python3", args...).Output() //nolint:gosec // the test's own arguments
	if err != nil {
		t.Fatal(err)
	}
	var m manifest
	d := toml.NewDecoder(bytes.NewReader(out))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return m
}

func TestEnclaveManifests(t *testing.T) {
	for name, c := range map[string]struct {
		set  []string
		argv []string
	}{
		"concordat-worker":      {argv: []string{"/concordat-worker", "--config", "/etc/concordat/worker.yaml"}},
		"concordat-coordinator": {argv: []string{"/concordat-coordinator", "--config", "/etc/concordat/coordinator.yaml"}},
		"concordat-worker ": {
			set:  []string{"vaults=/v.yaml", "premain=/p/premain-libos"},
			argv: []string{"/concordat-worker", "--config", "/etc/concordat/worker.yaml", "--vaults", "/vaults.yaml"},
		},
	} {
		m := renderManifest(t, strings.TrimSpace(name), c.set...)
		if !slices.Equal(m.Loader.Argv, c.argv) {
			t.Errorf("%s: arguments %v", name, m.Loader.Argv)
		}
		if m.SGX.Debug || m.SGX.Attestation != "dcap" || m.SGX.Policy != "strict" || m.Loader.LogLevel != "error" || !m.Sys.SIGTERM || m.SGX.Threads != 64 || m.SGX.Size != "16G" {
			t.Errorf("%s: %+v", name, m.SGX)
		}
		mounted := func(path string) string {
			for _, mount := range m.FS.Mounts {
				if mount.Path == path {
					return mount.URI
				}
			}
			return ""
		}
		for _, program := range []string{m.LibOS.Entrypoint, m.Loader.Argv[0]} {
			if uri := mounted(program); uri == "" || !slices.Contains(m.SGX.Trusted, uri) {
				t.Errorf("%s: %s is not mounted, or not measured", name, program)
			}
		}
		if len(c.set) > 0 && (!slices.Contains(m.SGX.Trusted, "file:/v.yaml") || m.LibOS.Entrypoint != "/premain-libos") {
			t.Errorf("%s: the file of vaults is not measured, or premain is not the entry", name)
		}
		for _, variable := range []string{"EDG_MARBLE_COORDINATOR_ADDR", "EDG_COORDINATOR_CLIENT_ADDR", "EDG_MARBLE_TYPE", "EDG_MARBLE_UUID_FILE"} {
			if m.Loader.Env[variable] == nil {
				t.Errorf("%s: %s does not come through", name, variable)
			}
		}
		if _, own := m.Loader.Env["EDG_MARBLE_TYPE"].(string); !own {
			t.Errorf("%s: the host chooses the marble type", name)
		}
		for _, mount := range m.FS.Mounts {
			if mount.Type == "encrypted" && mount.KeyName != "_sgx_mrenclave" {
				t.Errorf("%s: %s is under key %q", name, mount.Path, mount.KeyName)
			}
		}
	}
}

// TestEnclaveBuild: without Gramine and EGo the build still renders, says what is missing, and measures nothing.
func TestEnclaveBuild(t *testing.T) {
	for _, tool := range []string{"gramine-manifest", "gramine-sgx-sign", "ego"} {
		if _, err := exec.LookPath(tool); err == nil {
			t.Skipf("%s is here: `make enclave` measures", tool)
		}
	}
	renderManifest(t, "concordat-worker") // skips without jinja2
	bin, out := t.TempDir(), filepath.Join(t.TempDir(), "enclave")
	said, err := exec.CommandContext(t.Context(), enclaves+"/build.sh", bin, out).CombinedOutput() //nolint:gosec // the test's own arguments
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	for _, want := range []string{"missing    gramine-manifest\n", "missing    gramine-sgx-sign\n", "missing    ego\n"} {
		if !strings.Contains(string(said), want) {
			t.Errorf("it does not say %q:\n%s", want, said)
		}
	}
	if strings.Contains(string(said), "measured") {
		t.Errorf("measured without tools:\n%s", said)
	}
	if b, err := os.ReadFile(filepath.Join(out, "concordat-worker.manifest")); err != nil || !strings.Contains(string(b), bin+"/concordat-worker") {
		t.Errorf("manifest: %v", err)
	}
}
