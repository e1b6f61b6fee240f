package integration_test

import (
	"bytes"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"concordat.dev/integration/harness"
	"concordat.dev/protocol/answer"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/ui/client"
	"concordat.dev/ui/demo"
)

// failover is the longest that a question may take while a process is gone.
const failover = 12 * time.Second

// TestFaults kills processes of one mesh in the course of a collaboration's life.
func TestFaults(t *testing.T) {
	m := harness.Up(t)
	r := m.Draft(harness.StudyRoom(), harness.Generous)
	leaderDiesAfterProposal(t, m, r)
	r.UploadStudy("clinic.patients", "registry.events")
	amongQueries(t, m, r)
	uploadGoesOn(t, m, r)
	manyAskTheSame(t, r)
	allDie(t, m, r)
	nothingInTheClear(t, m)
}

func leaderDiesAfterProposal(t *testing.T, m *harness.Mesh, r *harness.Room) {
	leader := m.Leader()
	if _, err := r.Propose(m.Founder, r.Documents); err != nil {
		t.Fatal(err)
	}
	m.Kill(leader)
	expectManifest(t, r, "proposed", "")
	m.Return(leader)
	leader = m.Leader()
	if _, err := r.Sign("clinic", r.Documents); err != nil {
		t.Fatal(err)
	}
	m.Kill(leader)
	expectManifest(t, r, "proposed", "clinic")
	m.Return(leader)
	r.SignAll()
}

func expectManifest(t *testing.T, r *harness.Room, state, signed string) {
	t.Helper()
	got, err := client.Unary(t.Context(), r.As("clinic"), &concordatv1.GetManifestRequest{Collaboration: r.ID()}, client.Services.GetManifest)
	if err != nil {
		t.Fatal(err)
	}
	if got.GetDigest() != r.Documents.Digest.String() || got.GetState() != state || strings.Join(got.GetSigned(), ",") != signed {
		t.Fatalf("manifest %s is %s, signed by %v; want %s %s signed by %q", got.GetDigest(), got.GetState(), got.GetSigned(), r.Documents.Digest, state, signed)
	}
}

func amongQueries(t *testing.T, m *harness.Mesh, r *harness.Room) {
	s := begin(t.Context(), r, 0, 200, 3)
	s.until(40)
	leader := m.Leader()
	m.Kill(leader)
	died := time.Now()
	s.until(60)
	m.Return(leader)
	s.until(110)
	m.Kill("worker-1")
	s.until(140)
	m.Return("worker-1")
	all := s.wait()
	for _, a := range all {
		if a.err != nil && !a.abandoned {
			t.Errorf("after %s: %s: %v", a.end.Sub(a.from), a.SQL, a.err)
		}
	}
	longest, median := slowest(all)
	first := time.Duration(0)
	for _, a := range all { // in the order in which they ended
		if a.from.After(died) && a.err == nil {
			first = a.end.Sub(died)
			break
		}
	}
	t.Logf("median %s; longest wait of a query %s; first query begun after the leader's death answered %s after it", median, longest, first)
	if longest > failover {
		t.Errorf("a query took %s, at most %s are a failover", longest, failover)
	}
	new(books).audit(t, r, all)
}

func allDie(t *testing.T, m *harness.Mesh, r *harness.Room) {
	const sql = "SELECT male, count(DISTINCT id) AS patients, avg(bmi) AS bmi FROM clinic.patients GROUP BY male"
	before := r.Released(sql)
	state := r.State()
	checkpoint := r.Checkpoint(client.Checkpoint{})
	for _, p := range m.State().Processes {
		m.Kill(p.Name)
	}
	if err := m.Down(); err != nil { // nothing runs: gives the folder free
		t.Fatal(err)
	}
	m.Again()
	r.Checkpoint(checkpoint)
	if changed := state.Changed(r.State()); len(changed) > 0 {
		t.Errorf("%v are not what they were", changed)
	}
	budgets := r.Budgets()
	after := r.Released(sql)
	if !reflect.DeepEqual(after.Rows, before.Rows) || !reflect.DeepEqual(after.Intervals, before.Intervals) {
		t.Errorf("the same question had %v, now has %v", before.Rows, after.Rows)
	}
	if after.Answer.Receipt == nil || before.Answer.Receipt == nil || after.Answer.Receipt.ID != before.Answer.Receipt.ID {
		t.Errorf("the same release had the receipt %+v, now has %+v", before.Answer.Receipt, after.Answer.Receipt)
	}
	if now := r.Budgets(); !reflect.DeepEqual(now, budgets) {
		t.Errorf("the same question was charged again: %+v, %+v", budgets, now)
	}
	r.Verified(after.Receipt)
	if fresh := r.Released("SELECT count(*) AS n FROM registry.events"); len(fresh.Receipt) == 0 {
		t.Error("a new query has no receipt")
	}
}

// uploadGoesOn kills the leader in the middle of an upload's parts, and a worker in the middle of its ingest.
func uploadGoesOn(t *testing.T, m *harness.Mesh, r *harness.Room) {
	files, err := demo.WriteData(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	leader := m.Leader()
	kill := func(name string) func() {
		return sync.OnceFunc(func() {
			if err := m.Stop(name, syscall.SIGKILL); err != nil {
				t.Error(err)
			}
		})
	}
	killLeader, killWorker := kill(leader), kill("worker-2")
	u := r.Uploading("laboratory.results", files["laboratory.results"])
	u.PartSize = 1 << 20
	u.Progress = func(done, _, total int64) {
		if 2*done >= total {
			killLeader()
		}
	}
	u.Phase = func(phase string) {
		if phase == "ingest" {
			killWorker()
		}
	}
	report, err := u.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !harness.Accepted(t, report) || !bytes.Contains(report, []byte(`"rows":400123`)) {
		t.Errorf("not all rows arrived: %s", report)
	}
	m.Return(leader)
	m.Return("worker-2")
	r.Released("SELECT test, count(*) AS n FROM laboratory.results GROUP BY test")
}

// manyAskTheSame has one new question asked by many at once: all get the same release, which is paid once.
func manyAskTheSame(t *testing.T, r *harness.Room) {
	const sql = "SELECT status, count(DISTINCT id) AS patients FROM clinic.patients GROUP BY status"
	before := r.Budgets()
	answers := make([]harness.Answered, 8)
	var group sync.WaitGroup
	for i := range answers {
		group.Go(func() {
			var err error
			if answers[i], err = r.Query(t.Context(), harness.Analyst, client.Question{SQL: sql}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	price := 0.0
	for _, a := range answers {
		if a.Verdict != answer.Released || !reflect.DeepEqual(a.Rows, answers[0].Rows) || a.Answer.Receipt.ID != answers[0].Answer.Receipt.ID {
			t.Errorf("%s %v %+v, another got %v %+v", a.Verdict, a.Rows, a.Answer.Receipt, answers[0].Rows, answers[0].Answer.Receipt)
		}
		price = max(price, a.Price[0].Rho)
	}
	for i, now := range r.Budgets() {
		want := 0.0
		if now.Owner == "clinic" {
			want = price
		}
		if spent := now.SpentRho - before[i].SpentRho; math.Abs(spent-want) > 1e-9 {
			t.Errorf("%s was charged %g for one release of price %g", now.Owner, spent, want)
		}
	}
}

// nothingInTheClear looks for texts of queries and rows in all that the processes of a mesh wrote.
func nothingInTheClear(t *testing.T, m *harness.Mesh) {
	secrets := []string{"SELECT c.male", "count(DISTINCT", "clinic.patients c", "18-39", "heart failure", ",\"hdl\","}
	read := 0
	err := filepath.WalkDir(m.Home, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		b, err := os.ReadFile(name) //nolint:gosec // G304, G122: of the test's mesh
		read += len(b)
		for _, secret := range secrets {
			if bytes.Contains(b, []byte(secret)) {
				t.Errorf("%s holds %q", name, secret)
			}
		}
		return err
	})
	if err != nil || read < 1<<20 {
		t.Errorf("read %d bytes: %v", read, err)
	}
}
