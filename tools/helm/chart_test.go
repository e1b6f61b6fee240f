package helm_test

import (
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

const (
	chart   = "../../deploy/helm/concordat"
	founder = "ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=" // RFC 8032, 7.1, test 1
)

// values parses what is laid over values.yaml; founders have no default.
func values(t *testing.T, text string) map[string]any {
	t.Helper()
	v := map[string]any{}
	if err := yaml.UnmarshalStrict([]byte("founders: [\""+founder+"\"]\n"+text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// render gives the objects by kind and name, each decoded strictly into its type where Kubernetes itself defines the kind.
func render(t *testing.T, text string) (map[string]any, error) {
	t.Helper()
	return renderAt(t, text, true)
}

// renderAt renders for an install, or for an upgrade.
func renderAt(t *testing.T, text string, install bool) (map[string]any, error) {
	t.Helper()
	c, err := loader.Load(chart)
	if err != nil {
		t.Fatal(err)
	}
	v, err := chartutil.ToRenderValues(c, values(t, text), chartutil.ReleaseOptions{Name: "room", Namespace: "concordat", IsInstall: install, IsUpgrade: !install}, nil)
	if err != nil {
		return nil, err
	}
	files, err := engine.Render(c, v)
	if err != nil {
		return nil, err
	}
	objects := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if path.Ext(name) != ".yaml" {
			continue
		}
		for document := range strings.SplitSeq(files[name], "\n---") {
			var head struct {
				APIVersion, Kind string
				Metadata         struct{ Name string }
			}
			if err := yaml.Unmarshal([]byte(document), &head); err != nil {
				t.Fatalf("%s: %v\n%s", name, err, document)
			}
			if head.Kind == "" {
				continue
			}
			object := typed(head.APIVersion + "/" + head.Kind)
			if err := yaml.UnmarshalStrict([]byte(document), object); err != nil {
				t.Fatalf("%s: %s %s: %v\n%s", name, head.Kind, head.Metadata.Name, err, document)
			}
			objects[head.Kind+"/"+head.Metadata.Name] = object
		}
	}
	return objects, nil
}

// typed gives the type of a kind; those of other projects are read as they are.
func typed(kind string) any {
	switch kind {
	case "v1/ConfigMap":
		return &corev1.ConfigMap{}
	case "v1/Service":
		return &corev1.Service{}
	case "apps/v1/StatefulSet":
		return &appsv1.StatefulSet{}
	case "apps/v1/Deployment":
		return &appsv1.Deployment{}
	case "batch/v1/Job":
		return &batchv1.Job{}
	case "policy/v1/PodDisruptionBudget":
		return &policyv1.PodDisruptionBudget{}
	case "networking.k8s.io/v1/NetworkPolicy":
		return &networkingv1.NetworkPolicy{}
	case "autoscaling/v2/HorizontalPodAutoscaler":
		return &autoscalingv2.HorizontalPodAutoscaler{}
	}
	return &map[string]any{}
}

func TestLint(t *testing.T) {
	for _, m := range lint.All(chart, values(t, ""), "concordat", true).Messages {
		if m.Severity >= support.WarningSev {
			t.Error(m)
		}
	}
}

// measured are measurements as `make enclave` writes them.
const measured = "setup:\n  measurements: |\n    " + digest + "  marblerun-coordinator\n    " + digest + "  concordat-coordinator\n    " + digest + "  concordat-worker\n"

const digest = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

var always = []string{
	"ConfigMap/room-coordinator", "ConfigMap/room-worker", "Deployment/room-worker", "Job/room-setup", "NetworkPolicy/room-coordinator", "NetworkPolicy/room-marblerun",
	"NetworkPolicy/room-worker", "PodDisruptionBudget/room-coordinator", "PodDisruptionBudget/room-worker", "Service/room", "Service/room-coordinator",
	"Service/room-marblerun", "StatefulSet/room-coordinator", "StatefulSet/room-marblerun",
}

func TestRender(t *testing.T) {
	for name, c := range map[string]struct {
		values, less string
		more         []string
	}{
		"defaults": {},
		"sgx":      {values: "mode: sgx\n" + measured},
		"no setup": {values: "mode: sgx\nsetup: {enabled: false}", less: "Job/room-setup"},
		"open":     {values: "networkPolicies: false", less: "NetworkPolicy/"},
		"hpa":      {values: "worker: {autoscaling: {kind: hpa}}", more: []string{"HorizontalPodAutoscaler/room-worker"}},
		"keda":     {values: "worker: {autoscaling: {kind: keda}}", more: []string{"ScaledObject/room-worker"}},
		"all": {
			values: "mode: sgx\n" + measured + "objectStoreSecret: s\nserviceMonitor: {enabled: true}\nworker: {vaultsConfigMap: v}\nimages: {pullSecrets: [p]}",
			more:   []string{"PodMonitor/room"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			objects, err := render(t, c.values)
			if err != nil {
				t.Fatal(err)
			}
			want := slices.Sorted(slices.Values(slices.Concat(always, c.more)))
			if c.less != "" {
				want = slices.DeleteFunc(want, func(name string) bool { return strings.HasPrefix(name, c.less) })
			}
			if got := slices.Sorted(maps.Keys(objects)); !slices.Equal(got, want) {
				t.Errorf("rendered %v, want %v", got, want)
			}
			for name, pod := range pods(objects) {
				judge(t, name, pod, strings.Contains(c.values, "sgx") && !strings.HasPrefix(name, "Job/"))
			}
		})
	}
}

func pods(objects map[string]any) map[string]corev1.PodSpec {
	out := map[string]corev1.PodSpec{}
	for name, o := range objects {
		switch o := o.(type) {
		case *appsv1.StatefulSet:
			out[name] = o.Spec.Template.Spec
		case *appsv1.Deployment:
			out[name] = o.Spec.Template.Spec
		case *batchv1.Job:
			out[name] = o.Spec.Template.Spec
		}
	}
	return out
}

// judge holds what each pod must be, whatever the values say.
func judge(t *testing.T, name string, pod corev1.PodSpec, sgx bool) {
	t.Helper()
	if s := pod.SecurityContext; s == nil || !*s.RunAsNonRoot || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault || *pod.AutomountServiceAccountToken {
		t.Errorf("%s: security context of the pod", name)
	}
	for _, c := range slices.Concat(pod.InitContainers, pod.Containers) {
		s := c.SecurityContext
		if s == nil || *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || len(s.Capabilities.Drop) != 1 || s.Capabilities.Drop[0] != "ALL" {
			t.Errorf("%s: security context of %s", name, c.Name)
		}
		if c.Resources.Limits.Memory().IsZero() || c.Resources.Requests.Memory().IsZero() {
			t.Errorf("%s: %s has no bounds of memory", name, c.Name)
		}
	}
	_, epc := pod.Containers[0].Resources.Limits["sgx.intel.com/epc"]
	if epc != sgx || (len(pod.Tolerations) > 0) != sgx {
		t.Errorf("%s: enclave memory %v, tolerations %v, in mode sgx %v", name, epc, pod.Tolerations, sgx)
	}
}

// TestRefusedValues: what the schema does not allow is not rendered.
func TestRefusedValues(t *testing.T) {
	for _, text := range []string{
		"mode: sev", "coordinator: {replicas: 2}", "founders: []", "objectStore: \"file:///data\"", "wroker: {}", "worker: {memory: much}",
		"setup: {measurements: sha}", "worker: {autoscaling: {kind: vpa}}", "mesh: {marblerunManifest: \"sha256:0\"}",
	} {
		v := values(t, "")
		over := map[string]any{}
		if err := yaml.Unmarshal([]byte(text), &over); err != nil {
			t.Fatal(err)
		}
		maps.Copy(v, over)
		c, err := loader.Load(chart)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := chartutil.ToRenderValues(c, v, chartutil.ReleaseOptions{Name: "room"}, nil); err == nil {
			t.Errorf("%s was accepted", text)
		}
	}
}

// TestWhoReachesAWorker: coordinators alone, and who reads metrics.
func TestWhoReachesAWorker(t *testing.T) {
	objects, err := render(t, "")
	if err != nil {
		t.Fatal(err)
	}
	p := objects["NetworkPolicy/room-worker"].(*networkingv1.NetworkPolicy)
	if len(p.Spec.Ingress) != 2 {
		t.Fatalf("%d rules", len(p.Spec.Ingress))
	}
	from := p.Spec.Ingress[0]
	if len(from.From) != 1 || from.From[0].PodSelector.MatchLabels["app.kubernetes.io/component"] != "coordinator" || from.Ports[0].Port.IntValue() != 7400 {
		t.Errorf("%+v", from)
	}
}
