package integration_test

import (
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"concordat.dev/integration/harness"
)

// composeFile is what these tests judge of docker-compose.yml, in the forms in which it is written there.
type composeFile struct {
	Services map[string]map[string]any `yaml:"services"`
	Networks map[string]map[string]any `yaml:"networks"`
	Volumes  map[string]any            `yaml:"volumes"`
}

func readComposeFile(t *testing.T) composeFile {
	t.Helper()
	var c composeFile
	if err := yaml.Unmarshal([]byte(fileText(t, "docker-compose.yml")), &c); err != nil {
		t.Fatal(err)
	}
	if len(c.Services) < 8 {
		t.Fatalf("docker-compose.yml has %d services", len(c.Services))
	}
	return c
}

func texts(v any) []string {
	var out []string
	list, _ := v.([]any)
	for _, item := range list {
		if text, ok := item.(string); ok {
			out = append(out, text)
		}
	}
	return out
}

// allowed are the keys that a service may have; whatever else gives it more than it needs, such as privileged, devices, cap_add or the host's
// namespaces, has to be argued for here.
var allowed = []string{
	"user", "read_only", "cap_drop", "security_opt", "tmpfs", "restart", "stop_grace_period", "pids_limit", "mem_limit", "cpus", "logging",
	"image", "build", "command", "environment", "depends_on", "volumes", "networks", "ports", "healthcheck", "profiles",
}

// TestComposeConfines holds every service of docker-compose.yml to the same limits.
func TestComposeConfines(t *testing.T) {
	c := readComposeFile(t)
	for name, s := range c.Services {
		for key := range s {
			if !slices.Contains(allowed, key) {
				t.Errorf("%s: %s", name, key)
			}
		}
		if s["read_only"] != true || !slices.Equal(texts(s["cap_drop"]), []string{"ALL"}) || !slices.Equal(texts(s["security_opt"]), []string{"no-new-privileges:true"}) {
			t.Errorf("%s: read_only %v, cap_drop %v, security_opt %v", name, s["read_only"], s["cap_drop"], s["security_opt"])
		}
		if user, _ := s["user"].(string); !regexp.MustCompile(`^[1-9]\d*:[1-9]\d*$`).MatchString(user) {
			t.Errorf("%s runs as %q", name, user)
		}
		for _, limit := range []string{"mem_limit", "cpus", "pids_limit"} {
			if s[limit] == nil {
				t.Errorf("%s has no %s", name, limit)
			}
		}
		if s["healthcheck"] == nil && s["restart"] != "no" {
			t.Errorf("%s has no healthcheck", name)
		}
		for _, port := range texts(s["ports"]) {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s publishes %s beyond loopback", name, port)
			}
		}
		if image, _ := s["image"].(string); !strings.Contains(image, ":") || strings.HasSuffix(image, ":latest") {
			t.Errorf("%s: the image %q names no version", name, image)
		}
		checkComposeVolumes(t, c, name, texts(s["volumes"]))
		networks, _ := s["networks"].(map[string]any)
		checkComposeNetworks(t, c, name, slices.Concat(texts(s["networks"]), slices.Collect(maps.Keys(networks))))
	}
}

func checkComposeVolumes(t *testing.T, c composeFile, service string, volumes []string) {
	t.Helper()
	for _, volume := range volumes {
		source, target, _ := strings.Cut(volume, ":")
		ours := strings.HasPrefix(source, "./deploy/") && strings.HasSuffix(target, ":ro")
		if _, named := c.Volumes[source]; !named && !ours {
			t.Errorf("%s mounts %s, which is no volume of the file", service, volume)
		}
		owner, _, _ := strings.Cut(volume, "-")
		if (owner == "coordinator" || owner == "worker") && source != service {
			t.Errorf("%s mounts the volume of %s", service, source)
		}
	}
}

// checkComposeNetworks: people reach coordinators and MarbleRun, and nothing with rows has a way out.
func checkComposeNetworks(t *testing.T, c composeFile, service string, networks []string) {
	t.Helper()
	if len(networks) == 0 {
		t.Errorf("%s is on the default network", service)
	}
	for _, network := range networks {
		internal := c.Networks[network]["internal"] == true
		if confined := strings.HasPrefix(service, "worker") || service == "store" || service == "setup"; confined && !internal {
			t.Errorf("%s is on the network %s, which has a way out", service, network)
		}
	}
}

var (
	secretName  = regexp.MustCompile(`(?i)(secret|password|passwd|token|access_key|private|credential)[a-z_]*\s*[:=]\s*(\S+)`)
	randomValue = regexp.MustCompile(`\b(?:[A-Za-z0-9+/]{40,}={0,2}|AKIA[A-Z0-9]{16})\b`)
)

// TestComposeHoldsNoSecret: a secret's name is followed by a path, a reference or a command, and nothing looks drawn at random.
func TestComposeHoldsNoSecret(t *testing.T) {
	for _, file := range []string{"docker-compose.yml", "Dockerfile", "Dockerfile.prebuilt"} {
		for i, line := range strings.Split(fileText(t, file), "\n") {
			line, _, _ = strings.Cut(line, " #")
			if m := secretName.FindStringSubmatch(line); m != nil && !strings.HasPrefix(m[2], "/") && !strings.HasPrefix(m[2], `"$`) && !strings.HasPrefix(m[2], "{}") && !strings.HasPrefix(m[2], "//") {
				t.Errorf("%s:%d: %s", file, i+1, m[0])
			}
			if m := randomValue.FindString(line); m != "" && !strings.Contains(m, "/") {
				t.Errorf("%s:%d: %s looks like a secret", file, i+1, m)
			}
		}
	}
}

// TestComposeIsTaken has the programs that are installed here read docker-compose.yml, with all profiles, and with the file that lets it succeed another.
func TestComposeIsTaken(t *testing.T) {
	tried := 0
	for _, compose := range [][]string{{"docker", "compose"}, {"docker-compose"}} {
		if exec.CommandContext(t.Context(), compose[0], append(compose[1:], "version")...).Run() != nil { //nolint:gosec // G204: compose
			continue
		}
		tried++
		t.Run(strings.Join(compose, " "), func(t *testing.T) { composeTakes(t, compose) })
	}
	if tried == 0 {
		t.Skip("skipped: neither `docker compose` nor docker-compose is installed")
	}
}

func composeTakes(t *testing.T, compose []string) {
	none := harness.File(t, "empty.env", "") // not the .env of whoever runs this
	config := func(files []string, env ...string) (string, error) {
		args := slices.Concat(compose[1:], files, []string{"--env-file", none, "--profile", "witness", "--profile", "prometheus", "config"})
		cmd := exec.CommandContext(t.Context(), compose[0], args...) //nolint:gosec // G204: compose
		cmd.Dir, cmd.Env = harness.Repository(), append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "DOCKER_CONFIG=" + os.Getenv("DOCKER_CONFIG")}, env...)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := config(nil, "CONCORDAT_FOUNDER=ed25519:AAAA"); err != nil || !strings.Contains(out, "--founder=ed25519:AAAA") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := config(nil); err == nil || !strings.Contains(out, "make compose-init") {
		t.Errorf("without a founder: %v\n%s", err, out)
	}
	succeeds := []string{"-f", "docker-compose.yml", "-f", "deploy/compose/succeeds.yaml"}
	out, err := config(succeeds, "CONCORDAT_FOUNDER=ed25519:AAAA", "CONCORDAT_SUCCEEDS=old")
	if err != nil || !strings.Contains(out, "--succeeds=old") || !strings.Contains(out, "name: old_objects") || !strings.Contains(out, "name: old_credentials") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := config(succeeds, "CONCORDAT_FOUNDER=ed25519:AAAA"); err == nil || !strings.Contains(out, "the project whose ledger") {
		t.Errorf("without the project to succeed: %v\n%s", err, out)
	}
}
