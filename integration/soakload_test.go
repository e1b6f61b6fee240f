//go:build soak

package integration_test

import (
	"bufio"
	"context"
	"io"
	"io/fs"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"concordat.dev/integration/harness"
	"concordat.dev/protocol/document"
)

// vital is what a process tells of itself at one moment.
type vital struct {
	at                                 time.Time
	started                            float64
	goroutines, descriptors, heap, log float64
}

// vitals are those of all processes over time, by name.
type vitals map[string][]vital

// address of a process's metrics.
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
func (v vitals) take(ctx context.Context, m *harness.Mesh) {
	for name, address := range metricsOf(m) {
		now, err := scrape(ctx, address)
		if err != nil {
			continue
		}
		v[name] = append(v[name], vital{
			at: time.Now(), started: now["process_start_time_seconds"],
			goroutines: now["go_goroutines"], descriptors: now["process_open_fds"], heap: now["go_gc_heap_live_bytes"], log: now["concordat_log_size"],
		})
	}
}

// settle is how long after a start a process warms up: connections, tables, caches.
const settle = 30 * time.Second

// stateEntry is what a coordinator's state holds of one entry of the log, in bytes at most: the query, its price, its place in the tree.
const stateEntry = 3 << 10

// still says that nothing rises without end: the median of the last third of what a process told since it settled is at most that of the first
// third by an allowance, which covers waves of load. Each life of a process counts by itself; short ones are passed by.
func (v vitals) still(t *testing.T) {
	judged := 0
	for name, all := range v {
		for len(all) > 0 {
			n := slices.IndexFunc(all, func(x vital) bool { return x.started != all[0].started })
			if n < 0 {
				n = len(all)
			}
			life := all[:n]
			all = all[n:]
			life = slices.DeleteFunc(slices.Clone(life), func(x vital) bool { return x.at.Sub(time.Unix(int64(x.started), 0)) < settle })
			if len(life) < 9 {
				continue
			}
			judged++
			third := len(life) / 3
			grown := middle(life[len(life)-third:], func(x vital) float64 { return x.log }) - middle(life[:third], func(x vital) float64 { return x.log })
			for what, r := range map[string]struct {
				of    func(vital) float64
				allow float64
			}{
				"goroutines":     {func(x vital) float64 { return x.goroutines }, 30},
				"descriptors":    {func(x vital) float64 { return x.descriptors }, 20},
				"live heap, MiB": {func(x vital) float64 { return x.heap / (1 << 20) }, 16 + grown*stateEntry/(1<<20)},
			} {
				early, late := middle(life[:third], r.of), middle(life[len(life)-third:], r.of)
				t.Logf("%s: %s from %.0f to %.0f over %s", name, what, early, late, life[len(life)-1].at.Sub(life[0].at).Round(time.Second))
				if late > early*1.25+r.allow {
					t.Errorf("%s: %s rose from %.0f to %.0f", name, what, early, late)
				}
			}
		}
	}
	if judged == 0 {
		t.Error("no process lived long enough to be judged: make SOAK longer")
	}
}

func middle(all []vital, of func(vital) float64) float64 {
	var values []float64
	for _, x := range all {
		values = append(values, of(x))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// TestSoakLoad goes on for SOAK with queries without a pause, a new version of a dataset every half minute, and every process restarted in
// turn. Nothing that was asked is lost, no process grows without end, and what coordinators keep on disk is explained by log and snapshots.
func TestSoakLoad(t *testing.T) {
	m := harness.Up(t)
	r := m.Agree(harness.StudyRoom(), harness.Generous)
	r.UploadStudy("clinic.patients", "registry.events")
	second := m.Agree(harness.StudyRoom(), func(b *document.Bundle) { harness.Generous(b); b.Manifest.Collaboration = "second" })
	ctx, enough := context.WithCancel(t.Context())
	defer enough()
	s, from, b := begin(ctx, r, 0, batch, 2), batch, books{}
	total := 0
	seen, uploads := vitals{}, 0
	lasts := soakFor(t)
	calm := lasts / 2 // processes are restarted in the first half, and live through the second: slopes show
	end, restart := time.Now().Add(lasts), time.Now().Add(lasts/20)
	names := restartable(m)
	tick := time.NewTicker(3 * time.Second)
	defer tick.Stop()
	for round := 0; time.Now().Before(end) && !t.Failed(); round++ {
		<-tick.C
		seen.take(ctx, m)
		if s.over() { // the books are looked at now and then, since only the newest of them are told at once
			all := s.wait()
			lost(t, all)
			b.audit(t, r, all)
			total += len(all)
			s, from = begin(ctx, r, from, batch, 2), from+batch
		}
		if round%10 == 5 {
			second.UploadStudy("clinic.patients")
			uploads++
		}
		if len(names) > 0 && time.Now().After(restart) && time.Until(end) > calm {
			if err := m.Restart(ctx, names[0]); err != nil {
				t.Fatal(err)
			}
			m.Leader()
			names, restart = names[1:], time.Now().Add(calm/8)
		}
	}
	enough()
	all := s.wait()
	lost(t, all)
	total += len(all)
	if len(all) == 0 {
		t.Fatal("nothing was asked at the end")
	}
	longest, median := slowest(all)
	t.Logf("%d questions, %d uploads, %d processes restarted; of the last %d median %s, longest %s", total, uploads, len(restartable(m))-len(names), len(all), median, longest)
	if len(names) > 0 {
		t.Errorf("%v were not restarted: make SOAK longer", names)
	}
	seen.still(t)
	explained(t, m, total)
	b.audit(t, r, all)
}

// batch is how many questions are asked between two looks at the books.
const batch = 2000

// over says that all questions of the storm have ended.
func (s *storm) over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all) == batch
}

// lost complains of every question that was not answered, but for those whose caller went away.
func lost(t *testing.T, all []asked) {
	t.Helper()
	for _, a := range all {
		if a.err != nil && !a.abandoned {
			t.Errorf("after %s: %s: %v", a.end.Sub(a.from), a.SQL, a.err)
		}
	}
}

// snapshots is how many a coordinator keeps.
const snapshots = 2

// explained checks what lies on disk. The object store holds no part of an upload any more, and no more releases than were asked for. A coordinator
// holds two snapshots and the entries that are not older than they, within a tenth.
func explained(t *testing.T, m *harness.Mesh, asked int) {
	t.Helper()
	files, bytes := map[string]int{}, map[string]int64{}
	walk(t, filepath.Join(m.Home, "objects"), func(path string, size int64) {
		kind, _, _ := strings.Cut(path, string(filepath.Separator))
		files[kind]++
		bytes[kind] += size
	})
	t.Logf("object store: %v files, %v bytes", files, bytes)
	if files["uploads"] > 0 {
		t.Errorf("%d parts of uploads remain", files["uploads"])
	}
	if n := files["releases"]; n > 2*asked { // a file, and its attributes
		t.Errorf("%d files of releases for %d questions", n, asked)
	}
	for _, c := range m.State().Coordinators {
		var log, snaps, all int64
		segments, kept := 0, 0
		walk(t, filepath.Join(m.Home, c.Name, "data"), func(path string, size int64) {
			all += size
			switch {
			case strings.HasSuffix(path, ".wal"):
				log += size
				segments++
			case strings.HasSuffix(path, "state.bin"):
				snaps += size
				kept++
			}
		})
		now, err := scrape(t.Context(), c.Metrics)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d bytes: %d of %d segments, %d of %d snapshots; %.0f as it tells", c.Name, all, log, segments, snaps, kept, now["concordat_data_dir_bytes"])
		if kept > snapshots {
			t.Errorf("%s keeps %d snapshots", c.Name, kept)
		}
		if explains := log + snaps; float64(all) > 1.1*float64(explains)+1<<20 {
			t.Errorf("%s: log and snapshots explain %d of %d bytes", c.Name, explains, all)
		}
		if last := now["concordat_raft_last_index"]; float64(segments) > 3+last/500 { // an entry takes some kilobytes
			t.Errorf("%s: %d segments for %.0f entries", c.Name, segments, last)
		}
	}
}

// walk tells the files below a folder, with what they take on disk.
func walk(t *testing.T, folder string, tell func(path string, size int64)) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		below, err := filepath.Rel(folder, path)
		tell(below, info.Sys().(*syscall.Stat_t).Blocks*512)
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// restartable are the processes that restart under load: all of ours.
func restartable(m *harness.Mesh) (out []string) {
	for _, p := range m.State().Processes {
		if !strings.HasPrefix(p.Name, "marblerun") {
			out = append(out, p.Name)
		}
	}
	return out
}
