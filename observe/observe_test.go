package observe

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func TestHandler(t *testing.T) {
	registry := prometheus.NewRegistry()
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "a"), make([]byte, 8192), 0o600); err != nil {
		t.Fatal(err)
	}
	registry.MustRegister(append(Process("program", "1.2.3"), Disk(folder), NewCollector([]Metric{
		{Name: "a_level", Kind: Gauge, Help: "A \"level\".", Labels: []string{"of"}},
	}, func(emit Emit) { emit("a_level", 7, "water") }))...)
	var why error
	s, err := Listen(&Metrics{Listen: "127.0.0.1:0"}, Handler(registry, func(context.Context) error { return why }), nil, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve() }()
	get := func(path string) (int, string) {
		res, err := http.Get("http://" + s.Address() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(b)
	}
	if code, text := get("/metrics"); code != http.StatusOK || !strings.Contains(text, `a_level{of="water"} 7`) ||
		!strings.Contains(text, `concordat_build_info{program="program",version="1.2.3"} 1`) || !strings.Contains(text, "go_gc_heap_live_bytes") ||
		!strings.Contains(text, "process_open_fds") || !strings.Contains(text, "concordat_data_dir_bytes 8192") {
		t.Error(code, text)
	}
	if code, _ := get("/healthz"); code != http.StatusNoContent {
		t.Error(code)
	}
	if code, _ := get("/readyz"); code != http.StatusNoContent {
		t.Error(code)
	}
	why = errors.New("no leader")
	if code, text := get("/readyz"); code != http.StatusServiceUnavailable || text != "no leader\n" {
		t.Error(code, text)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestNotServed(t *testing.T) {
	for _, m := range []*Metrics{nil, {}} {
		s, err := Listen(m, nil, nil, zerolog.Nop())
		if s != nil || err != nil || s.Serve() != nil || s.Close() != nil || s.Address() != "" {
			t.Error(s, err)
		}
	}
}

func TestDescribe(t *testing.T) {
	got := Describe(NewCollector([]Metric{{Name: "b", Help: `"b"`, Labels: []string{"x", "y"}}, {Name: "a", Help: "a"}}, nil), Disk(""))
	if len(got) != 5 || got[0].Name != "a" || got[1].Help != `"b"` || strings.Join(got[1].Labels, " ") != "x y" {
		t.Errorf("%+v", got)
	}
}

func TestChecks(t *testing.T) {
	for _, wrong := range []error{
		(&Metrics{Listen: "nowhere"}).Check(), (&Tracing{Endpoint: "localhost:4318"}).Check(), (&Tracing{Ratio: 2}).Check(),
	} {
		if wrong == nil {
			t.Error("accepted")
		}
	}
	for _, right := range []error{
		(*Metrics)(nil).Check(), (&Metrics{Listen: ":1"}).Check(), (*Tracing)(nil).Check(), (&Tracing{Endpoint: "http://h:4318", Ratio: 1}).Check(),
	} {
		if right != nil {
			t.Error(right)
		}
	}
}

const procedure = "/a.Service/Call"

// TestCalls takes a call of a person through two processes: one trace, one id, and nothing of the message of an error.
func TestCalls(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	tracer := NewTracer(sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)))
	var inner, outer string
	worker := httptest.NewServer(connect.NewUnaryHandler(procedure, func(ctx context.Context, _ *connect.Request[wrapperspb.StringValue]) (*connect.Response[wrapperspb.StringValue], error) {
		inner = Request(ctx)
		return nil, connect.NewError(connect.CodePermissionDenied, errors.New("ada@clinic may not"))
	}, connect.WithInterceptors(Calls{Tracer: tracer, Trusted: true})))
	defer worker.Close()
	next := connect.NewClient[wrapperspb.StringValue, wrapperspb.StringValue](worker.Client(), worker.URL+procedure, connect.WithInterceptors(Calls{Tracer: tracer}))
	coordinator := httptest.NewServer(connect.NewUnaryHandler(procedure, func(ctx context.Context, r *connect.Request[wrapperspb.StringValue]) (*connect.Response[wrapperspb.StringValue], error) {
		outer = Request(ctx)
		ctx, done := tracer.Span(ctx, "dispatch")
		_, err := next.CallUnary(ctx, connect.NewRequest(r.Msg))
		done(err)
		return nil, connect.NewError(connect.CodeOf(err), errors.New("told")) // as faults of the API do
	}, connect.WithInterceptors(Calls{Tracer: tracer})))
	defer coordinator.Close()
	client := connect.NewClient[wrapperspb.StringValue, wrapperspb.StringValue](coordinator.Client(), coordinator.URL+procedure)
	request := connect.NewRequest(wrapperspb.String("SELECT secret"))
	request.Header().Set(HeaderRequest, strings.Repeat("ab", 16)) // nobody outside chooses ids
	request.Header().Set("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	_, err := client.CallUnary(t.Context(), request)
	var said *connect.Error
	if !errors.As(err, &said) || said.Meta().Get(HeaderRequest) != outer || outer == "" || outer != inner || outer == strings.Repeat("ab", 16) {
		t.Errorf("%v: %q, %q", err, outer, inner)
	}
	all := spans.GetSpans()
	if len(all) != 4 {
		t.Fatalf("%d spans", len(all))
	}
	for _, s := range all {
		if s.SpanContext.TraceID() != all[0].SpanContext.TraceID() || s.SpanContext.TraceID().String() == "0af7651916cd43dd8448eb211c80319c" {
			t.Error(s.Name, s.SpanContext.TraceID())
		}
		if s.Status.Code != codes.Error || s.Status.Description != "permission_denied" || len(s.Events) > 0 {
			t.Error(s.Name, s.Status, s.Events)
		}
		for _, a := range s.Attributes {
			allowed := map[attribute.Key]string{attributeProcedure: s.Name, attributeRequest: outer, attributeCode: "permission_denied"}
			if want, ok := allowed[a.Key]; !ok || a.Value.AsString() != want {
				t.Error(a)
			}
		}
	}
}

func TestStrangeIDs(t *testing.T) {
	for _, text := range []string{"", "SELECT", strings.Repeat("z", 32), strings.Repeat("ab", 15)} {
		if id := carried(text); id == text || len(id) != 32 {
			t.Errorf("%q gives %q", text, id)
		}
	}
	if Request(t.Context()) != "" || Request(WithRequest(t.Context(), "x")) != "x" {
		t.Error("context")
	}
	var out strings.Builder
	Log(WithRequest(t.Context(), "x"), zerolog.New(&out)).Info().Msg("said")
	if !strings.Contains(out.String(), `"request":"x"`) {
		t.Error(out.String())
	}
}

func TestExport(t *testing.T) {
	got := make(chan string, 1)
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got <- r.URL.Path + " " + string(b)
		w.WriteHeader(http.StatusOK)
	}))
	defer collector.Close()
	provider, done, err := Export(t.Context(), &Tracing{Endpoint: collector.URL, Ratio: 1}, "program", "c1")
	if err != nil {
		t.Fatal(err)
	}
	_, end := NewTracer(provider).Span(WithRequest(t.Context(), "the-id"), "part")
	end(nil)
	if err := done(t.Context()); err != nil {
		t.Fatal(err)
	}
	if text := <-got; !strings.HasPrefix(text, "/v1/traces ") || !strings.Contains(text, "the-id") {
		t.Errorf("%q", text)
	}
	if _, done, err := Export(t.Context(), nil, "", ""); err != nil || done(t.Context()) != nil {
		t.Error(err)
	}
}
