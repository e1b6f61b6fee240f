package integration_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml"

	"concordat.dev/integration/harness"
	"concordat.dev/protocol/document"
)

// prometheusImage is an image of Debian's Prometheus that is called as the official one is.
const prometheusImage = `FROM %s
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends prometheus wget >/dev/null && install -d -o 65534 -g 65534 /prometheus
USER 65534:65534
ENTRYPOINT ["prometheus"]
`

// watched starts the profile `prometheus`, which has to scrape all five processes and to know and evaluate every rule.
func (d *deployed) watched() {
	image := "concordat-test/prometheus:" + d.project
	if given := os.Getenv("PROMETHEUS_IMAGE"); given != "" {
		image = given
	} else {
		folder := d.t.TempDir()
		if err := os.WriteFile(filepath.Join(folder, "Dockerfile"), fmt.Appendf(nil, prometheusImage, d.base()), 0o600); err != nil {
			d.t.Fatal(err)
		}
		d.run("docker", "build", "-q", "--network", "host", "-t", image, folder)
		d.whole.Cleanup(func() { d.forget(image) })
	}
	d.env = append(d.env, "PROMETHEUS_IMAGE="+image, "CONCORDAT_PROMETHEUS_PORT="+freePort(d.t))
	d.profiles = append(d.profiles, "--profile", "prometheus")
	d.composed("up", "-d", "--no-build", "prometheus")
	d.healthy("prometheus")
	at := "http://" + d.published("prometheus", "9090")

	type target struct {
		Health, ScrapeURL, LastError string
	}
	d.until("Prometheus scraped all", func() bool {
		var told struct{ ActiveTargets []target }
		d.asked(at+"/api/v1/targets", &told)
		up := 0
		for _, one := range told.ActiveTargets {
			if one.Health == "up" {
				up++
			}
		}
		return up == 5 && len(told.ActiveTargets) == 5
	})
	var file struct {
		Groups []struct {
			Rules []struct{ Alert string }
		}
	}
	if err := yaml.Unmarshal([]byte(fileText(d.t, "deploy/prometheus/rules.yaml")), &file); err != nil {
		d.t.Fatal(err)
	}
	d.until("every rule was evaluated", func() bool {
		var told struct {
			Groups []struct {
				Rules []struct{ Name, Health, LastError string }
			}
		}
		d.asked(at+"/api/v1/rules", &told)
		well := 0
		for _, group := range told.Groups {
			for _, rule := range group.Rules {
				if rule.LastError != "" {
					d.t.Fatalf("%s: %s", rule.Name, rule.LastError)
				}
				if rule.Health == "ok" {
					well++
				}
			}
		}
		return well == len(file.Groups[0].Rules)
	})
	d.t.Logf("Prometheus scrapes 5 processes and evaluates %d rules", len(file.Groups[0].Rules))
}

// asked is the data of an answer of Prometheus.
func (d deployed) asked(url string, into any) {
	d.t.Helper()
	request, err := http.NewRequestWithContext(d.t.Context(), http.MethodGet, url, nil)
	if err != nil {
		d.t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	raw, err := io.ReadAll(response.Body)
	if err == nil {
		err = json.Unmarshal(raw, &struct{ Data any }{into})
	}
	if err != nil {
		d.t.Fatalf("%s: %v\n%.400s", url, err, raw)
	}
}

// witnessed follows docs/OPERATIONS.md: it makes a witness, tells the coordinators of it, and has the manifest demand it. Receipts then have its
// cosignature, and without it nothing is answered.
func (d *deployed) witnessed() {
	d.profiles = append(d.profiles, "--profile", "witness")
	vkey := ""
	for try := 0; try < 5 && vkey == ""; try++ { // docker-compose 1.29 may miss what a program prints that ends at once
		made := d.composed("run", "--rm", "-T", "witness", "concordat", "witness", "new", "--dir", "/var/lib/concordat/witness", "clinic.example/witness")
		for line := range strings.Lines(made) {
			if strings.HasPrefix(line, "clinic.example/witness+") {
				vkey = strings.TrimSpace(line)
			}
		}
	}
	if vkey == "" {
		d.t.Fatal("witness new printed no key")
	}
	d.env = append(d.env, "CONCORDAT_WITNESS="+vkey+"=http://witness:7380", "CONCORDAT_LOG_KEY="+d.concordat("log", "key"), "CONCORDAT_WITNESS_PORT="+freePort(d.t))
	d.up(everything...)
	d.composed("restart", "coordinator-1", "coordinator-2", "coordinator-3")
	d.up(everything...)
	d.healthy("witness")
	d.amend(func(text string) string {
		return witnessesLine.ReplaceAllString(next(text), `witnesses: {keys: ["`+vkey+`"], quorum: 1}`+"\n")
	})
	if b, err := document.LoadDir(filepath.Dir(d.manifest())); err != nil || b.Manifest.Witnesses.Quorum != 1 {
		d.t.Fatalf("the manifest demands no witness: %v", err)
	}
	d.ask(70)
	if !strings.Contains(d.last(), "— clinic.example/witness ") {
		d.t.Errorf("the newest receipt has no cosignature:\n%.2000s", d.last())
	}
	d.composed("stop", "-t", "5", "witness")
	alone := harness.Command(d.t, d.bin, d.home, "query", "SELECT count(DISTINCT id) AS patients FROM clinic.patients WHERE age < 75")
	if alone.Code == 0 || !strings.Contains(alone.Err, "witness") {
		d.t.Errorf("without the witness: exit code %d\n%s%s", alone.Code, alone.Out, alone.Err)
	}
	d.composed("start", "witness")
	d.healthy("witness")
	d.ask(80)
}
