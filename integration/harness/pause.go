package harness

import (
	"sync"
	"syscall"
)

// Pause stops a process as a host does that has no time for it: it keeps its memory, its connections and its belief. The function that it
// returns lets it go on; the end of the test does, too.
func (m *Mesh) Pause(name string) (resume func()) {
	m.tb.Helper()
	for _, p := range m.State().Processes {
		if p.Name != name {
			continue
		}
		if err := syscall.Kill(p.PID, syscall.SIGSTOP); err != nil {
			m.tb.Fatal(err)
		}
		resume = sync.OnceFunc(func() {
			if err := syscall.Kill(p.PID, syscall.SIGCONT); err != nil {
				m.tb.Error(err)
			}
		})
		m.tb.Cleanup(resume)
		return resume
	}
	m.tb.Fatalf("%s does not run", name)
	return nil
}
