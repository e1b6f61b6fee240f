package integration_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"concordat.dev/integration/harness"
)

// buildImage stands in for the images with Go and with Node that the Dockerfile names: Debian, with the very Go and Node of this machine, its compiler, and
// the certificates that it trusts.
const buildImage = `FROM %s
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends build-essential git >/dev/null
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY go /usr/local/go
COPY node /usr/local/bin/node
COPY npm /usr/local/lib/node_modules/npm
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm && ln -s ../lib/node_modules/npm/bin/npx-cli.js /usr/local/bin/npx
ENV PATH=/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt GOTOOLCHAIN=local
`

// TestComposeFromSource builds the images by Dockerfile, from source and from the registries alone, and compares the programs with those of `make build`:
// other folders, no caches, the same bytes.
func TestComposeFromSource(t *testing.T) {
	if os.Getenv("CONCORDAT_COMPOSE") != "source" {
		t.Skip("skipped: `make compose-source-test` runs it; it compiles everything in a container, which takes a quarter of an hour or more")
	}
	e := newEngine(t)
	standIn := fmt.Sprintf("concordat-test/build:%d", os.Getpid())
	base := e.base()
	e.run("docker", "build", "-q", "--network", "host", "-t", standIn, tools(t, e, base))
	bin, tag := harness.Binaries(t), fmt.Sprintf("source-%d", os.Getpid())
	d := deployed{engine: e, whole: t}
	t.Cleanup(func() { d.forget("concordat-test/*:" + tag); d.forget(standIn) })
	for _, program := range []string{"concordat-worker", "concordat-coordinator", "concordat", "marblerun-coordinator", "versitygw"} {
		image := "concordat-test/" + program + ":" + tag
		args := []string{"build", "-q", "--network", "host", "--build-arg", "PROGRAM=" + program, "-t", image}
		for _, set := range []string{"NODE_IMAGE=" + standIn, "GO_IMAGE=" + standIn, "BASE_IMAGE=" + base, "GOPROXY=" + os.Getenv("GOPROXY"), "NPM_CONFIG_REGISTRY=" + os.Getenv("NPM_CONFIG_REGISTRY")} {
			args = append(args, "--build-arg", set)
		}
		e.run("docker", append(args, harness.Repository())...)
		if program == "versitygw" {
			continue // not of bin/
		}
		said, _, _ := strings.Cut(e.run("docker", "run", "--rm", "--network", "none", image, "sha256sum", "/opt/concordat/"+program), " ")
		if built := digest(t, filepath.Join(bin, program)); said != built {
			t.Errorf("%s from source in a container is %s, bin/ has %s", program, said, built)
		}
	}
}

// tools is a folder to build the stand-in from.
func tools(t *testing.T, e engine, base string) string {
	t.Helper()
	dir := t.TempDir()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skipf("skipped: %v", err)
	}
	for from, to := range map[string]string{
		e.run("go", "env", "GOROOT"): "go", node: "node", filepath.Join(e.run("npm", "root", "-g"), "npm"): "npm", "/etc/ssl/certs/ca-certificates.crt": "ca-certificates.crt",
	} {
		e.run("cp", "-RL", from, filepath.Join(dir, to))
	}
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), fmt.Appendf(nil, buildImage, base), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}
