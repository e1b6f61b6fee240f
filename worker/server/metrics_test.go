package server_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"concordat.dev/observe"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/worker/server"
)

// TestWhatOperatorsAreTold takes data in and looks at all that the worker tells of itself: a coordinator's request id in its log, and nowhere
// a number that the data decides.
func TestWhatOperatorsAreTold(t *testing.T) {
	spans := make(chan string, 100)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		spans <- string(b)
	}))
	t.Cleanup(collector.Close)
	l := must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
	address := l.Addr().String()
	_ = l.Close()
	t.Run("serves", func(t *testing.T) {
		w := newWorld(t, func(c *server.Config) {
			c.Metrics = &observe.Metrics{Listen: address}
			c.Tracing = &observe.Tracing{Endpoint: collector.URL, Ratio: 1}
		})
		if r, err := w.ingest(rows(), nil); err != nil || !r.GetAccepted() {
			t.Fatal(r, err)
		}
		id := observe.NewRequest()
		broken := connect.NewRequest(&concordatv1.IngestRequest{Documents: w.documents(), Dataset: dataset, Version: 1, UploadId: "u1", Parts: []string{"uploads/none"}})
		broken.Header().Set(observe.HeaderRequest, id)
		_, err := w.client.Ingest(t.Context(), broken)
		if said := new(connect.Error); !errors.As(err, &said) || said.Meta().Get(observe.HeaderRequest) != id {
			t.Errorf("%v does not name its request", err)
		}
		text := page(t, "http://"+address+"/metrics")
		for _, line := range []string{
			`concordat_admission_admitted_total{work="ingest"} 1`, `concordat_admission_running{work="query"} 0`, "concordat_worker_tables 0",
			"concordat_worker_memory_reserved_bytes 0", `concordat_build_info{program="concordat-worker"`, "go_gc_heap_live_bytes",
		} {
			if !strings.Contains(text, line) {
				t.Errorf("no %s", line)
			}
		}
		for _, secret := range []string{"clinic", "patients", "ana@", "rows"} {
			if strings.Contains(text, secret) {
				t.Errorf("metrics tell of %s", secret)
			}
		}
		if code := status(t, "http://"+address+"/readyz"); code != http.StatusNoContent {
			t.Errorf("ready: %d", code)
		}
	})
	close(spans)
	all := ""
	for s := range spans {
		all += s
	}
	if !strings.Contains(all, "concordat.v1.WorkerService/Ingest") {
		t.Error("no span of the ingest")
	}
	for _, secret := range []string{"clinic", "patients", "ana@", "uploads"} {
		if strings.Contains(all, secret) {
			t.Errorf("traces tell of %s", secret)
		}
	}
}

func page(t *testing.T, url string) string {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	return string(must[[]byte](t)(io.ReadAll(res.Body)))
}

func status(t *testing.T, url string) int {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}
