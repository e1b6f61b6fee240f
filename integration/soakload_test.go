//go:build soak

package integration_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"concordat.dev/integration/harness"
	"concordat.dev/protocol/document"
)

// batch is how many questions are asked between two looks at the books.
const batch = 2000

// load is a mesh at work: questions without a pause, a new version of a dataset every half minute, and processes that are restarted.
type load struct {
	m      *harness.Mesh
	room   *harness.Room
	second *harness.Room // its dataset gets new versions, which end no question of the first
	seen   vitals
	goods  goods
	books  books
	storm  *storm
	from   int
	total  int
	stalls stalls
}

// stalls are the times in which the machine stood still: nobody's clock went on, this test's neither.
type stalls struct {
	mu  sync.Mutex
	all [][2]time.Time
}

// standstill is how long this test does not get to run before that is the machine's doing: as long as clients go on trying.
const standstill = 20 * time.Second

// watch looks every second whether it gets to run.
func (s *stalls) watch(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for last := time.Now(); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		if now.Sub(last) > standstill {
			s.mu.Lock()
			s.all = append(s.all, [2]time.Time{last, now})
			s.mu.Unlock()
		}
		last = now
	}
}

// during says that somebody waited in a standstill.
func (s *stalls) during(from, end time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.all, func(x [2]time.Time) bool { return x[0].Before(end) && from.Before(x[1]) })
}

// TestSoakLoad goes on for SOAK. Nothing that was asked is lost, no process grows without end, and what coordinators and object store keep is
// explained by log and data. Processes are restarted in the first half, and live through the second.
func TestSoakLoad(t *testing.T) {
	l := begun(t)
	ctx, enough := context.WithCancel(t.Context())
	defer enough()
	lasts := soakFor(t)
	calm := lasts / 2
	last := time.Now() // when a process was restarted
	end, restart := last.Add(lasts), last.Add(lasts/20)
	names := restartable(l.m)
	l.ask(ctx)
	go l.stalls.watch(ctx)
	tick := time.NewTicker(lasts / 600)
	defer tick.Stop()
	for upload := time.Now(); time.Now().Before(end) && !t.Failed(); {
		<-tick.C
		l.seen.take(ctx, l.m)
		if l.storm.over() { // the books are looked at now and then, since only the newest of them are told at once
			l.settle(t)
			l.ask(ctx)
		}
		if time.Since(upload) > 30*time.Second {
			upload = time.Now()
			l.upload(t)
		}
		if len(names) > 0 && time.Now().After(restart) && time.Until(end) > calm {
			if err := l.m.Restart(ctx, names[0]); err != nil {
				t.Fatal(err)
			}
			l.m.Leader()
			last = time.Now()
			names, restart = names[1:], last.Add(calm/8)
		}
	}
	enough()
	l.settle(t)
	l.seen.weigh(t, l.room)
	if len(names) > 0 {
		t.Errorf("%v were not restarted: make SOAK longer", names)
	}
	t.Logf("%d questions, %d uploads, %d processes restarted", l.total, l.goods.uploads, len(restartable(l.m)))
	l.seen.still(t, last.Add(max(30*time.Second, lasts/12)))
	l.goods.objects(t, l.m)
	l.seen.disks(t, l.m)
	l.seen.workers(t, l.m)
	fresh(t, l.m)
}

// begun is a mesh after its first questions and uploads, by which later ones are measured.
func begun(t *testing.T) *load {
	m := harness.Up(t)
	l := &load{m: m, room: m.Agree(harness.StudyRoom(), harness.Generous), seen: vitals{of: map[string][]vital{}}}
	l.room.UploadStudy("clinic.patients", "registry.events")
	l.second = m.Agree(harness.StudyRoom(), func(b *document.Bundle) { harness.Generous(b); b.Manifest.Collaboration = "second" })
	l.seen.weigh(t, l.room)
	l.goods.first = stored(t, m)
	const measured = 40
	s := begin(t.Context(), l.room, l.from, measured, 2)
	l.settled(t, s.wait())
	l.from += measured
	l.second.UploadStudy("clinic.patients")
	now := stored(t, m)
	release, version := now["releases"].minus(l.goods.first["releases"]), now["datasets"].minus(l.goods.first["datasets"])
	l.goods.uploads = 1
	l.goods.version = version
	l.goods.release = held{release.files / l.goods.releases, int64(release.each(l.goods.releases))}
	return l
}

func (l *load) ask(ctx context.Context) {
	l.storm = begin(ctx, l.room, l.from, batch, 2)
	l.from += batch
}

func (l *load) upload(t *testing.T) {
	l.second.UploadStudy("clinic.patients")
	l.goods.uploads++
	l.seen.weigh(t, l.room)
}

// settle waits for the end of the questions that were asked and looks at what came of them.
func (l *load) settle(t *testing.T) {
	t.Helper()
	all := l.storm.wait()
	l.quiet(t)
	l.settled(t, all)
}

// quiet waits until nothing is added to the log: what was abandoned has come to its end.
func (l *load) quiet(t *testing.T) {
	t.Helper()
	const look = 250 * time.Millisecond
	tick := time.NewTicker(look)
	defer tick.Stop()
	size := -1.0
	for still, end := 0, time.Now().Add(2*time.Minute); still < int(3*time.Second/look); still++ {
		<-tick.C
		for _, c := range l.m.State().Coordinators {
			if now, err := scrape(t.Context(), c.Metrics); err == nil && now["concordat_log_size"] > size {
				size, still = now["concordat_log_size"], 0
			}
		}
		if time.Now().After(end) {
			t.Fatal("the log grows without questions")
		}
	}
}

func (l *load) settled(t *testing.T, all []asked) {
	t.Helper()
	for _, a := range all {
		switch {
		case a.err == nil, a.abandoned:
		case l.stalls.during(a.from, a.end):
			t.Logf("the machine stood still for longer than clients try, %s asked after %s: %v", a.SQL, a.end.Sub(a.from), a.err)
		default:
			t.Errorf("after %s: %s: %v", a.end.Sub(a.from), a.SQL, a.err)
		}
	}
	l.total += len(all)
	if len(all) > 0 {
		longest, median := slowest(all)
		t.Logf("median %s, longest %s", median, longest)
	}
	l.books.audit(t, l.room, all)
	l.goods.releases = l.books.released
}

// over says that all questions of the storm have ended.
func (s *storm) over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all) == batch
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
