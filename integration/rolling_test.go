package integration_test

import (
	"context"
	"strings"
	"testing"

	"concordat.dev/integration/harness"
)

// TestRollingRestart restarts every coordinator and every worker of a mesh, one after the other, under queries: none is lost.
func TestRollingRestart(t *testing.T) {
	m := harness.Up(t)
	r := m.Agree(harness.StudyRoom(), harness.Generous)
	r.UploadStudy("clinic.patients", "registry.events")
	asking, enough := context.WithCancel(t.Context())
	defer enough()
	s := begin(asking, r, 0, 10_000, 2)
	s.until(5)
	had := m.Leader()
	for _, p := range m.State().Processes {
		if strings.HasPrefix(p.Name, "marblerun") {
			continue
		}
		if err := m.Restart(t.Context(), p.Name); err != nil {
			t.Fatal(err)
		}
		m.Leader() // the next one goes when a majority is there again
	}
	enough()
	all := s.wait()
	for _, a := range all {
		if a.err != nil && !a.abandoned {
			t.Errorf("after %s: %s: %v", a.end.Sub(a.from), a.SQL, a.err)
		}
	}
	longest, median := slowest(all)
	t.Logf("leader was %s, is %s; %d questions, median %s, longest %s", had, m.Leader(), len(all), median, longest)
	new(books).audit(t, r, all)
}
