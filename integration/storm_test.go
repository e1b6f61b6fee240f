package integration_test

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"concordat.dev/integration/harness"
	"concordat.dev/policies/mechanism"
	"concordat.dev/protocol/answer"
	"concordat.dev/protocol/checkpoint"
	"concordat.dev/protocol/document"
	"concordat.dev/ui/client"
	"concordat.dev/ui/demo"
)

// studyRoom is the folder of the demo's manifest.
func studyRoom() string { return filepath.Join(harness.Repository(), "ui", "demo", "room") }

// generous gives every owner a budget that no test exhausts, and lets releases leave at once.
func generous(b *document.Bundle) {
	b.Manifest.Release.TimeGrid = "0s"
	for _, p := range b.Policies {
		p.Budget.Rho, p.Budget.LifetimeRho = 1000, 1000
	}
}

// uploadStudy uploads the tables of some organisations of the demo.
func uploadStudy(t *testing.T, r *harness.Room, datasets ...string) {
	t.Helper()
	files, err := demo.WriteData(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range datasets {
		r.Upload(d, files[d])
	}
}

// question is one of a series of which no two are the same question.
func question(i int) client.Question {
	age, years := 20+5*(i%16), i/16%19
	join, where := "", ""
	if i%2 == 1 {
		join, where = " JOIN registry.events e ON e.id = c.id", " AND e.event = 'nafld'"
	}
	return client.Question{
		SQL: fmt.Sprintf("SELECT c.male, count(DISTINCT c.id) AS patients FROM clinic.patients c%s WHERE c.age < %d AND c.futime >= %d%s GROUP BY c.male",
			join, age, 365*years, where),
		Rho: 0.004 - 1e-7*float64(i/(16*19)),
	}
}

// asked is what came of one question.
type asked struct {
	client.Question
	harness.Answered
	err       error
	from, end time.Time
}

// storm asks questions from several goroutines and keeps what came of each. Each end of a question is told in order on ended.
type storm struct {
	room  *harness.Room
	ended chan int // how many have ended
	mu    sync.Mutex
	all   []asked
	group sync.WaitGroup
}

// begin asks n questions (without end where n is negative, until ctx ends).
func begin(ctx context.Context, r *harness.Room, n, parallel int) *storm {
	s := &storm{room: r, ended: make(chan int, 1)}
	r.As(harness.Analyst)
	next := make(chan int)
	go func() {
		defer close(next)
		for i := 0; i != n; i++ {
			select {
			case next <- i:
			case <-ctx.Done():
				return
			}
		}
	}()
	for range parallel {
		s.group.Go(func() {
			for i := range next {
				s.ask(i)
			}
		})
	}
	go func() {
		s.group.Wait()
		close(s.ended)
	}()
	return s
}

func (s *storm) ask(i int) {
	a := asked{Question: question(i), from: time.Now()}
	a.Idempotency = client.NewIdempotencyKey()
	// not the context of the storm: what was asked is waited for
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	a.Answered, a.err = s.room.Query(ctx, harness.Analyst, a.Question)
	a.end = time.Now()
	s.mu.Lock()
	s.all = append(s.all, a)
	n := len(s.all)
	s.mu.Unlock()
	select { // whoever waits wants the newest number only
	case <-s.ended:
	default:
	}
	select {
	case s.ended <- n:
	default:
	}
}

// until waits until n questions have ended.
func (s *storm) until(n int) {
	for have := range s.ended {
		if have >= n {
			return
		}
	}
}

// wait waits for the end of the storm and returns all of it.
func (s *storm) wait() []asked {
	s.group.Wait()
	return s.all
}

// slowest is how long the longest question took, and the median.
func slowest(all []asked) (longest, median time.Duration) {
	var took []time.Duration
	for _, a := range all {
		took = append(took, a.end.Sub(a.from))
	}
	slices.Sort(took)
	return took[len(took)-1], took[len(took)/2]
}

// audit checks all that was asked of a room against its ledger and its log: every release has a receipt that verifies and whose leaf is
// in the log, and the budgets are charged what the answers say, and what the ledger reserved for questions whose outcome is unclear.
func audit(t *testing.T, r *harness.Room, all []asked) {
	t.Helper()
	entries := map[int64]harness.Entry{}
	for _, e := range r.Entries() {
		entries[e.Index] = e
	}
	spent := map[string]mechanism.Rho{}
	unclear := map[string]bool{}
	for _, a := range all {
		switch {
		case a.err != nil:
			unclear[a.SQL] = true
			continue
		case a.Verdict != answer.Released:
			t.Errorf("%s: %s %+v", a.SQL, a.Verdict, a.Refusals)
		case a.Answer.Receipt == nil || len(a.Receipt) == 0:
			t.Errorf("%s: released without a receipt", a.SQL)
		default:
			got := r.Verified(a.Receipt)
			body, err := got.Body.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			if leaf := entries[a.Answer.Receipt.LogIndex].Leaf; got.Index != a.Answer.Receipt.LogIndex || !bytes.Equal(leaf, checkpoint.Leaf(got.Salt, body)) {
				t.Errorf("%s: the log's leaf %d is not that of its receipt", a.SQL, got.Index)
			}
		}
		for _, p := range a.Price {
			spent[p.Owner] += mechanism.FromFloat(p.Rho)
		}
	}
	for _, q := range r.History(harness.Analyst) {
		if unclear[q.SQL] {
			for _, p := range q.Price {
				spent[p.Owner] += mechanism.FromFloat(p.Rho)
			}
		}
	}
	for _, b := range r.Budgets() {
		if charged := mechanism.FromFloat(b.SpentRho); charged != spent[b.Owner] {
			t.Errorf("the ledger charged %s rho %g, the answers and unclear queries come to %g", b.Owner, charged.Float(), spent[b.Owner].Float())
		}
	}
	t.Logf("%d queries, %d of them unclear: all receipts verify and are in the log, the ledger is the sum of the prices", len(all), len(unclear))
}
