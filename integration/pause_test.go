package integration_test

import (
	"context"
	"reflect"
	"slices"
	"testing"
	"time"

	"concordat.dev/integration/harness"
	"concordat.dev/protocol/answer"
	"concordat.dev/protocol/statement"
	"concordat.dev/ui/client"
	"concordat.dev/ui/mesh"
)

// pausedFor is how long a leader stands still: several elections.
const pausedFor = 5 * time.Second

// TestPausedLeader stops the process of the leader for a while and lets it go on: first under queries, of which none is lost and each is paid
// once; then with questions in its own queue, which it must not decide by what it knew before.
func TestPausedLeader(t *testing.T) {
	m := harness.Up(t)
	r := m.Agree(harness.StudyRoom(), harness.Generous)
	r.UploadStudy("clinic.patients", "registry.events")
	asking, enough := context.WithCancel(t.Context())
	defer enough()
	s := begin(asking, r, 0, 10_000, 3)
	s.until(5)
	resume, over := stands(t, m)
	s.until(len(s.sofar()) + 5)
	<-over
	resume()
	s.until(len(s.sofar()) + 5)
	enough()
	all := s.wait()
	for _, a := range all {
		if a.err != nil && !a.abandoned {
			t.Errorf("after %s: %s: %v", a.end.Sub(a.from), a.SQL, a.err)
		}
	}
	new(books).audit(t, r, all)

	const sql = "SELECT male, count(DISTINCT id) AS patients, avg(bmi) AS bmi FROM clinic.patients GROUP BY male"
	before := r.Budgets()
	behind, once, _ := queued(t, m, r, sql)
	elsewhere := r.Released(sql)
	once()
	if got := <-behind; got.err != nil || !reflect.DeepEqual(got.Rows, elsewhere.Rows) || got.Answer.Receipt.ID != elsewhere.Answer.Receipt.ID {
		t.Errorf("asked of who stood still: %v %v, elsewhere %v", got.err, got.Rows, elsewhere.Rows)
	}
	for i, now := range r.Budgets() {
		want := 0.0
		if j := slices.IndexFunc(elsewhere.Price, func(p answer.Price) bool { return p.Owner == now.Owner }); j >= 0 {
			want = elsewhere.Price[j].Rho
		}
		if spent := now.SpentRho - before[i].SpentRho; spent > want+1e-9 || spent < want-1e-9 {
			t.Errorf("%s was charged %g for one release of price %g", now.Owner, spent, want)
		}
	}

	spent := r.Budgets()
	behind, goes, over := queued(t, m, r, "SELECT status, count(DISTINCT id) AS patients FROM clinic.patients GROUP BY status")
	says(t, r, "registry", statement.Pause, nil)
	<-over
	goes()
	if got := <-behind; got.err == nil && got.Verdict == answer.Released {
		t.Errorf("who stood still answered by a state in which nobody had paused the collaboration: %+v", got.Answer)
	}
	if now := r.Budgets(); !reflect.DeepEqual(now, spent) {
		t.Errorf("it was charged: %+v, %+v", spent, now)
	}
}

// stands stops the leader until resume is called, and returns when another one leads. Over tells when it has stood long enough.
func stands(t *testing.T, m *harness.Mesh) (resume func(), over <-chan time.Time) {
	t.Helper()
	leader, at := m.Leader(), m.State()
	var others []*client.Client
	led := ""
	for _, c := range at.Coordinators {
		one, err := client.New(client.Config{Addresses: []string{c.API}, Root: at.RootCertificate})
		if err != nil {
			t.Fatal(err)
		}
		s, err := one.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if c.Name == leader {
			led = s.GetNode()
		} else {
			others = append(others, one)
		}
	}
	resume, over = m.Pause(leader), time.After(pausedFor)
	for _, one := range others {
		until(t, func() bool {
			s, err := one.Status(t.Context())
			return err == nil && s.GetLeader() != "" && s.GetLeader() != led
		})
	}
	return resume, over
}

// queued stops the leader, and has a question wait in its connection alone.
func queued(t *testing.T, m *harness.Mesh, r *harness.Room, sql string) (came <-chan asked, resume func(), over <-chan time.Time) {
	t.Helper()
	leader, at := m.Leader(), m.State()
	i := slices.IndexFunc(at.Coordinators, func(c mesh.CoordinatorAddress) bool { return c.Name == leader })
	one, err := client.New(client.Config{Addresses: []string{at.Coordinators[i].API}, Root: at.RootCertificate, Key: r.Keys[harness.Analyst], Ledger: at.Ledger})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := one.Status(t.Context()); err != nil { // the connection is there before it stands still
		t.Fatal(err)
	}
	resume, over = m.Pause(leader), time.After(pausedFor)
	out := make(chan asked, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		reply, err := one.Query(ctx, client.Question{Collaboration: r.ID(), SQL: sql}, nil)
		if err != nil {
			out <- asked{err: err}
			return
		}
		a, err := answer.Parse(reply.Answer)
		out <- asked{Answered: harness.Answered{Answer: a, Receipt: reply.Receipt}, err: err}
	}()
	return out, resume, over
}
