//go:build soak

package integration_test

import (
	"bufio"
	"context"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"concordat.dev/integration/harness"
	"concordat.dev/integration/steady"
	"concordat.dev/protocol/backup"
)

// vital is what a process tells of itself at one moment.
type vital struct {
	at      time.Time
	started float64
	term    float64 // of the coordinators: who leads has more to do, and more connections
	figures map[string]float64
}

// vitals are those of all processes over time, by name, and what the state took when it was looked at, by raft's index.
type vitals struct {
	of    map[string][]vital
	state []steady.Point
}

// What must not grow in a calm mesh, and what of it matters in the time of a soak; in that order are they told.
var levels = []struct {
	name, metric string
	matters      float64
}{
	{"goroutines", "go_goroutines", 3},
	{"file descriptors", "process_open_fds", 3},
	{"live heap", "go_gc_heap_live_bytes", 1 << 20},
}

const (
	heapMetric   = "go_gc_heap_live_bytes"
	appliedIndex = "concordat_raft_applied_index"
	collections  = "go_gc_duration_seconds_count"

	// heapPerByte is how many bytes of heap a state takes at most for each byte of its snapshot: TestHeapOfTheState of coordinator/bench
	// measures it, and holds the state alone to it.
	heapPerByte = 1.6
)

// metricsOf are the addresses of processes' metrics.
func metricsOf(m *harness.Mesh) map[string]string {
	out := map[string]string{}
	for _, c := range m.State().Coordinators {
		out[c.Name] = c.Metrics
	}
	for _, w := range m.State().Workers {
		out[w.Name] = w.Metrics
	}
	return out
}

// scrape reads the metrics of a process that have no labels.
func scrape(ctx context.Context, address string) (map[string]float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	out := map[string]float64{}
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if v, err := strconv.ParseFloat(value, 64); ok && err == nil {
			out[name] = v
		}
	}
	_, err = io.Copy(io.Discard, res.Body)
	return out, err
}

// take adds what all processes tell now. One that is away right now is left out.
func (v *vitals) take(ctx context.Context, m *harness.Mesh) {
	all, term := map[string]map[string]float64{}, 0.0
	for name, address := range metricsOf(m) {
		if now, err := scrape(ctx, address); err == nil {
			all[name], term = now, max(term, now["concordat_raft_term"])
		}
	}
	for name, now := range all {
		v.of[name] = append(v.of[name], vital{time.Now(), now["process_start_time_seconds"], term, now})
	}
}

// weigh adds how many bytes the state takes that a coordinator has now: those of a backup, which has the form of a snapshot.
func (v *vitals) weigh(t *testing.T, r *harness.Room) {
	t.Helper()
	out, in := io.Pipe()
	go func() { _ = in.CloseWithError(r.As("clinic").Backup(t.Context(), in)) }()
	_, sealed, err := backup.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	bytes, err := io.Copy(io.Discard, sealed)
	if err != nil {
		t.Fatal(err)
	}
	now, err := scrape(t.Context(), r.Mesh.State().Coordinators[0].Metrics)
	if err != nil {
		return // it is away right now: the next one counts
	}
	v.state = append(v.state, steady.Point{X: now[appliedIndex], Y: float64(bytes)})
}

// stateBytes is what the state of an index took, by the measurements around it.
func (v *vitals) stateBytes(index float64) float64 {
	i, _ := slices.BinarySearchFunc(v.state, index, func(p steady.Point, x float64) int {
		if p.X < x {
			return -1
		}
		return 1
	})
	i = min(max(i, 1), len(v.state)-1)
	a, b := v.state[i-1], v.state[i]
	if a.X == b.X {
		return b.Y
	}
	return a.Y + (b.Y-a.Y)*(index-a.X)/(b.X-a.X)
}

// still says that nothing rises without end: what each process told since the mesh had settled after the last restart lies along a line that does
// not rise beyond doubt, in each term of a leader by itself; the heap of a coordinator by what its state takes.
func (v *vitals) still(t *testing.T, settled time.Time) {
	for _, name := range slices.Sorted(maps.Keys(v.of)) {
		all := v.of[name]
		life := slices.DeleteFunc(slices.Clone(all), func(x vital) bool {
			return x.started != all[len(all)-1].started || x.at.Before(settled)
		})
		if len(life) == 0 {
			t.Errorf("%s did not live long enough to be judged: make SOAK longer", name)
			continue
		}
		for _, l := range levels {
			terms := map[float64][]steady.Point{}
			allowed, over := 0.0, "s"
			for _, x := range life {
				at := x.at.Sub(life[0].at).Seconds()
				if index := x.figures[appliedIndex]; l.metric == heapMetric && index > 0 {
					at, allowed, over = v.stateBytes(index), heapPerByte, "bytes of state"
				}
				terms[x.term] = append(terms[x.term], steady.Point{X: at, Y: x.figures[l.metric]})
			}
			line, err := steady.Fit(slices.Collect(maps.Values(terms))...)
			if err != nil {
				t.Errorf("%s: %s: %v: make SOAK longer", name, l.name, err)
				continue
			}
			t.Logf("%s: %s: %s %.0f %s", name, l.name, line, line.Span, over)
			if line.Rises(allowed, l.matters) {
				t.Errorf("%s: %s rises by %.4g a %s, at most %.4g", name, l.name, line.Slope, over, allowed)
			}
		}
	}
}

// alive is the live heap of a process after its garbage was collected twice, which scrapes hasten.
func alive(t *testing.T, address string) float64 {
	t.Helper()
	first := -1.0
	for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); {
		now, err := scrape(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		if first < 0 {
			first = now[collections]
		}
		if now[collections] >= first+2 {
			return now[heapMetric]
		}
	}
	t.Fatalf("%s: no garbage was collected", address)
	return 0
}

// fresh holds what lives in coordinators that worked for long to what lives in them when they are started anew with the same state: more
// than a tenth, and what a process needs for a start, is what they hold without need.
func fresh(t *testing.T, m *harness.Mesh) {
	t.Helper()
	const start = 8 << 20
	for _, c := range m.State().Coordinators {
		before := alive(t, c.Metrics)
		if err := m.Restart(t.Context(), c.Name); err != nil {
			t.Fatal(err)
		}
		m.Leader()
		after := alive(t, c.Metrics)
		t.Logf("%s: live heap %.1f MiB, started anew %.1f MiB", c.Name, before/(1<<20), after/(1<<20))
		if before > 1.1*after+start {
			t.Errorf("%s holds %.0f bytes, and %.0f when it is started anew", c.Name, before, after)
		}
	}
}
