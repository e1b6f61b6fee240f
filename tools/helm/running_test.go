package helm_test

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// program is the path of a binary of `make build`, without which a test is skipped.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "bin", name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Skipf("skipped: %v: `make build` makes it", err)
	}
	return path
}

// configurations are those that pods get, by program; a worker's is completed by its first container.
func configurations(t *testing.T, objects map[string]any) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for _, text := range objects["ConfigMap/room-coordinator"].(*corev1.ConfigMap).Data {
		out["concordat-coordinator"] = append(out["concordat-coordinator"], text)
	}
	worker := objects["ConfigMap/room-worker"].(*corev1.ConfigMap).Data["worker.yaml"]
	out["concordat-worker"] = []string{strings.NewReplacer("@POD@", "room-worker-x", "@IP@", "10.0.0.7").Replace(worker)}
	return out
}

// TestConfigurationsAreTaken has the programs themselves check what the chart writes for them, for each set of values.
func TestConfigurationsAreTaken(t *testing.T) {
	for _, text := range []string{
		"", "coordinator: {replicas: 5}", "mode: sgx\n" + measured, "objectStore: \"azblob://concordat\"\nworker: {memory: 12GiB}",
		"mesh: {marblerunManifest: \"sha256:" + digest + "\", coordinator: \"sha256:" + digest + "\"}",
	} {
		objects, err := render(t, text)
		if err != nil {
			t.Fatal(err)
		}
		for name, all := range configurations(t, objects) {
			for _, configuration := range all {
				file := filepath.Join(t.TempDir(), "config.yaml")
				if err := os.WriteFile(file, []byte(configuration), 0o600); err != nil {
					t.Fatal(err)
				}
				if out, err := exec.CommandContext(t.Context(), program(t, name), "--config", file, "--check-config").CombinedOutput(); err != nil { //nolint:gosec // G204: our program
					t.Errorf("%s does not take %q: %v\n%s\n%s", name, text, err, out, configuration)
				}
			}
		}
	}
}

var listened = regexp.MustCompile(`"0\.0\.0\.0:(\d+)"`)

// TestPorts: what probes, services and policies name is where the configurations have the programs listen.
func TestPorts(t *testing.T) {
	objects, err := render(t, "")
	if err != nil {
		t.Fatal(err)
	}
	configured := configurations(t, objects)
	for name, c := range map[string]struct {
		program, policy string
		pod             corev1.PodSpec
		services        []string
	}{
		"coordinator": {
			"concordat-coordinator", "NetworkPolicy/room-coordinator", objects["StatefulSet/room-coordinator"].(*appsv1.StatefulSet).Spec.Template.Spec,
			[]string{"Service/room", "Service/room-coordinator"},
		},
		"worker": {"concordat-worker", "NetworkPolicy/room-worker", objects["Deployment/room-worker"].(*appsv1.Deployment).Spec.Template.Spec, nil},
	} {
		listens := map[int]bool{}
		for _, m := range listened.FindAllStringSubmatch(configured[c.program][0], -1) {
			port, _ := strconv.Atoi(m[1])
			listens[port] = true
		}
		container, named := c.pod.Containers[0], map[string]int{}
		for _, p := range container.Ports {
			named[p.Name] = int(p.ContainerPort)
		}
		if declared := slices.Sorted(maps.Values(named)); !slices.Equal(declared, slices.Sorted(maps.Keys(listens))) {
			t.Errorf("%s declares ports %v and listens on %v", name, declared, listens)
		}
		known := func(where string, port intstr.IntOrString) {
			if port.Type == intstr.String && named[port.StrVal] == 0 || port.Type == intstr.Int && !listens[port.IntValue()] {
				t.Errorf("%s of %s: port %s is none of %v", where, name, port.String(), named)
			}
		}
		for where, probe := range map[string]*corev1.Probe{"startup": container.StartupProbe, "readiness": container.ReadinessProbe, "liveness": container.LivenessProbe} {
			if probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Path != "/healthz" && probe.HTTPGet.Path != "/readyz" {
				t.Errorf("%s of %s: %+v", where, name, probe)
				continue
			}
			known(where, probe.HTTPGet.Port)
			if tls := probe.HTTPGet.Scheme == corev1.URISchemeHTTPS; tls != (probe.HTTPGet.Port.StrVal == "api") {
				t.Errorf("%s of %s asks %s by %s", where, name, probe.HTTPGet.Port.StrVal, probe.HTTPGet.Scheme)
			}
		}
		for _, rule := range objects[c.policy].(*networkingv1.NetworkPolicy).Spec.Ingress {
			for _, p := range rule.Ports {
				known(c.policy, *p.Port)
			}
		}
		for _, service := range c.services {
			for _, p := range objects[service].(*corev1.Service).Spec.Ports {
				if p.TargetPort == (intstr.IntOrString{}) {
					p.TargetPort = intstr.FromInt32(p.Port)
				}
				known(service, p.TargetPort)
			}
		}
	}
}

// TestScalesByAMetricThatIs: what autoscaling asks for is told by workers, with that label.
func TestScalesByAMetricThatIs(t *testing.T) {
	page, err := os.ReadFile("../../docs/METRICS.md")
	if err != nil {
		t.Fatal(err)
	}
	_, page2, _ := strings.Cut(string(page), "\n## concordat-worker\n")
	workers, _, _ := strings.Cut(page2, "\n## ")
	told := func(metric string, labels ...string) {
		t.Helper()
		row := "| `" + metric + "` |"
		for i, label := range labels {
			row += map[bool]string{true: " ", false: ", "}[i == 0] + "`" + label + "`"
		}
		if !strings.Contains(workers, row+" |") {
			t.Errorf("docs/METRICS.md has no row %q for workers", row)
		}
	}
	objects, err := render(t, "worker: {autoscaling: {kind: hpa}}")
	if err != nil {
		t.Fatal(err)
	}
	pods := objects["HorizontalPodAutoscaler/room-worker"].(*autoscalingv2.HorizontalPodAutoscaler).Spec.Metrics[0].Pods
	told(pods.Metric.Name, slices.Sorted(maps.Keys(pods.Metric.Selector.MatchLabels))...)
	if objects, err = render(t, "worker: {autoscaling: {kind: keda}}"); err != nil {
		t.Fatal(err)
	}
	scaled := *objects["ScaledObject/room-worker"].(*map[string]any)
	trigger := scaled["spec"].(map[string]any)["triggers"].([]any)[0].(map[string]any)["metadata"].(map[string]any)
	query := regexp.MustCompile(`^sum\((\w+)\{work="query",namespace="concordat"\}\)$`).FindStringSubmatch(trigger["query"].(string))
	if query == nil {
		t.Fatalf("%v", trigger["query"])
	}
	told(query[1], "work")
	source, err := os.ReadFile("../../worker/server/metrics.go")
	if err != nil || pods.Metric.Selector.MatchLabels["work"] != "query" || !strings.Contains(string(source), `admission.Counts{"query": `) {
		t.Errorf("workers tell no work named %v: %v", pods.Metric.Selector.MatchLabels, err)
	}
}

// TestSetup: MarbleRun's manifest is set by a Job beside it at an install, and by none that waits for what it makes ready; before an upgrade a hook
// compares. Its command is one that `concordat` knows: with these very arguments it gets as far as waiting for MarbleRun.
func TestSetup(t *testing.T) {
	for install, want := range map[bool]string{true: "", false: "pre-upgrade"} {
		objects, err := renderAt(t, measured, install)
		if err != nil {
			t.Fatal(err)
		}
		job := objects["Job/room-setup"].(*batchv1.Job)
		if hook := job.Annotations["helm.sh/hook"]; hook != want {
			t.Errorf("install %v: hook %q", install, hook)
		}
		c := job.Spec.Template.Spec.Containers[0]
		home := t.TempDir()
		here := strings.NewReplacer("/run/mesh", home, "room-marblerun", "marblerun.invalid", "=10m", "=1s", "exec concordat", "exec "+program(t, "concordat"))
		var call []string
		for _, word := range slices.Concat(c.Command, c.Args) {
			call = append(call, here.Replace(word))
		}
		cmd := exec.CommandContext(t.Context(), call[0], call[1:]...) //nolint:gosec // G204: what the chart runs
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), c.Env[0].Name + "=" + c.Env[0].Value}
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "MarbleRun does not answer at marblerun.invalid:4433") {
			t.Errorf("%v\n%s", err, out)
		}
	}
	if _, err := render(t, "mode: sgx"); err == nil || !strings.Contains(err.Error(), "setup.measurements") {
		t.Errorf("mode sgx without measurements: %v", err)
	}
	objects, err := render(t, "")
	if err != nil {
		t.Fatal(err)
	}
	if c := objects["Job/room-setup"].(*batchv1.Job).Spec.Template.Spec.Containers[0]; !slices.Contains(c.Args, "--measurements=/opt/concordat/measurements") {
		t.Errorf("in simulation it measures by %v", c.Args)
	}
}
