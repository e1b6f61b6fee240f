package integration_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
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

// patience is how long a step may take on a machine with much to do.
const patience = 5 * time.Minute

// deployed is docker-compose.yml on an engine, as an operator runs it, and the home of those who use it.
type deployed struct {
	engine
	*harness.Mesh
	project, bin, home string
	compose            []string
}

// TestCompose runs the demo's study through docker-compose.yml, cuts its leader off the network, kills a worker, and takes all down and up again.
func TestCompose(t *testing.T) {
	if os.Getenv("CONCORDAT_COMPOSE") == "" {
		t.Skip("skipped: `make compose-test` runs it; it needs a Docker engine, or root to start one, and some minutes")
	}
	d := deploy(t)
	t.Run("images hold the binaries of bin", d.in(deployed.checkImages))
	t.Run("containers may do little", d.in(deployed.checkConfined))
	t.Run("the study", d.in(deployed.study))
	t.Run("a leader without a network", d.in(deployed.cutOff))
	t.Run("a dead worker", d.in(deployed.killWorker))
	t.Run("down and up", d.in(deployed.downAndUp))
}

func (d deployed) in(step func(deployed)) func(*testing.T) {
	return func(t *testing.T) {
		if d.t.Failed() {
			t.Skip("skipped: a step before failed")
		}
		d.t, d.engine.t = t, t
		if d.Mesh != nil {
			d.Mesh = d.In(t)
		}
		step(d)
	}
}

// deploy builds the images, brings the mesh up and has a home adopt it.
func deploy(t *testing.T) deployed {
	t.Helper()
	e := newEngine(t)
	d := deployed{engine: e, project: fmt.Sprintf("concordat-test-%d", os.Getpid()), bin: harness.Binaries(t), home: t.TempDir()}
	d.compose = []string{"docker", "compose"}
	if _, err := d.try("docker", "compose", "version"); err != nil {
		d.program("docker-compose", "docker-compose")
		d.compose = []string{"docker-compose"}
	}
	t.Log(d.run(d.compose[0], append(d.compose[1:], "version")...))
	d.run("make", "images-of-bin", "BIN="+d.bin, "BASE_IMAGE="+d.base(), "CONCORDAT_TAG="+d.project, "ROOTS="+filepath.Join(t.TempDir(), "roots"))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		cmd := exec.CommandContext(ctx, "sh", "-c", "docker images -q 'concordat/*:"+d.project+"' | xargs -r docker rmi -f") //nolint:gosec // G204: our own images
		cmd.Env = e.env
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("remove the images: %v\n%s", err, out)
		}
	})
	founder := demo.Organisations[0].ID
	d.concordat("key", "new", founder)
	d.env = append(d.env, "CONCORDAT_TAG="+d.project, "CONCORDAT_FOUNDER="+d.concordat("key", "show", filepath.Join(d.home, "keys", founder+".key")),
		"CONCORDAT_MEMORY=768m", "CONCORDAT_WORKER_MEMORY=3g", "CONCORDAT_WORKER_CPUS=1.0")
	for _, name := range []string{"CONCORDAT_MARBLERUN_PORT", "CONCORDAT_PORT_1", "CONCORDAT_PORT_2", "CONCORDAT_PORT_3",
		"CONCORDAT_FLIGHT_PORT_1", "CONCORDAT_FLIGHT_PORT_2", "CONCORDAT_FLIGHT_PORT_3"} {
		d.env = append(d.env, name+"="+freePort(t))
	}
	t.Cleanup(func() { d.takeDown(t) })
	d.up()
	d.adopt()
	return d
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
	cmd := exec.CommandContext(ctx, d.compose[0], append(d.compose[1:], "-p", d.project, "down", "-v", "-t", "5")...) //nolint:gosec // G204: compose
	cmd.Dir, cmd.Env = harness.Repository(), d.env
	if t.Failed() {
		logs := exec.CommandContext(ctx, d.compose[0], append(d.compose[1:], "-p", d.project, "logs", "--tail=25")...) //nolint:gosec // G204: compose
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
	return d.run(d.compose[0], append(append(d.compose[1:], "-p", d.project), args...)...)
}

// up starts what docker-compose.yml names, and returns when all of it is healthy.
func (d deployed) up() {
	d.t.Helper()
	started := time.Now()
	d.composed("up", "-d", "--no-build")
	for _, service := range []string{"marblerun", "store", "coordinator-1", "coordinator-2", "coordinator-3", "worker-1", "worker-2"} {
		d.until(service+" is healthy", func() bool {
			return d.run("docker", "inspect", "-f", "{{.State.Health.Status}}", d.container(service)) == "healthy"
		})
	}
	d.t.Logf("up and healthy in %s", time.Since(started).Round(time.Second))
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
	root := ""
	for line := range strings.Lines(d.run("docker", "logs", d.container("setup"))) {
		if text, ok := strings.CutPrefix(line, "root to pin"); ok {
			root = strings.TrimSpace(text)
		}
	}
	args := []string{"mesh", "adopt", "--root", root, "--marblerun", d.published("marblerun", "4433")}
	for i := range 3 {
		args = append(args, "--coordinator", d.published(fmt.Sprint("coordinator-", i+1), "7300"))
	}
	d.concordat(args...)
	d.Mesh = harness.Elsewhere(d.t, d.home)
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

// checkImages compares what the images hold with what `make build` left, by which MarbleRun's manifest was set.
func (d deployed) checkImages() {
	for service, program := range map[string]string{
		"marblerun": "marblerun-coordinator", "coordinator-1": "concordat-coordinator", "worker-1": "concordat-worker", "setup": "concordat",
	} {
		copied := filepath.Join(d.t.TempDir(), program)
		d.run("docker", "cp", d.container(service)+":/opt/concordat/"+program, copied)
		if image, built := digest(d.t, copied), digest(d.t, filepath.Join(d.bin, program)); image != built {
			d.t.Errorf("the image of %s holds %s, bin/ has %s", service, image, built)
		}
	}
	if s := d.State(); !strings.HasSuffix(string(s.Coordinator), digest(d.t, filepath.Join(d.bin, "marblerun-coordinator"))) {
		d.t.Errorf("the mesh names %s", s.Coordinator)
	}
}

func digest(t *testing.T, file string) string {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

// checkConfined looks at what runs, not at the file.
func (d deployed) checkConfined() {
	const form = "{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}} {{.Config.User}} {{.HostConfig.Privileged}} " +
		"{{if and .HostConfig.Memory .HostConfig.NanoCpus}}limited{{end}} {{.HostConfig.PidsLimit}}"
	for container := range strings.FieldsSeq(d.composed("ps", "-q")) {
		if got := d.run("docker", "inspect", "-f", form, container); got != "true [ALL] [no-new-privileges:true] 65532:65532 false limited 512" {
			d.t.Errorf("%s: %s", d.run("docker", "inspect", "-f", "{{.Name}}", container), got)
		}
	}
	if out, err := d.try("docker", "exec", d.container("worker-1"), "bash", "-c", ": > /opt/concordat/x"); err == nil || !strings.Contains(out, "Read-only file system") {
		d.t.Errorf("a worker writes into its image: %s", out)
	}
	networks := d.run("docker", "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.NetworkID}} {{end}}", d.container("worker-1"))
	for network := range strings.FieldsSeq(networks) {
		if internal := d.run("docker", "network", "inspect", "-f", "{{.Internal}}", network); internal != "true" {
			d.t.Errorf("a worker has a way out, by the network %s", network)
		}
	}
}

func (d deployed) study() {
	started := time.Now()
	out := d.concordat("demo", "--once")
	receipts := d.receipts()
	questions, err := demo.Study()
	if err != nil {
		d.t.Fatal(err)
	}
	if len(receipts) != len(questions) {
		d.t.Errorf("%d receipts of %d questions\n%s", len(receipts), len(questions), out)
	}
	d.t.Logf("three organisations signed, uploaded, and asked %d questions, whose receipts verify, in %s", len(questions), time.Since(started).Round(time.Second))
	d.concordat("mesh", "verify", filepath.Join(d.home, "demo", "room"))
}

// ask is a question that was not asked before, with its receipt verified.
func (d deployed) ask(age int) {
	d.t.Helper()
	before := d.receipts()
	d.concordat("query", fmt.Sprintf("SELECT count(DISTINCT id) AS patients FROM clinic.patients WHERE age < %d", age))
	verified := 0
	for _, receipt := range d.receipts() {
		if !slices.Contains(before, receipt) {
			d.concordat("receipt", "verify", receipt, "--manifest", filepath.Join(d.home, "demo", "room"))
			verified++
		}
	}
	if verified != 1 {
		d.t.Errorf("%d new receipts of a new question", verified)
	}
}

func (d deployed) receipts() []string {
	d.t.Helper()
	files, err := filepath.Glob(filepath.Join(d.home, "receipts", "*.json"))
	if err != nil {
		d.t.Fatal(err)
	}
	return files
}

// leads waits until another coordinator than one leads; that one may still answer, and know of none.
func (d deployed) leads(but string) string {
	d.t.Helper()
	leader := ""
	d.until("another one than "+but+" leads", func() bool {
		for _, c := range d.Status(d.t.Context()).Coordinators {
			if c.Status != nil && c.Status.GetLeader() == c.Status.GetNode() && c.Name != but {
				leader = c.Name
			}
		}
		return leader != ""
	})
	return leader
}

// cutOff takes the leader's network to the other marbles away; people still reach it.
func (d deployed) cutOff() {
	leader := d.leads("")
	container, network := d.container(leader), d.project+"_marbles"
	address := func() string {
		return d.run("docker", "inspect", "-f", `{{(index .NetworkSettings.Networks "`+network+`").IPAddress}}`, container)
	}
	ready := func() bool {
		out, _ := d.try("docker", "exec", container, "bash", "-c", `exec 3<>/dev/tcp/127.0.0.1/7600 && printf 'GET /readyz HTTP/1.0\r\n\r\n' >&3 && head -1 <&3`)
		return strings.Contains(out, " 204 ")
	}
	before := address()
	d.run("docker", "network", "disconnect", network, container)
	d.ask(40)
	if ready() {
		d.t.Errorf("%s, alone, says that it can decide", leader)
	}
	second := d.leads(leader)
	d.run("docker", "network", "connect", "--alias", leader+".marbles", network, container)
	d.until(leader+" has caught up", ready)
	d.ask(45)
	d.t.Logf("%s was cut off, %s led on; it came back from %s to %s and caught up", leader, second, before, address())
}

// killWorker kills one worker, asks, and starts it again.
func (d deployed) killWorker() {
	d.run("docker", "kill", "-s", "KILL", d.container("worker-1"))
	d.ask(50)
	d.run("docker", "start", d.container("worker-1"))
	d.until("worker-1 announces itself again", func() bool {
		workers := 0
		for _, w := range d.Ask().GetWorkers() {
			if w.GetReady() {
				workers++
			}
		}
		return workers == 2
	})
	d.ask(55)
}

// downAndUp removes all containers and networks, and keeps the volumes: the same mesh comes back, with what it decided.
func (d deployed) downAndUp() {
	before := d.State()
	entries := d.Ask().GetLogSize()
	d.composed("down", "-t", "20")
	d.up()
	d.adopt()
	if after := d.State(); after.Ledger != before.Ledger || after.RootCertificate != before.RootCertificate {
		d.t.Errorf("it came back as ledger %s, was %s", after.Ledger, before.Ledger)
	}
	if again := d.Ask().GetLogSize(); again < entries {
		d.t.Errorf("the log has %d entries, had %d", again, entries)
	}
	d.ask(60)
}
