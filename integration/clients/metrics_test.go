package clients_test

import (
	"bufio"
	"net/http"
	"strings"

	coordinator "concordat.dev/coordinator/server"
	"concordat.dev/observe"
	worker "concordat.dev/worker/server"
)

// untold are beginnings of metrics that this mesh has nothing to say of: it has no witnesses.
var untold = []string{"concordat_witness_", "concordat_log_cosigned_"}

// metrics are those of docs/METRICS.md and no others: the page is held to what the programs describe (TestMetricsPage), and here the description to what a
// mesh tells that has answered queries, refused some, and denied calls.
func (w *world) metrics() {
	state := w.room.Mesh.State()
	var coordinators, workers []string
	for _, c := range state.Coordinators {
		coordinators = append(coordinators, c.Metrics)
	}
	for _, m := range state.Workers {
		workers = append(workers, m.Metrics)
	}
	w.tells(coordinator.Program, coordinator.Metrics(), coordinators)
	w.tells(worker.Program, worker.Metrics(), workers)
}

// tells compares what is described with what any of the processes of a program tell.
func (w *world) tells(program string, described []observe.Described, addresses []string) {
	w.t.Helper()
	known := map[string]bool{}
	for _, d := range described {
		known[d.Name] = true
	}
	told := map[string]bool{}
	for _, address := range addresses {
		for _, name := range w.exposed(address) {
			if told[name] = true; !known[name] {
				w.t.Errorf("%s tells %s, which it does not describe", program, name)
			}
		}
	}
next:
	for name := range known {
		for _, u := range untold {
			if strings.HasPrefix(name, u) {
				continue next
			}
		}
		if !told[name] {
			w.t.Errorf("%s describes %s, and no process tells it", program, name)
		}
	}
}

// exposed are the names that a process tells a value of.
func (w *world) exposed(address string) (names []string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		if f := strings.Fields(lines.Text()); len(f) == 4 && f[1] == "TYPE" {
			names = append(names, f[2])
		}
	}
	return names
}
