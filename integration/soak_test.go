//go:build soak

package integration_test

import (
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"concordat.dev/integration/harness"
)

// soakFor is how long TestSoak goes on (SOAK of `make soak`).
func soakFor(t *testing.T) time.Duration {
	text := os.Getenv("CONCORDAT_SOAK")
	if text == "" {
		return 30 * time.Minute
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("CONCORDAT_SOAK: %v", err)
	}
	return d
}

// TestSoak asks without end, in rounds; in each one process of the mesh, any of them, is killed and returns. After each round the books
// have to balance, as in TestFaults.
func TestSoak(t *testing.T) {
	const round = 500
	m := harness.Up(t)
	r := m.Agree(harness.StudyRoom(), harness.Generous)
	r.UploadStudy("clinic.patients", "registry.events")
	var b books
	for from, end := 0, time.Now().Add(soakFor(t)); time.Now().Before(end) && !t.Failed(); from += round {
		processes := m.State().Processes
		victim := processes[rand.IntN(len(processes))].Name //nolint:gosec // G404: any will do
		s := begin(t.Context(), r, from, round, 3)
		s.until(100)
		m.Kill(victim)
		s.until(150)
		m.Return(victim)
		all := s.wait()
		for _, a := range all {
			if a.err != nil && !a.abandoned {
				t.Errorf("after %s: %s: %v", a.end.Sub(a.from), a.SQL, a.err)
			}
		}
		longest, median := slowest(all)
		t.Logf("%s killed: median %s, longest %s", victim, median, longest)
		b.audit(t, r, all)
	}
}
