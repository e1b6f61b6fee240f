package server_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"concordat.dev/worker/server"
)

const wholeConfig = `worker: w1
object_store: s3://user@room?region=x
mode: simulation
listen: 127.0.0.1:7401
coordinators: ["127.0.0.1:7201"]
`

func written(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestCheckConfig: what is shown of a good configuration is one itself, with every default; of a bad one, every problem is named by its path.
func TestCheckConfig(t *testing.T) {
	var out bytes.Buffer
	if err := server.CheckConfig(written(t, wholeConfig), "", &out); err != nil {
		t.Fatal(err)
	}
	shown, err := server.Load(written(t, out.String()))
	if err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	if shown.Announce != shown.Listen || shown.Memory == "" || shown.Queries == 0 || shown.Queue != 256 || shown.Threads == 0 || shown.LogLevel != "info" {
		t.Errorf("%+v lacks defaults", shown)
	}
	if strings.Contains(out.String(), "user@") {
		t.Errorf("it shows the user of the object store:\n%s", &out)
	}
	out.Reset()
	bad := wholeConfig + "queue: -1\nlog_level: loud\nmemory: much\nmetrics: {listen: here}\ntracing: {endpoint: here, ratio: 3}\n"
	err = server.CheckConfig(written(t, bad), written(t, "roots: none\nazure: []\n"), &out)
	if !errors.Is(err, server.ErrConfiguration) || out.Len() > 0 {
		t.Fatalf("%v, said %q", err, &out)
	}
	for _, path := range []string{"queue", "log_level", "memory", "metrics.listen", "tracing.endpoint", "ratio", "roots: no certificate", "azure: name at least one key"} {
		if !strings.Contains(err.Error(), path) {
			t.Errorf("%v does not name %s", err, path)
		}
	}
}
