package integration_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"concordat.dev/integration/harness"
	"concordat.dev/ui/demo"
)

// deploy builds the images, brings the mesh up and has a home adopt it.
func deploy(t *testing.T) *deployed {
	t.Helper()
	e := newEngine(t)
	d := deployed{engine: e, whole: t, project: fmt.Sprintf("concordat-test-%d", os.Getpid()), bin: harness.Binaries(t), home: t.TempDir()}
	d.built, d.compose = d.bin, composeProgram(d.engine)
	t.Log(d.run(d.compose[0], append(d.compose[1:], "version")...))
	d.images()
	founder := demo.Organisations[0].ID
	d.concordat("key", "new", founder)
	d.env = append(d.env, "CONCORDAT_TAG="+d.project, "CONCORDAT_FOUNDER="+d.concordat("key", "show", filepath.Join(d.home, "keys", founder+".key")),
		"CONCORDAT_MEMORY=768m", "CONCORDAT_WORKER_MEMORY=3g", "CONCORDAT_WORKER_CPUS=1.0")
	d.env = append(d.env, ports(t)...)
	t.Cleanup(func() { d.takeDown(t) })
	d.up(everything...)
	d.adopt()
	return &d
}

// composeProgram is the one that CONCORDAT_TEST_COMPOSE names, else `docker compose` where it is, else docker-compose.
func composeProgram(e engine) []string {
	if given := strings.Fields(os.Getenv("CONCORDAT_TEST_COMPOSE")); len(given) > 0 {
		return given
	}
	if _, err := e.try("docker", "compose", "version"); err == nil {
		return []string{"docker", "compose"}
	}
	e.program("docker-compose", "docker-compose")
	return []string{"docker-compose"}
}

// images makes the images around what was built, and removes them after the test.
func (d deployed) images() {
	d.t.Helper()
	tag := d.project
	d.run("make", "images-of-bin", "BIN="+d.built, "BASE_IMAGE="+d.base(), "CONCORDAT_TAG="+tag, "ROOTS="+filepath.Join(d.t.TempDir(), "roots"))
	d.whole.Cleanup(func() { d.forget("concordat/*:" + tag) })
}

// forget removes images, also after the test's context has ended.
func (d deployed) forget(images string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", "docker images --format '{{.Repository}}:{{.Tag}}' '"+images+"' | xargs -r docker rmi -f") //nolint:gosec // G204: our own images
	cmd.Env = d.env
	if out, err := cmd.CombinedOutput(); err != nil {
		d.whole.Errorf("remove the images: %v\n%s", err, out)
	}
}

// ports are free ones for what docker-compose.yml publishes.
func ports(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, name := range []string{"CONCORDAT_MARBLERUN_PORT", "CONCORDAT_PORT_1", "CONCORDAT_PORT_2", "CONCORDAT_PORT_3",
		"CONCORDAT_FLIGHT_PORT_1", "CONCORDAT_FLIGHT_PORT_2", "CONCORDAT_FLIGHT_PORT_3"} {
		out = append(out, name+"="+freePort(t))
	}
	return out
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// takeDown ends it with all data, also after the test's context has ended.
func (d deployed) takeDown(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	d.profiles = []string{"--profile", "witness", "--profile", "prometheus"}
	cmd := exec.CommandContext(ctx, d.compose[0], append(d.options(), "down", "-v", "-t", "5")...) //nolint:gosec // G204: compose
	cmd.Dir, cmd.Env = harness.Repository(), d.env
	if t.Failed() {
		logs := exec.CommandContext(ctx, d.compose[0], append(d.options(), "logs", "--tail=25")...) //nolint:gosec // G204: compose
		logs.Dir, logs.Env = cmd.Dir, cmd.Env
		out, _ := logs.CombinedOutput()
		t.Logf("the last words of all:\n%s", out)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("down: %v\n%s", err, out)
	}
}

func (d deployed) composed(args ...string) string {
	d.t.Helper()
	return d.run(d.compose[0], append(d.options(), args...)...)
}

// options are what every call of compose has in front.
func (d deployed) options() []string {
	return append(append(slices.Clone(d.compose[1:]), "-p", d.project), d.profiles...)
}

// everything that docker-compose.yml runs without a profile, but for setup, which ends.
var everything = []string{"marblerun", "store", "coordinator-1", "coordinator-2", "coordinator-3", "worker-1", "worker-2"}

// up starts what docker-compose.yml names, and returns when these services are healthy.
func (d deployed) up(services ...string) {
	d.t.Helper()
	started := time.Now()
	d.composed("up", "-d", "--no-build")
	for _, service := range services {
		d.healthy(service)
	}
	d.t.Logf("up and healthy in %s", time.Since(started).Round(time.Second))
}

func (d deployed) healthy(service string) {
	d.t.Helper()
	d.until(service+" is healthy", func() bool {
		return d.run("docker", "inspect", "-f", "{{.State.Health.Status}}", d.container(service)) == "healthy"
	})
}

func (d deployed) until(what string, is func() bool) {
	d.t.Helper()
	for end := time.Now().Add(patience); !is(); {
		if time.Now().After(end) {
			d.t.Fatalf("waited %s until %s", patience, what)
		}
	}
}

// container is the id of a service's one, running or not.
func (d deployed) container(service string) string {
	d.t.Helper()
	return d.composed("ps", "-a", "-q", service)
}

// concordat is a command of somebody outside.
func (d deployed) concordat(args ...string) string {
	d.t.Helper()
	ran := harness.Command(d.t, d.bin, d.home, args...)
	if ran.Code != 0 {
		d.t.Fatalf("concordat %s: exit code %d\n%s%s", strings.Join(args, " "), ran.Code, ran.Out, ran.Err)
	}
	return strings.TrimSpace(ran.Out)
}

// adopt takes the root from what setup printed, as an operator would.
func (d *deployed) adopt() {
	d.t.Helper()
	args := []string{"mesh", "adopt", "--root", d.root(), "--marblerun", d.published("marblerun", "4433")}
	for i := range 3 {
		args = append(args, "--coordinator", d.published(fmt.Sprint("coordinator-", i+1), "7300"))
	}
	d.concordat(args...)
	d.Mesh = harness.Elsewhere(d.t, d.home)
}

// root is what setup said last.
func (d deployed) root() string {
	d.t.Helper()
	root := ""
	for line := range strings.Lines(d.run("docker", "logs", d.container("setup"))) {
		if text, ok := strings.CutPrefix(line, "root to pin"); ok {
			root = strings.TrimSpace(text)
		}
	}
	return root
}

// published is where a port of a service is reached from outside, which has to be loopback.
func (d deployed) published(service, port string) string {
	d.t.Helper()
	address := d.composed("port", service, port)
	if !strings.HasPrefix(address, "127.0.0.1:") {
		d.t.Fatalf("%s is published at %s", service, address)
	}
	return address
}
