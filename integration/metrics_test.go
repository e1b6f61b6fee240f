package integration_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	coordinator "concordat.dev/coordinator/server"
	"concordat.dev/integration/harness"
	"concordat.dev/observe"
	"concordat.dev/ui/witness"
	worker "concordat.dev/worker/server"
)

// told are the metrics of each program.
func told() map[string][]observe.Described {
	return map[string][]observe.Described{
		coordinator.Program: coordinator.Metrics(), worker.Program: worker.Metrics(), witness.Program: witness.Metrics(),
	}
}

// labels are all that metrics of ours may have, with what their values are. A person, a text, a dataset or an owner is none of them.
var labels = map[string]string{
	"program": "a binary", "version": "its version", "quantile": "of the Go runtime", "service": "a service of the protocol", "method": "a call of it",
	"code": "how a call ended", "operation": "what was refused", "kind": "query or explanation", "verdict": "of queries", "phase": "of queries",
	"step": "of uploads", "outcome": "of calls to workers", "work": "query or ingest", "status": "of HTTP", "worker": "a worker's id", "witness": "a witness's name",
	"log": "a log's name", "collaboration": "a collaboration's id, which the status tells anybody",
}

// forbidden are words that no name of a metric of ours may have: what data decides.
var forbidden = regexp.MustCompile(`row|group|unit|cell|person|owner|dataset|table_bytes|loading|waiting_seconds|sql|ingest_seconds`)

// TestMetricsTellNoData is the rule of docs/THREATS.md: whoever adds a metric or a label decides here that it may be told.
func TestMetricsTellNoData(t *testing.T) {
	for program, metrics := range told() {
		for _, m := range metrics {
			if !strings.HasPrefix(m.Name, "concordat_") {
				if !strings.HasPrefix(m.Name, "go_") && !strings.HasPrefix(m.Name, "process_") {
					t.Errorf("%s: %s is neither ours nor of the process", program, m.Name)
				}
				continue
			}
			if forbidden.MatchString(m.Name) {
				t.Errorf("%s: %s names what data decides", program, m.Name)
			}
			for _, label := range m.Labels {
				if labels[label] == "" {
					t.Errorf("%s: %s has the label %s, of which nobody decided that it may be told", program, m.Name, label)
				}
			}
		}
	}
}

// TestMetricsPage holds docs/METRICS.md to what the programs tell: CONCORDAT_REWRITE=1 writes the tables anew.
func TestMetricsPage(t *testing.T) {
	page := filepath.Join(harness.Repository(), "docs", "METRICS.md")
	text := fileText(t, "docs/METRICS.md")
	all := told()
	for program, metrics := range all {
		head, rest, found := strings.Cut(text, "\n## "+program+"\n")
		if !found {
			t.Fatalf("docs/METRICS.md has no section %s", program)
		}
		_, after, more := strings.Cut(rest, "\n## ")
		if more {
			after = "\n## " + after
		}
		text = head + "\n## " + program + "\n" + table(metrics) + after
	}
	if os.Getenv("CONCORDAT_REWRITE") != "" {
		if err := os.WriteFile(page, []byte(text), 0o644); err != nil { //nolint:gosec // G306: a page
			t.Fatal(err)
		}
	}
	if text != fileText(t, "docs/METRICS.md") {
		t.Error("docs/METRICS.md is not what the programs tell: run `CONCORDAT_REWRITE=1 go test -tags duckdb_arrow -run TestMetricsPage .` in integration")
	}
}

func table(metrics []observe.Described) string {
	var b strings.Builder
	b.WriteString("\n| metric | labels | what it is |\n|---|---|---|\n")
	for _, m := range metrics {
		if strings.HasPrefix(m.Name, "concordat_") {
			var quoted []string
			for _, l := range m.Labels {
				quoted = append(quoted, "`"+l+"`")
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", m.Name, strings.Join(quoted, ", "), m.Help)
		}
	}
	return b.String()
}

var metricName = regexp.MustCompile(`\b(?:concordat|go|process)_[a-z0-9_]+\b`)

// TestDashboardAndAlertsNameWhatExists reads every expression of the dashboard and of the rules.
func TestDashboardAndAlertsNameWhatExists(t *testing.T) {
	known := map[string]bool{"up": true}
	for _, metrics := range told() {
		for _, m := range metrics {
			known[m.Name] = true
		}
	}
	var expressions []string
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(fileText(t, "deploy/grafana/concordat.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			expressions = append(expressions, target.Expr)
		}
	}
	var rules struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr string
				Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal([]byte(fileText(t, "deploy/prometheus/rules.yaml")), &rules); err != nil {
		t.Fatal(err)
	}
	if len(rules.Groups) == 0 || len(expressions) < 10 {
		t.Fatal("there are no rules, or hardly a panel")
	}
	operations := fileText(t, "docs/METRICS.md")
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			expressions = append(expressions, r.Expr)
			if !strings.Contains(operations, "`"+r.Alert+"`") || r.Annotations["summary"] == "" {
				t.Errorf("alert %s has no summary, or docs/METRICS.md does not say what to do", r.Alert)
			}
		}
	}
	for _, e := range expressions {
		names := metricName.FindAllString(e, -1)
		if len(names) == 0 && !strings.Contains(e, "up") {
			t.Errorf("%s names no metric", e)
		}
		for _, name := range names {
			base := name
			for _, ending := range []string{"_bucket", "_count", "_sum"} {
				base = strings.TrimSuffix(base, ending)
			}
			if !known[name] && !known[base] {
				t.Errorf("%s: no program tells %s", e, name)
			}
		}
	}
}

// TestRulesByPromtool has Prometheus's own tool read the rules and run their tests, where it is there (Debian: prometheus).
func TestRulesByPromtool(t *testing.T) {
	tool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed (Debian package prometheus)")
	}
	for _, args := range [][]string{{"check", "rules", "rules.yaml"}, {"test", "rules", "rules_test.yaml"}} {
		cmd := exec.CommandContext(t.Context(), tool, args...) //nolint:gosec // G204: found in the path
		cmd.Dir = filepath.Join(harness.Repository(), "deploy", "prometheus")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// TestAlertsAreTested holds the tests of the rules to all of them: each alert has a moment at which it fires and one at which it is silent.
func TestAlertsAreTested(t *testing.T) {
	var rules struct {
		Groups []struct{ Rules []struct{ Alert string } }
	}
	if err := yaml.Unmarshal([]byte(fileText(t, "deploy/prometheus/rules.yaml")), &rules); err != nil {
		t.Fatal(err)
	}
	var tests struct {
		Tests []struct {
			Moments []struct {
				Alert string           `yaml:"alertname"`
				Fires []map[string]any `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	if err := yaml.Unmarshal([]byte(fileText(t, "deploy/prometheus/rules_test.yaml")), &tests); err != nil {
		t.Fatal(err)
	}
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, test := range tests.Tests {
		for _, m := range test.Moments {
			if len(m.Fires) > 0 {
				fires[m.Alert] = true
			} else {
				silent[m.Alert] = true
			}
		}
	}
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			if !fires[r.Alert] || !silent[r.Alert] {
				t.Errorf("%s: a test in which it fires: %v, in which it is silent: %v", r.Alert, fires[r.Alert], silent[r.Alert])
			}
		}
	}
}

// TestLabelsAreUsed keeps the allow-list no longer than it has to be.
func TestLabelsAreUsed(t *testing.T) {
	var used []string
	for _, metrics := range told() {
		for _, m := range metrics {
			used = append(used, m.Labels...)
		}
	}
	for label := range labels {
		if label != "quantile" && !slices.Contains(used, label) {
			t.Errorf("no metric has the label %s", label)
		}
	}
}
