package server_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"concordat.dev/coordinator/store"
	"concordat.dev/protocol/answer"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
)

// TestObjectStoreThatIsAway has the store fail for uploads and releases: people are told that, and no more; asking again costs nothing, gives the
// release, and clears away what the first attempt left.
func TestObjectStoreThatIsAway(t *testing.T) {
	m := newMesh(t, 1)
	s := m.manifest(1, nil)
	m.activate(1, s)
	for who, dataset := range map[string]string{"dana": "clinic.patients", "rita": "registry.events"} {
		m.upload(who, dataset, s.Digest())
	}
	folder := func(name string) string { return filepath.Join(m.dir, "objects", name) }
	must(t, os.RemoveAll(folder("uploads")))
	for _, name := range []string{"uploads", "releases"} { // files where folders belong
		must(t, os.WriteFile(folder(name), nil, 0o600))
	}
	id, _ := m.as("dana", 0).openUpload("clinic.patients", s.Digest())
	if code := m.as("dana", 0).put(id, 1, []byte("part")); code != http.StatusServiceUnavailable {
		t.Errorf("a part for a store that is away: HTTP %d", code)
	}
	ask := func(at int) (reply, error) {
		return m.as("ann", at).query("SELECT 1", func(r *concordatv1.QueryRequest) { r.IdempotencyKey = "k" })
	}
	_, err := ask(0)
	if connect.CodeOf(err) != connect.CodeUnavailable || !strings.HasSuffix(err.Error(), store.ErrAway.Error()) || strings.Contains(err.Error(), m.dir) {
		t.Errorf("a release for a store that is away: %v", err)
	}

	for _, name := range []string{"uploads", "releases"} {
		must(t, os.Remove(folder(name)))
	}
	h, err := m.as("ann", 1).History(m.ctx(), connect.NewRequest(&concordatv1.HistoryRequest{Collaboration: room}))
	must(t, err)
	var asked []struct{ Query string }
	must(t, json.Unmarshal(h.Msg.GetEntries(), &asked))
	releases := folder(store.ReleaseFolder(asked[0].Query))
	must(t, os.MkdirAll(releases, 0o700))
	must(t, os.WriteFile(filepath.Join(releases, "sealed-before-a-crash"), nil, 0o600))
	got, err := ask(1)
	if err != nil || got.Verdict != answer.Released || got.Price[0].Rho != 0.1 || *got.Price[0].RemainingRho != 0.9 {
		t.Fatalf("asked again: %+v %v", got.Answer, err)
	}
	left, err := os.ReadDir(releases)
	must(t, err)
	if len(left) != 1 || left[0].Name() == "sealed-before-a-crash" {
		t.Errorf("releases of one query: %v", left)
	}
	if code := m.as("dana", 0).put(id, 1, []byte("part")); code != http.StatusNoContent {
		t.Errorf("the part sent again: HTTP %d", code)
	}
}
