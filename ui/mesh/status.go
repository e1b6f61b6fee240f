package mesh

import (
	"context"
	"sync"

	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/marble"
)

// Report is how a mesh is doing.
type Report struct {
	State        State
	Processes    []ProcessReport
	MarbleRun    marble.State // 0 when it does not answer
	Coordinators []CoordinatorReport
}

// ProcessReport says of a process whether it runs.
type ProcessReport struct {
	Process
	Running bool
}

// CoordinatorReport is what a coordinator says of itself and the others; Err when it does not answer over the verified channel.
type CoordinatorReport struct {
	CoordinatorAddress
	Status *concordatv1.StatusResponse
	Self   *concordatv1.SelfResponse // nil when it does not answer this
	Err    error
}

// Running says whether any process of the mesh runs.
func (r Report) Running() bool {
	for _, p := range r.Processes {
		if p.Running {
			return true
		}
	}
	return false
}

// Status looks at the processes and asks those that answer.
func (m *Mesh) Status(ctx context.Context) Report {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	s := m.State()
	r := Report{State: s, Coordinators: make([]CoordinatorReport, len(s.Coordinators))}
	for _, p := range s.Processes {
		r.Processes = append(r.Processes, ProcessReport{p, p.Running()})
	}
	var asked sync.WaitGroup
	for i, c := range s.Coordinators {
		asked.Go(func() {
			status, err := ask(ctx, s.RootCertificate, c.API)
			self, _ := m.Self(ctx, c.API) // it says what ask says, or why that does not answer
			r.Coordinators[i] = CoordinatorReport{c, status, self, err}
		})
	}
	if state, err := marble.NewMarbleRun(s.MarbleRun.Clients).State(ctx); err == nil {
		r.MarbleRun = state
	}
	asked.Wait()
	return r
}
