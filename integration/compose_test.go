package integration_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
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
	whole              *testing.T // all steps
	project, bin, home string
	built              string // binaries that the images hold
	compose, profiles  []string
}

// TestCompose runs the demo's study through docker-compose.yml, cuts its leader off the network, kills a worker, and takes all down and up again.
func TestCompose(t *testing.T) {
	if os.Getenv("CONCORDAT_COMPOSE") == "" {
		t.Skip("skipped: `make compose-test` runs it; it needs a Docker engine, or root to start one, and some minutes")
	}
	d := deploy(t)
	t.Run("images hold the binaries of bin", d.in((*deployed).checkImages))
	t.Run("containers may do little", d.in((*deployed).checkConfined))
	t.Run("the study", d.in((*deployed).study))
	t.Run("a leader without a network", d.in((*deployed).cutOff))
	t.Run("a dead worker", d.in((*deployed).killWorker))
	t.Run("down and up", d.in((*deployed).downAndUp))
	t.Run("new images take the ledger over", d.in((*deployed).handOver))
	t.Run("Prometheus", d.in((*deployed).watched))
	t.Run("a witness", d.in((*deployed).witnessed))
}

// in is one step, which may change what the next one finds.
func (d *deployed) in(step func(*deployed)) func(*testing.T) {
	return func(t *testing.T) {
		if d.t.Failed() {
			t.Skip("skipped: a step before failed")
		}
		d.t = t
		if d.Mesh != nil {
			d.Mesh = d.In(t)
		}
		step(d)
	}
}

// checkImages compares what the images hold with what was built, by which MarbleRun's manifest was set.
func (d *deployed) checkImages() {
	for service, program := range map[string]string{
		"marblerun": "marblerun-coordinator", "coordinator-1": "concordat-coordinator", "worker-1": "concordat-worker", "setup": "concordat",
	} {
		copied := filepath.Join(d.t.TempDir(), program)
		d.run("docker", "cp", d.container(service)+":/opt/concordat/"+program, copied)
		if image, built := digest(d.t, copied), digest(d.t, filepath.Join(d.built, program)); image != built {
			d.t.Errorf("the image of %s holds %s, built was %s", service, image, built)
		}
	}
	if s := d.State(); !strings.HasSuffix(string(s.Coordinator), digest(d.t, filepath.Join(d.built, "marblerun-coordinator"))) {
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
func (d *deployed) checkConfined() {
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

func (d *deployed) study() {
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

// last is the text of the newest receipt.
func (d deployed) last() string {
	d.t.Helper()
	newest, text := time.Time{}, ""
	for _, file := range d.receipts() {
		info, err := os.Stat(file)
		if err != nil {
			d.t.Fatal(err)
		}
		if info.ModTime().After(newest) {
			raw, err := os.ReadFile(file)
			if err != nil {
				d.t.Fatal(err)
			}
			newest, text = info.ModTime(), string(raw)
		}
	}
	return text
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
func (d *deployed) cutOff() {
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
func (d *deployed) killWorker() {
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
func (d *deployed) downAndUp() {
	before := d.State()
	entries := d.Ask().GetLogSize()
	d.composed("down", "-t", "20")
	d.up(everything...)
	d.adopt()
	if after := d.State(); after.Ledger != before.Ledger || after.RootCertificate != before.RootCertificate {
		d.t.Errorf("it came back as ledger %s, was %s", after.Ledger, before.Ledger)
	}
	if again := d.Ask().GetLogSize(); again < entries {
		d.t.Errorf("the log has %d entries, had %d", again, entries)
	}
	d.ask(60)
}
