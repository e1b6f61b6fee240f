package cli

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/ui/mesh"
)

func TestVerdictOnAMesh(t *testing.T) {
	led := &concordatv1.StatusResponse{Leader: "one"}
	alone := &concordatv1.StatusResponse{}
	for name, c := range map[string]struct {
		statuses []*concordatv1.StatusResponse
		runs     []bool
		says     string
		fails    bool
	}{
		"well":             {[]*concordatv1.StatusResponse{led, led, led}, []bool{true, true, true}, "", false},
		"one ended":        {[]*concordatv1.StatusResponse{led, led, nil}, []bool{true, true, false}, "the mesh goes on without c; 'concordat down' and", false},
		"no majority":      {[]*concordatv1.StatusResponse{alone, nil, nil}, []bool{true, false, false}, "1 of 3 coordinators answer and none leads: nothing can be asked until 2", true},
		"all ended":        {[]*concordatv1.StatusResponse{nil, nil, nil}, []bool{false, false, false}, "no coordinator answers: 'concordat up' starts", true},
		"workers run only": {[]*concordatv1.StatusResponse{nil}, []bool{true}, "no coordinator answers: 'concordat down' and 'concordat up'", true},
	} {
		var r mesh.Report
		for i, s := range c.statuses {
			r.Coordinators = append(r.Coordinators, mesh.CoordinatorReport{Status: s})
			r.Processes = append(r.Processes, mesh.ProcessReport{Process: mesh.Process{Name: string(rune('a' + i))}, Running: c.runs[i]})
		}
		var said bytes.Buffer
		a := &app{}
		a.Err = &said
		err := a.verdict(r)
		var code *exitError
		if errors.As(err, &code) != c.fails || !strings.HasPrefix(said.String(), c.says) || c.says == "" && said.Len() > 0 {
			t.Errorf("%s: %v, %s", name, err, said.String())
		}
	}
}

func TestNarrowTableHasNoAddresses(t *testing.T) {
	var g processGrid
	g.add("worker-1", "1", "yes", "127.0.0.1:1", "ready")
	var wide, slim bytes.Buffer
	if err := errors.Join(g.grid(false).Write(&wide), g.grid(true).Write(&slim)); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(wide.String(), "127.0.0.1:1") || strings.Contains(slim.String(), "address") || !strings.Contains(slim.String(), "ready") {
		t.Errorf("%s\n%s", wide.String(), slim.String())
	}
}
