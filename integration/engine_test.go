package integration_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"concordat.dev/integration/harness"
)

// engine is a Docker engine: the one that DOCKER_HOST names, or one of the test's own, below a folder of its own, which ends with the test.
type engine struct {
	t   *testing.T
	env []string
}

// newEngine skips the test, and says why, where none can run.
func newEngine(t *testing.T) engine {
	t.Helper()
	e := engine{t: t, env: append(os.Environ(), "DOCKER_BUILDKIT=0", "COMPOSE_INTERACTIVE_NO_CLI=1")}
	e.program("docker", "docker.io")
	if os.Getenv("DOCKER_HOST") == "" {
		e.start()
	}
	if out, err := e.try("docker", "version", "--format", "{{.Server.Version}}"); err != nil {
		t.Skipf("skipped: no Docker engine answers: %v\n%s", err, out)
	}
	return e
}

// program makes sure that a program is there: as root on Debian by installing its package, else the test is skipped.
func (e engine) program(name, debian string) {
	e.t.Helper()
	if _, err := exec.LookPath(name); err == nil {
		return
	}
	apt, err := exec.LookPath("apt-get")
	if err != nil || os.Geteuid() != 0 {
		e.t.Skipf("skipped: %s is missing, and cannot be installed here (no apt-get, or not root): on Debian 'sudo apt-get install %s'", name, debian)
	}
	e.t.Logf("install the Debian package %s", debian)
	for _, args := range [][]string{{"update", "-qq"}, {"install", "-y", "-qq", "--no-install-recommends", debian}} {
		cmd := exec.CommandContext(e.t.Context(), apt, args...) //nolint:gosec // G204: apt-get
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			e.t.Skipf("skipped: %s is missing, and apt-get %s failed: %v\n%s", name, args[0], err, out)
		}
	}
}

// start runs a Docker engine that shares nothing but the host's network with another one.
func (e *engine) start() {
	e.t.Helper()
	if os.Geteuid() != 0 {
		e.t.Skip("skipped: DOCKER_HOST names no Docker engine, and only root can start one")
	}
	e.program("dockerd", "docker.io")
	dir, err := os.MkdirTemp("", "engine-") // shorter than a test's folder: a socket's path may have 107 bytes
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			e.t.Errorf("the engine left something behind: %v", err)
		}
	})
	socket := "unix://" + filepath.Join(dir, "socket")
	var said bytes.Buffer
	cmd := exec.Command("dockerd", "-H", socket, "--data-root", filepath.Join(dir, "data"), "--exec-root", filepath.Join(dir, "exec"), "-p", filepath.Join(dir, "pid")) //nolint:gosec,noctx // G204: ended below
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		e.t.Skipf("skipped: dockerd does not start: %v", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	e.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := <-ended; err != nil {
			e.t.Logf("dockerd ended: %v", err)
		}
		for _, mounts := range []string{"exec/netns/*", "data/overlay2/*/merged", "data/overlay2"} {
			left, _ := filepath.Glob(filepath.Join(dir, mounts))
			for _, mount := range left {
				_ = syscall.Unmount(mount, syscall.MNT_DETACH) // it may be none
			}
		}
	})
	e.env = append(e.env, "DOCKER_HOST="+socket)
	for end := time.Now().Add(2 * time.Minute); ; {
		if _, err := e.try("docker", "version"); err == nil {
			return
		}
		select {
		case err := <-ended:
			ended <- err
			text := said.String()
			e.t.Skipf("skipped: a Docker engine cannot run here: dockerd ended (%v):\n%s", err, text[max(0, len(text)-2000):])
		case <-time.After(200 * time.Millisecond):
		}
		if time.Now().After(end) {
			e.t.Skip("skipped: dockerd does not answer within two minutes")
		}
	}
}

func (e engine) try(name string, args ...string) (string, error) {
	cmd := exec.CommandContext(e.t.Context(), name, args...)
	cmd.Dir, cmd.Env = harness.Repository(), e.env
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// run is a command that has to succeed; it gives what it printed.
func (e engine) run(name string, args ...string) string {
	e.t.Helper()
	out, err := e.try(name, args...)
	if err != nil {
		e.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out[max(0, len(out)-4000):])
	}
	return out
}

// base is an image that stands in for the bases of the Dockerfile: Debian's smallest system.
func (e engine) base() string {
	e.t.Helper()
	const official, own = "debian:bookworm-slim", "concordat-test/debian:bookworm"
	for _, image := range []string{official, own} {
		if _, err := e.try("docker", "image", "inspect", image); err == nil {
			return image
		}
	}
	tree := os.Getenv("CONCORDAT_TEST_DEBIAN")
	if tree == "" {
		tree = filepath.Join(harness.Repository(), ".tools", "debian-bookworm")
	}
	if _, err := os.Stat(filepath.Join(tree, "bin", "bash")); err != nil {
		if os.Geteuid() != 0 {
			e.t.Skipf("skipped: the engine has no image %s, and only root can make one with debootstrap: 'docker pull %s'", official, official)
		}
		e.program("debootstrap", "debootstrap")
		e.t.Logf("no image can be pulled for a test: making a Debian tree in %s, once, which takes minutes", tree)
		if out, err := e.try("debootstrap", "--variant=minbase", "bookworm", tree); err != nil {
			_ = os.RemoveAll(tree)
			e.t.Skipf("skipped: no base image: debootstrap: %v\n%s", err, out[max(0, len(out)-2000):])
		}
	}
	e.run("sh", "-ec", fmt.Sprintf("tar -C '%s' --exclude=./var/cache/apt --exclude=./var/lib/apt/lists -c . | docker import - %s", tree, own))
	return own
}
