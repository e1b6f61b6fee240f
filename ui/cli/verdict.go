package cli

import (
	"slices"
	"strings"

	"golang.org/x/term"

	"concordat.dev/ui/mesh"
	"concordat.dev/ui/present"
)

// roomy is how many columns of a terminal the table of processes takes with addresses.
const roomy = 80

// narrow says that a stream is a terminal with less room than that.
func narrow(stream any) bool {
	file, ok := stream.(interface{ Fd() uintptr })
	if !ok {
		return false
	}
	width, _, err := term.GetSize(int(file.Fd()))
	return err == nil && width > 0 && width < roomy
}

// processGrid are the rows of processes: name, id, whether it runs, address, what it says.
type processGrid [][]string

func (g *processGrid) add(cells ...string) { *g = append(*g, cells) }

// grid leaves addresses out where there is little room, which --format json tells as well.
func (g processGrid) grid(narrow bool) present.Grid {
	const address = 3
	out := present.Grid{Columns: []present.Column{{Name: "process"}, {Name: "pid", Right: true}, {Name: "runs"}, {Name: "address"}, {Name: "says"}}, Rows: g}
	if !narrow {
		return out
	}
	out.Columns = slices.Delete(out.Columns, address, address+1)
	for i, row := range out.Rows {
		out.Rows[i] = slices.Delete(row, address, address+1)
	}
	return out
}

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
	switch {
	case r.State.Elsewhere:
		start = "whoever runs its processes has to start them"
	case r.Running():
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
