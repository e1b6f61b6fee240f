package integration_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"concordat.dev/integration/harness"
	"concordat.dev/protocol/answer"
	"concordat.dev/protocol/backup"
	"concordat.dev/protocol/membership"
	"concordat.dev/ui/client"
)

// TestNodes has coordinators join and go while queries run: none of them fails, and the books balance. Then one whose disk was emptied is replaced.
func TestNodes(t *testing.T) {
	m := harness.Up(t)
	r := m.Agree(harness.StudyRoom(), harness.Generous)
	r.UploadStudy("clinic.patients", "registry.events")
	first := m.Leader()
	s := begin(t.Context(), r, 0, nodeQueries, 2)
	s.until(5)
	four, five := r.Grow(), r.Grow()
	gone := []string{first}
	for _, name := range []string{"coordinator-1", "coordinator-2"} {
		if name != first && len(gone) < 2 {
			gone = append(gone, name)
		}
	}
	r.Shrink(gone[0])
	r.Shrink(gone[1])
	all := s.wait()
	heardOf(t, m)
	for _, a := range all {
		if a.err != nil && !a.abandoned {
			t.Errorf("after %s: %s: %v", a.end.Sub(a.from), a.SQL, a.err)
		}
	}
	(&books{}).audit(t, r, all)
	left := []string{}
	for _, c := range m.State().Coordinators {
		left = append(left, c.Name)
	}
	if len(left) != 3 || !slices.Contains(left, four) || !slices.Contains(left, five) || len(m.Ask().GetNodes()) != 3 {
		t.Errorf("left are %v, %v", left, m.Ask().GetNodes())
	}

	m.Kill(four)
	m.Empty(four)
	r.Shrink(four) // its disk is lost: two go on, and it is replaced
	r.Grow()
	r.Released(harness.Question(nodeQueries).SQL)
	kinds := map[string]int{}
	for _, e := range r.Entries(0) {
		kinds[e.Kind]++
	}
	if kinds["node_join"] != 3 || kinds["node_remove"] != 3 {
		t.Errorf("the log has %v", kinds)
	}
}

// heardOf expects that each coordinator knows both workers, which no configuration told of those that joined.
func heardOf(t *testing.T, m *harness.Mesh) {
	t.Helper()
	at := m.State()
	for _, c := range at.Coordinators {
		one, err := client.New(client.Config{Addresses: []string{c.API}, Root: at.RootCertificate})
		if err != nil {
			t.Fatal(err)
		}
		until(t, func() bool {
			s, err := one.Status(t.Context())
			return err == nil && len(s.GetWorkers()) == 2
		})
	}
}

// TestRecovery loses two of three disks, then all, then sets all back. What was given up or lost is told: by the log, by receipts, by witnesses
// (TestWitnesses).
func TestRecovery(t *testing.T) {
	m := harness.Up(t)
	r := m.Agree(harness.StudyRoom(), harness.Generous)
	r.UploadStudy("clinic.patients", "registry.events")
	early := r.Released(harness.Question(0).SQL)
	kept := r.Backup()
	late := r.Released(harness.Question(2).SQL)
	receipts := filepath.Join(m.Home, "receipts")
	if err := os.MkdirAll(receipts, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, a := range map[string]harness.Answered{"early": early, "late": late} {
		if err := os.WriteFile(filepath.Join(receipts, name+".json"), a.Receipt, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	auditor := harness.File(t, "auditor.key", "")
	if err := os.Remove(auditor); err != nil {
		t.Fatal(err)
	}
	if err := r.Keys[harness.Auditor].Save(auditor); err != nil {
		t.Fatal(err)
	}
	cli := func(args ...string) harness.Ran {
		return harness.Command(t, harness.Binaries(t), m.Home, append(args, "--key", auditor)...)
	}
	stop := func(empty ...string) {
		t.Helper()
		if err := m.Down(); err != nil {
			t.Fatal(err)
		}
		for _, name := range empty {
			m.Empty(name)
		}
	}

	stop("coordinator-2", "coordinator-3")
	r.Recover("coordinator-1", nil, 0, nil)
	if got, err := r.Query(t.Context(), harness.Analyst, harness.Question(4)); err != nil || got.Verdict != answer.Refused {
		t.Errorf("before all resumed: %v %+v", err, got.Answer)
	}
	r.Resume()
	if again := r.Released(harness.Question(2).SQL); again.Answer.Receipt.ID != late.Answer.Receipt.ID {
		t.Error("the survivor knew the release, and now there is another")
	}
	for _, a := range []harness.Answered{early, late} {
		r.Verified(a.Receipt)
	}
	if ran := cli("log", "verify"); ran.Code != 0 {
		t.Errorf("nothing was lost: %s%s", ran.Out, ran.Err)
	}

	stop("coordinator-1", "coordinator-2", "coordinator-3")
	header, sealed, err := backup.Open(bytes.NewReader(kept))
	if err != nil {
		t.Fatal(err)
	}
	r.Recover("coordinator-2", &membership.Checkpoint{Size: header.Size, Root: header.Root}, header.Number+1, sealed)
	r.Resume()
	r.Verified(early.Receipt)
	if ran := cli("receipt", "verify", "late", "--any-manifest"); ran.Code != 0 {
		t.Errorf("offline the receipt is good: %s%s", ran.Out, ran.Err)
	}
	for _, args := range [][]string{{"receipt", "verify", "late", "--any-manifest", "--log"}, {"log", "verify"}} {
		if ran := cli(args...); ran.Code != 1 || !strings.Contains(ran.Out+ran.Err, "not in the log") && args[0] == "receipt" || !strings.Contains(ran.Out+ran.Err, "signed a recovery") {
			t.Errorf("%v: exit code %d: %s%s", args, ran.Code, ran.Out, ran.Err)
		}
	}
	if ran := cli("status"); !strings.Contains(ran.Out, "recovered") {
		t.Errorf("status does not tell: %s", ran.Out)
	}
	if ran := cli("log", "entries", "--limit", "1000"); !strings.Contains(ran.Out, "recover") {
		t.Errorf("the log does not tell: %s", ran.Out)
	}
	r.Released(harness.Question(6).SQL)
	setBack(t, m, r, cli)
}

// setBack brings back an old disk of one coordinator, which does no harm while the others have theirs, and then of all.
func setBack(t *testing.T, m *harness.Mesh, r *harness.Room, cli func(...string) harness.Ran) {
	t.Helper()
	before := r.Checkpoint(client.Checkpoint{})
	disks := copies(t, m)
	lost := r.Released(harness.Question(8).SQL)
	if err := os.WriteFile(filepath.Join(m.Home, "receipts", "lost.json"), lost.Receipt, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"early", "late"} {
		if err := os.Remove(filepath.Join(m.Home, "receipts", name+".json")); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.RemoveAll(filepath.Join(m.Home, "checkpoints")); err != nil { // what the participants gave up when they signed
		t.Fatal(err)
	}
	back := func(names ...string) {
		t.Helper()
		if err := m.Down(); err != nil {
			t.Fatal(err)
		}
		disks(names...)
		m.Again()
	}
	back("coordinator-1")
	r.Checkpoint(before)
	if ran := cli("receipt", "verify", "lost", "--any-manifest", "--log"); ran.Code != 0 {
		t.Errorf("one old disk of three: %s%s", ran.Out, ran.Err)
	}
	back()
	for _, args := range [][]string{{"receipt", "verify", "lost", "--any-manifest", "--log"}, {"log", "verify"}} {
		if ran := cli(args...); ran.Code != 1 || !strings.Contains(ran.Out+ran.Err, "nobody signed a recovery") {
			t.Errorf("%v: exit code %d: %s%s", args, ran.Code, ran.Out, ran.Err)
		}
	}
}
