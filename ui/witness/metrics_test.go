package witness

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestObserved(t *testing.T) {
	dir := t.TempDir()
	if err := Create(dir, "clinic.example/witness"); err != nil {
		t.Fatal(err)
	}
	w, err := Open(dir, nil, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Close() }()
	w.Handler().ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/add-checkpoint", strings.NewReader("nonsense")))
	get := func(path string) *httptest.ResponseRecorder {
		out := httptest.NewRecorder()
		w.Observed().ServeHTTP(out, httptest.NewRequest(http.MethodGet, path, nil))
		return out
	}
	if text := get("/metrics").Body.String(); !strings.Contains(text, `concordat_witness_answers_total{status="400"} 1`) {
		t.Error(text)
	}
	if code := get("/readyz").Code; code != http.StatusNoContent {
		t.Error(code)
	}
}
