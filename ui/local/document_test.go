package local_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// What a draft means is worked out on this machine; what a worker has to judge is sent on.
func TestDrafts(t *testing.T) {
	m := start(t)
	m.open()
	policy, err := os.ReadFile(filepath.Join("..", "demo", "room", "policies", "clinic.patients.yaml"))
	must(t, err)
	encoded := base64.StdEncoding.EncodeToString(policy)
	ask := func(method, body string, out any) int {
		t.Helper()
		res, text := m.do(http.MethodPost, "/concordat.v1.DocumentService/"+method, body, "Content-Type", "application/json", "Concordat-Page", "1")
		if res.StatusCode == http.StatusOK {
			must(t, json.Unmarshal([]byte(text), out))
		}
		return res.StatusCode
	}
	var explained struct {
		Sentences []string
		Columns   []struct{ Column, Use string }
	}
	if status := ask("Explain", `{"policy":"`+encoded+`"}`, &explained); status != http.StatusOK || len(explained.Columns) != 9 || len(explained.Sentences) < 4 {
		t.Errorf("explain: HTTP %d %+v", status, explained)
	}
	var checked struct {
		Problems []struct{ Document, Message, Fix string }
		Manifest string
	}
	if status := ask("Check", `{"collaboration":"none","draft":{"policies":["`+encoded+`"]}}`, &checked); status != http.StatusOK || len(checked.Problems) == 0 || checked.Manifest != "" {
		t.Errorf("check of a policy without keys and mesh: HTTP %d %+v", status, checked)
	}
	if status := ask("Compare", `{"before":{},"after":{}}`, nil); status != http.StatusBadRequest {
		t.Errorf("compare of nothing: HTTP %d", status)
	}
	if status := ask("Try", `{"collaboration":"none","sql":"SELECT 1"}`, nil); status != http.StatusNotFound {
		t.Errorf("try did not reach the mesh, which here does not know it: HTTP %d", status)
	}
}
