package server_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"concordat.dev/coordinator/server"
	"concordat.dev/observe"
)

// scraped is a page of a process for whoever runs it.
func scraped(t *testing.T, address, path string) (int, string) {
	t.Helper()
	res, err := http.Get("http://" + address + path)
	must(t, err)
	defer func() { must(t, res.Body.Close()) }()
	b, err := io.ReadAll(res.Body)
	must(t, err)
	return res.StatusCode, string(b)
}

// takeSpans is a collector of traces, and all that it got.
func takeSpans(t *testing.T) (url string, got func() string) {
	var mu sync.Mutex
	var all strings.Builder
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		all.Write(b)
	}))
	t.Cleanup(s.Close)
	return s.URL, func() string {
		mu.Lock()
		defer mu.Unlock()
		return all.String()
	}
}

// TestWhatOperatorsAreTold asks queries and has one refused: metrics count them, traces follow them, and neither knows what they were about.
func TestWhatOperatorsAreTold(t *testing.T) {
	url, spans := takeSpans(t)
	addresses := ports(t, 3)
	next := 0
	m := ready(t, 1, nil, func(c *server.Config) {
		c.Metrics = &observe.Metrics{Listen: addresses[next]}
		c.Tracing = &observe.Tracing{Endpoint: url, Ratio: 1}
		next++
	})
	const sql = "SELECT count(*) /* secret */"
	for range 2 {
		_, err := m.as("ann", 0).query(sql, nil)
		must(t, err)
	}
	_, err := m.as("dana", 0).query(sql, nil) // a steward may not
	must(t, err)
	if code, _ := scraped(t, addresses[0], "/readyz"); code != http.StatusNoContent {
		t.Errorf("ready: %d", code)
	}
	_, text := scraped(t, addresses[0], "/metrics")
	for _, line := range []string{
		`concordat_queries_total{kind="query",verdict="released"} 2`,
		`concordat_queries_total{kind="query",verdict="refused"} 1`,
		`concordat_calls_denied_total{operation="query"} 1`,
		`concordat_query_phase_seconds_count{phase="execute"} 2`,
		`concordat_budget_used_ratio{collaboration="room"} 0.1`,
		"concordat_raft_has_leader 1", "concordat_raft_voters 3", "concordat_dispatch_workers 1", "concordat_caught_up 1", "concordat_storage_failing 0",
		`concordat_log_unprotected 1`, `concordat_dispatch_calls_total{outcome="answered"}`,
	} {
		if !strings.Contains(text, line) {
			t.Errorf("no %s", line)
		}
	}
	m.stopAll() // sends the spans that are left
	traced := spans()
	if !strings.Contains(traced, "concordat.v1.AnalystService/Query") || !strings.Contains(traced, "concordat.v1.WorkerService/Execute") {
		t.Error("no spans of the query")
	}
	for _, secret := range []string{"SELECT", "secret", "ann@", "dana", "clinic", "patients", "registry.", "ed25519"} {
		for what, told := range map[string]string{"metrics": text, "traces": traced} {
			if strings.Contains(told, secret) {
				t.Errorf("%s tell of %s", what, secret)
			}
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}
