package integration_test

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"concordat.dev/integration/harness"
	"concordat.dev/policies/mechanism"
	"concordat.dev/protocol/answer"
	"concordat.dev/protocol/checkpoint"
	"concordat.dev/ui/client"
)

// asked is what came of one question.
type asked struct {
	client.Question
	harness.Answered
	err       error
	from, end time.Time
	abandoned bool // whoever asked went away at once
}

// storm asks questions from several goroutines and keeps what came of each. Each end of a question is told in order on ended.
type storm struct {
	room  *harness.Room
	last  int      // question that may be abandoned: what comes of a later one might be settled after the end only
	ended chan int // how many have ended
	mu    sync.Mutex
	all   []asked
	group sync.WaitGroup
}

// begin asks n questions of the series from a number on.
func begin(ctx context.Context, r *harness.Room, from, n, parallel int) *storm {
	s := &storm{room: r, last: from + n - 50, ended: make(chan int, 1)}
	r.As(harness.Analyst)
	next := make(chan int)
	go func() {
		defer close(next)
		for i := from; i < from+n; i++ {
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
	a := asked{Question: harness.Question(i), from: time.Now(), abandoned: i%20 == 7 && i < s.last}
	patience := time.Minute
	if a.abandoned {
		patience = time.Duration(i%100) * time.Millisecond / 5
	}
	// not the context of the storm: what was asked is waited for
	ctx, cancel := context.WithTimeout(context.Background(), patience)
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

// sofar is what has ended.
func (s *storm) sofar() []asked {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all
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

// releaseLeaf is the kind of leaf that a recorded release has.
const releaseLeaf = "release"

// books is what a room's ledger and log have to show for all that was asked so far.
type books struct {
	spent    map[string]mechanism.Rho // by owner
	settled  map[string]bool          // queries whose price is in spent
	entries  int64                    // of the log that were read
	released int                      // releases among them
}

// audit checks what was asked of a room since the last audit against its ledger and its log: every release has a receipt that verifies and
// whose leaf is in the log, and the budgets are charged what the answers say, and what the ledger reserved for questions whose outcome is
// unclear.
func (b *books) audit(t *testing.T, r *harness.Room, all []asked) {
	t.Helper()
	leaves := map[int64][]byte{}
	for _, e := range r.Entries(b.entries) {
		leaves[e.Index] = e.Leaf
		b.entries = max(b.entries, e.Index+1)
		if e.Kind == releaseLeaf {
			b.released++
		}
	}
	unclear := map[string]int{}
	for _, a := range all {
		if a.err != nil {
			unclear[a.SQL]++
			continue
		}
		b.check(t, r, a, leaves)
		b.charge(a.QueryID, a.Price)
	}
	for _, q := range r.History(harness.Analyst) {
		if unclear[q.SQL] > 0 && !b.settled[q.Query] {
			unclear[q.SQL]--
			b.charge(q.Query, q.Price)
		}
	}
	for _, have := range r.Budgets() {
		if charged := mechanism.FromFloat(have.SpentRho); charged != b.spent[have.Owner] {
			t.Errorf("the ledger charged %s rho %g, the answers and unclear queries come to %g", have.Owner, charged.Float(), b.spent[have.Owner].Float())
		}
	}
	t.Logf("%d queries, %d of them unclear", len(all), len(unclear))
}

func (b *books) charge(query string, prices []answer.Price) {
	if b.spent == nil {
		b.spent, b.settled = map[string]mechanism.Rho{}, map[string]bool{}
	}
	b.settled[query] = true
	for _, p := range prices {
		b.spent[p.Owner] += mechanism.FromFloat(p.Rho)
	}
}

func (b *books) check(t *testing.T, r *harness.Room, a asked, leaves map[int64][]byte) {
	t.Helper()
	if a.Verdict != answer.Released {
		t.Errorf("%s: %s %+v", a.SQL, a.Verdict, a.Refusals)
		return
	}
	if a.Answer.Receipt == nil || len(a.Receipt) == 0 {
		t.Errorf("%s: released without a receipt", a.SQL)
		return
	}
	got := r.Verified(a.Receipt)
	body, err := got.Body.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if leaf := leaves[a.Answer.Receipt.LogIndex]; got.Index != a.Answer.Receipt.LogIndex || !bytes.Equal(leaf, checkpoint.Leaf(got.Salt, body)) {
		t.Errorf("%s: the log's leaf %d is not that of its receipt", a.SQL, got.Index)
	}
}
