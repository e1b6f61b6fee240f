package cli

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/ui/mesh"
)

func TestTinted(t *testing.T) {
	const text = "coordinator-1  leader\ncoordinator-2  does not answer\nbudget  [##########] 100 % of clinic\nplain\n"
	got := string(tinted([]byte(text)))
	for _, want := range []string{"\x1b[32mleader\x1b[0m\n", "\x1b[31mdoes not answer\x1b[0m\n", "[\x1b[31m##########] 100 % of clinic\x1b[0m\n", "\nplain\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q has no %q", got, want)
		}
	}
	var out bytes.Buffer // no terminal
	a := &app{Streams: Streams{Out: &out}}
	if err := a.tint([]byte(text)); err != nil || out.String() != text {
		t.Errorf("%v: %q", err, out.String())
	}
}

func TestWorkersAtAGlance(t *testing.T) {
	told := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("# HELP x\nconcordat_worker_memory_reserved_bytes 1e+09\nconcordat_worker_memory_budget_bytes 4e+09\n"))
	}))
	defer told.Close()
	r := mesh.Report{
		State: mesh.State{Workers: []mesh.WorkerAddress{{Name: "w1", Mesh: "a:1", Metrics: strings.TrimPrefix(told.URL, "http://")}, {Name: "w2", Mesh: "a:2"}}},
		Coordinators: []mesh.CoordinatorReport{{Status: &concordatv1.StatusResponse{Workers: []*concordatv1.Worker{
			{Id: "w1", Address: "a:1", Ready: true, Loaded: []string{"x", "y"}, Running: 1, Queued: 3, Slots: 4},
		}}}},
	}
	got := workersOf(context.Background(), r)
	if len(got) != 2 || got[0].says() != "2 datasets loaded, 1 of 4 at work, 3 waiting, memory 25 % of 4.0 GB" || got[1].says() != "not announced" {
		t.Errorf("%+v", got)
	}
}

func TestBar(t *testing.T) {
	for part, want := range map[float64]string{0: "..........", 0.42: "####......", 1: "##########", 2: "##########", -1: ".........."} {
		if bar(part) != want {
			t.Errorf("%g: %s", part, bar(part))
		}
	}
}
