package integration_test

import (
	"bytes"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	coordinator "concordat.dev/coordinator/server"
	"concordat.dev/integration/harness"
	worker "concordat.dev/worker/server"
)

// span is one as a process sent it.
type span struct {
	*tracev1.Span
	program string
}

// collected are all spans that a collector of OTLP over HTTP gets, and their bytes.
type collected struct {
	mu    sync.Mutex
	spans []span
	raw   bytes.Buffer
}

func collect(t *testing.T) (c *collected, url string) {
	c = &collected{}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		var sent collector.ExportTraceServiceRequest
		if err := proto.Unmarshal(body, &sent); err != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", r.URL.Path, err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.raw.Write(body)
		for _, from := range sent.GetResourceSpans() {
			program := ""
			for _, a := range from.GetResource().GetAttributes() {
				if a.GetKey() == "service.name" {
					program = a.GetValue().GetStringValue()
				}
			}
			for _, scope := range from.GetScopeSpans() {
				for _, s := range scope.GetSpans() {
					c.spans = append(c.spans, span{s, program})
				}
			}
		}
	}))
	t.Cleanup(server.Close)
	return c, server.URL
}

// TestTraceGoesAcross asks one query of a mesh that is traced: one trace goes through coordinator and worker, under one id of the request, and no span
// tells more than ids, names of calls and codes.
func TestTraceGoesAcross(t *testing.T) {
	got, url := collect(t)
	m := harness.UpWith(t, func(m *harness.Mesh) { m.Traces, m.Coordinators, m.Workers = url, 1, 1 })
	r := m.Agree(harness.StudyRoom(), harness.Generous)
	r.UploadStudy("clinic.patients")
	r.Released(countPatients)
	if err := m.Down(); err != nil { // which sends what is left
		t.Fatal(err)
	}
	byID := map[string]span{}
	var query, executed span
	for _, s := range got.spans {
		byID[string(s.GetSpanId())] = s
		switch {
		case s.program == coordinator.Program && strings.HasSuffix(s.GetName(), "AnalystService/Query"):
			query = s
		case s.program == worker.Program && strings.HasSuffix(s.GetName(), "WorkerService/Execute"):
			executed = s
		}
		for _, a := range s.GetAttributes() {
			if !slices.Contains([]string{"rpc.method", "concordat.request", "rpc.code"}, a.GetKey()) {
				t.Errorf("%s has the attribute %s", s.GetName(), a.GetKey())
			}
		}
		if len(s.GetEvents())+len(s.GetLinks()) > 0 || s.GetTraceState() != "" {
			t.Errorf("%s tells more than attributes", s.GetName())
		}
	}
	if query.Span == nil || executed.Span == nil {
		t.Fatalf("%d spans, none of the query or none of its execution", len(got.spans))
	}
	if len(query.GetParentSpanId()) > 0 {
		t.Error("the trace of a query begins outside of the coordinator")
	}
	at := executed
	for len(at.GetParentSpanId()) > 0 && at.Span != nil {
		at = byID[string(at.GetParentSpanId())]
	}
	if at.Span != query.Span {
		t.Errorf("the execution in trace %s does not descend from the query in trace %s", hex.EncodeToString(executed.GetTraceId()), hex.EncodeToString(query.GetTraceId()))
	}
	for _, s := range got.spans {
		if same := bytes.Equal(s.GetTraceId(), query.GetTraceId()); same != (request(s) == request(query)) {
			t.Errorf("%s of %s has another trace than its request", s.GetName(), s.program)
		}
	}
	for _, secret := range []string{"SELECT", "count", "patients", "clinic", "registry", r.ID(), harness.Analyst, "ed25519", m.State().Ledger} {
		if bytes.Contains(got.raw.Bytes(), []byte(secret)) {
			t.Errorf("traces tell of %s", secret)
		}
	}
}

// request is the id of the request that a span belongs to.
func request(s span) string {
	for _, a := range s.GetAttributes() {
		if a.GetKey() == "concordat.request" {
			return a.GetValue().GetStringValue()
		}
	}
	return ""
}
