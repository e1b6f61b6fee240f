package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"concordat.dev/integration/harness"
	"concordat.dev/protocol/answer"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/key"
	"concordat.dev/ui/client"
)

const (
	analysts = 8
	atOnce   = 64
	// again is how often a question is one that was asked before, of which there is a stored release: one of so many.
	again = 4
)

// storm has analysts ask small queries over three datasets, many at once, for a while and without the time grid. Three of four questions are
// new ones, which are executed.
func storm(tb testing.TB, lasts time.Duration) {
	if lasts == 0 {
		return
	}
	m := harness.Up(tb)
	r, names := crowd(tb, m)
	r.UploadStudy("clinic.patients", "laboratory.results", "registry.events")
	for i := range warmUp {
		if _, err := asked(tb, r, names[i%analysts], i); err != nil {
			tb.Fatal(err)
		}
	}
	var next atomic.Int64
	next.Store(warmUp)
	var mu sync.Mutex
	var took []time.Duration
	var errs []error
	var work sync.WaitGroup
	from := time.Now()
	for i := range atOnce {
		work.Go(func() {
			for time.Since(from) < lasts && tb.Context().Err() == nil {
				one, err := asked(tb, r, names[i%analysts], int(next.Add(1)))
				mu.Lock()
				took, errs = append(took, one), append(errs, err)
				mu.Unlock()
			}
		})
	}
	work.Wait()
	all := time.Since(from)
	if err := errors.Join(errs...); err != nil {
		tb.Error("queries were lost: ", err)
	}
	slices.Sort(took)
	figure("concurrent_queries", float64(len(took))/all.Seconds(), fmt.Sprintf("queries/s, %d at once of %d analysts", atOnce, analysts))
	for _, p := range []int{50, 99} {
		figure(fmt.Sprintf("concurrent_p%d", p), float64(took[min(len(took)-1, len(took)*p/100)].Microseconds())/1000, "ms")
	}
	for _, p := range m.State().Processes {
		if strings.HasPrefix(p.Name, "worker") || strings.HasPrefix(p.Name, "coordinator") {
			peak, err := peakMemory(p.PID)
			if err != nil {
				tb.Fatal(err)
			}
			figure("concurrent_peak_memory_"+p.Name, float64(peak>>20), "MiB")
		}
	}
}

// crowd agrees on the demo's collaboration with several analysts, who are connected.
func crowd(tb testing.TB, m *harness.Mesh) (*harness.Room, []string) {
	keys := map[string]key.Private{}
	var names []string
	for i := range analysts {
		name := fmt.Sprintf("analyst-%d", i)
		names = append(names, name)
		keys[name] = harness.NewKey(tb)
	}
	r := m.Agree(filepath.Join(harness.Repository(), "ui", "demo", "room"), func(b *document.Bundle) {
		harness.Generous(b)
		for i, name := range names {
			b.Manifest.People = append(b.Manifest.People, document.Person{
				ID: name, Participant: b.Manifest.Participants[i%len(b.Manifest.Participants)].ID, Roles: []string{"analyst"}, Keys: []string{keys[name].Public().String()},
			})
		}
	})
	for _, name := range names {
		r.Keys[name] = keys[name]
		r.As(name)
	}
	return r, names
}

// asked asks one question of a series, and takes nothing but a release with its receipt.
func asked(tb testing.TB, r *harness.Room, who string, i int) (time.Duration, error) {
	from := time.Now()
	if i%again == 0 {
		i %= warmUp
	}
	a, err := r.Query(tb.Context(), who, question(i))
	if err == nil && (a.Verdict != answer.Released || len(a.Receipt) == 0) {
		err = fmt.Errorf("question %d: %s %v", i, a.Verdict, a.Failure)
	}
	return time.Since(from), err
}

// question is one of a series over three datasets of which no two are the same.
func question(i int) client.Question {
	if i%3 != 0 {
		return harness.Question(i)
	}
	const years = 40
	return client.Question{
		SQL: fmt.Sprintf("SELECT test, count(DISTINCT id) AS patients, avg(value) AS mean FROM laboratory.results WHERE days < %d GROUP BY test", 365*(i/3%years-19)),
		Rho: 0.004 - 1e-7*float64(i/3/years),
	}
}
