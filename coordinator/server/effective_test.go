package server_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"concordat.dev/coordinator/server"
)

func TestCheckConfig(t *testing.T) {
	check := func(text string) (string, error) {
		path := filepath.Join(t.TempDir(), "config.yaml")
		must(t, os.WriteFile(path, []byte(text), 0o600))
		var out bytes.Buffer
		return out.String(), errors.Join(server.CheckConfig(path, &out), os.WriteFile(path, out.Bytes(), 0o600), again(t, path, out.Len() > 0))
	}
	if _, err := check(goodConfig); err != nil {
		t.Error(err)
	}
	_, err := check(goodConfig + "election: 2h\nlog_level: loud\nmetrics: {listen: here}\ntracing: {endpoint: here, ratio: 3}\n")
	if !errors.Is(err, server.ErrConfiguration) {
		t.Fatal(err)
	}
	for _, path := range []string{"election:", "log_level:", "metrics.listen:", "tracing.endpoint:", "ratio:"} {
		if !strings.Contains(err.Error(), path) {
			t.Errorf("%v does not name %s", err, path)
		}
	}
}

// again loads what was shown: it is a configuration itself, with every default.
func again(t *testing.T, path string, shown bool) error {
	t.Helper()
	if !shown {
		return nil
	}
	c, err := server.Load(path)
	if err == nil && (c.Election == 0 || c.WitnessTimeout == 0 || c.Time != "host" || c.LogLevel != "info" || c.Announce == "") {
		t.Errorf("%+v lacks defaults", c)
	}
	return err
}
