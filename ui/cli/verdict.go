package cli

import (
	"strings"

	"concordat.dev/ui/mesh"
)

// ended are the names of processes of this machine that do not run.
func ended(r mesh.Report) (out []string) {
	for _, p := range r.Processes {
		if !p.Running {
			out = append(out, p.Name)
		}
	}
	return out
}

// verdict says what is wrong with a mesh as a whole, and what to do; an error where nothing can be asked of it.
func (a *app) verdict(r mesh.Report) error {
	answering, led := 0, false
	for _, c := range r.Coordinators {
		if c.Status != nil {
			answering++
			led = led || c.Status.GetLeader() != ""
		}
	}
	start := "'concordat up' starts the mesh"
	if r.Running() {
		start = "'concordat down' and 'concordat up' start the mesh again, with all that it has"
	}
	switch gone := ended(r); {
	case answering == 0:
		a.say("no coordinator answers: %s", start)
	case !led:
		a.say("%d of %d coordinators answer and none leads: nothing can be asked until %d of them reach each other", answering, len(r.Coordinators), len(r.Coordinators)/2+1)
		if len(gone) > 0 {
			a.say("%s", start)
		}
	default:
		if len(gone) > 0 {
			a.say("the mesh goes on without %s; %s", strings.Join(gone, ", "), start)
		}
		return nil
	}
	return silent(exitFailed)
}
