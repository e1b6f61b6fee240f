package server_test

import (
	"testing"

	"concordat.dev/coordinator/server"
)

// TestReady asks as a health check does, by the configuration alone.
func TestReady(t *testing.T) {
	m := newMesh(t, 0)
	must(t, server.Ready(t.Context(), m.configs[0]))
	m.stop(1)
	m.stop(2)
	if err := server.Ready(t.Context(), m.configs[0]); err == nil {
		t.Error("a coordinator without a majority says that it can decide")
	}
	m.stop(0)
	if err := server.Ready(t.Context(), m.configs[0]); err == nil {
		t.Error("a coordinator that does not run says that it can decide")
	}
}
