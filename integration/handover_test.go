package integration_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"concordat.dev/integration/harness"
	"concordat.dev/protocol/answer"
	"concordat.dev/protocol/document"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/ui/client"
	"connectrpc.com/connect"
)

// TestHandover hands a ledger with data and history over to a mesh of another build, under queries, and through a crash of each mesh.
func TestHandover(t *testing.T) { handOver(t, false) }

// handOver links all binaries anew where it is to be whole, and gives what it handed over.
func handOver(t *testing.T, whole bool) *handing {
	m := harness.Up(t)
	r := m.Agree(harness.StudyRoom(), harness.Generous)
	r.UploadStudy("clinic.patients", "registry.events")
	second := m.Agree(harness.StudyRoom(), func(b *document.Bundle) { harness.Generous(b); b.Manifest.Collaboration = "second" })
	h := &handing{t: t, old: m, room: r, second: second, question: handoverQuestion, founder: filepath.Join(t.TempDir(), "founder.key")}
	if err := m.Founder.Save(h.founder); err != nil {
		t.Fatal(err)
	}
	h.remember()
	h.next = m.Beside(harness.NextBuild(t, whole), 3, 2)
	for name, measured := range h.next.State().Executables {
		if was := m.State().Executables[name]; (was == measured) != (name == "marblerun-coordinator") {
			t.Errorf("%s measures %s in one mesh, %s in the other", name, was, measured)
		}
	}
	h.refusedUnsigned()
	h.drafts()
	asking, enough := context.WithCancel(t.Context())
	defer enough()
	queries := begin(asking, r, 0, 10_000, 2)
	queries.until(20)
	h.agree()
	h.refusedElsewhere()
	h.crashes()
	h.runs(0)
	h.runs(0) // again: nothing changes
	enough()
	h.settled(queries)
	h.same()
	h.goesOn()
	h.oldRefuses()
	return h
}

// handing is what a ledger was before it went to another mesh, to be found there.
type handing struct {
	t         *testing.T
	old, next *harness.Mesh
	room      *harness.Room
	second    *harness.Room // another collaboration, which has to agree too
	founder   string        // file of the key
	question  string
	before    harness.Answered
	log       client.Checkpoint
	was       client.Documents
	spent     []harness.Budget
}

const (
	handoverQuestion = "SELECT male, count(DISTINCT id) AS patients FROM clinic.patients GROUP BY male"
	handoverJoin     = "SELECT c.male, count(DISTINCT c.id) AS patients FROM clinic.patients c JOIN registry.events e ON e.id = c.id GROUP BY c.male"
)

func (h *handing) remember() {
	h.before = h.room.Released(h.question)
	h.room.Verified(h.before.Receipt)
	h.was = h.room.Documents
	h.log = h.room.Checkpoint(client.Checkpoint{})
}

// runs runs the command of the operator.
func (h *handing) runs(code int, more ...string) string {
	h.t.Helper()
	got := harness.Command(h.t, h.next.Bin(), h.old.Home, append([]string{"mesh", "handover", "--to", h.next.Home, "--key", h.founder}, more...)...)
	if got.Code != code {
		h.t.Fatalf("mesh handover: exit code %d, want %d\n%s%s", got.Code, code, got.Out, got.Err)
	}
	return got.Out + got.Err
}

func (h *handing) refusedUnsigned() {
	said(h.t, h.runs(1), "not all collaborations agreed", h.room.ID()+": no version is proposed that pins a successor of this mesh")
}

// drafts has the command write the next version's number and pins into a manifest directory, and nothing else.
func (h *handing) drafts() {
	dir := h.t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(harness.StudyRoom())); err != nil {
		h.t.Fatal(err)
	}
	h.runs(0, "--draft", dir)
	b, err := document.LoadDir(dir)
	if err != nil {
		h.t.Fatal(err)
	}
	if want := h.next.State().SuccessorPins(h.old.State().Pins()); b.Manifest.Version != 2 || !reflect.DeepEqual(*b.Manifest.Mesh, want) {
		h.t.Errorf("the draft is version %d and pins %+v, want %+v", b.Manifest.Version, b.Manifest.Mesh, want)
	}
	h.verifies(0, h.next, dir, "waits for that of another mesh")
	h.verifies(1, h.old, dir, "FAILED   coordinator")
}

// verifies runs what a participant runs before it signs.
func (h *handing) verifies(code int, m *harness.Mesh, dir, says string) {
	h.t.Helper()
	at := m.State()
	got := harness.Command(h.t, h.next.Bin(), h.t.TempDir(), "mesh", "verify", dir, "--coordinator", at.Coordinators[0].API, "--marblerun", at.MarbleRun.Clients)
	if got.Code != code || !strings.Contains(got.Out, says) {
		h.t.Errorf("mesh verify: exit code %d, want %d\n%s%s", got.Code, code, got.Out, got.Err)
	}
}

// agree has all sign a version that pins the new mesh; until the last one did, nothing is handed over, and queries go on under the version before.
func (h *handing) agree() {
	h.sign(h.room, true)
	said(h.t, h.runs(1), "not all collaborations agreed: second: no version is proposed")
	if got := h.room.Released(h.question); !reflect.DeepEqual(got.Rows, h.before.Rows) {
		h.t.Errorf("between agreement and handover the question has %v, had %v", got.Rows, h.before.Rows)
	}
	h.sign(h.second, false)
}

// sign has all of a collaboration sign; with tries, the command is refused before the last one did.
func (h *handing) sign(r *harness.Room, tries bool) {
	pins := h.next.State().SuccessorPins(h.old.State().Pins())
	next := r.Version(func(b *document.Bundle) { b.Manifest.Mesh = &pins })
	if _, err := r.Propose(r.Keys["clinic"], next); err != nil {
		h.t.Fatal(err)
	}
	all := next.Manifest.Participants
	for i, p := range all {
		if tries && i == len(all)-1 {
			said(h.t, h.runs(1), fmt.Sprintf("version %d is not signed by %s", next.Manifest.Version, p.ID))
		}
		if _, err := r.Sign(p.ID, next); err != nil {
			h.t.Fatal(err)
		}
	}
	r.Become(next)
}

// refusedElsewhere tries a mesh that waits as well, of the same programs, which nobody signed for.
func (h *handing) refusedElsewhere() {
	other := h.old.Beside(h.next.Bin(), 1, 1)
	to := h.next
	h.next = other
	said(h.t, h.runs(1), "not the mesh that the manifests pin as successor", "mesh.root_certificate")
	h.next = to
	if err := other.Down(); err != nil {
		h.t.Error(err)
	}
	h.room.Released(h.question) // and work goes on at once
}

// crashes takes the steps of the command one by one, and crashes between them: a mesh that stopped deciding stays so, and the new one decides
// nothing before it has all.
func (h *handing) crashes() {
	founder := h.old.Client(h.old.Founder)
	successor := h.next.Successor()
	over := func(ctx context.Context, s client.Services) error {
		stream, err := s.HandOver(ctx, connect.NewRequest(&concordatv1.HandOverRequest{Successor: successor, DrainSeconds: 5}))
		if err != nil {
			return err
		}
		for stream.Receive() {
		}
		return stream.Err()
	}
	if err := founder.Do(h.t.Context(), over); err != nil {
		h.t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); h.room.As(harness.Analyst).Pin() != h.next.State().RootCertificate; { // who asks hears where to
		if time.Now().After(end) {
			h.t.Fatal("nobody was sent on to the new mesh")
		}
		<-time.After(10 * time.Millisecond)
	}
	for _, p := range h.old.State().Processes { // the old mesh dies as it has stopped deciding, and comes back
		h.old.Kill(p.Name)
	}
	if err := h.old.Down(); err != nil {
		h.t.Fatal(err)
	}
	h.old.Again()
	h.undecided(h.old)
	h.undecided(h.next)
	leader := h.next.Leader()
	h.next.Kill(leader) // the new one loses its leader, and a worker, before it has anything
	h.next.Kill("worker-1")
	h.next.Return(leader)
	h.next.Return("worker-1")
	h.undecided(h.next)
}

// errOnce ends a call that is not to be tried again.
var errOnce = errors.New("once")

// undecided asks every coordinator of a mesh once for a decision, and expects none.
func (h *handing) undecided(m *harness.Mesh) {
	h.t.Helper()
	s := m.State()
	for _, c := range s.Coordinators {
		one, err := client.New(client.Config{Addresses: []string{c.API}, Root: s.RootCertificate, Key: h.room.Keys[harness.Analyst], Ledger: h.old.State().Ledger})
		if err != nil {
			h.t.Fatal(err)
		}
		request := &concordatv1.QueryRequest{Collaboration: h.room.ID(), Sql: h.question, IdempotencyKey: client.NewIdempotencyKey()}
		_ = one.Do(h.t.Context(), func(ctx context.Context, s client.Services) error {
			stream, err := s.Query(ctx, connect.NewRequest(request))
			for err == nil && stream.Receive() {
				err = stream.Err()
			}
			if err == nil {
				err = stream.Err()
			}
			if connect.CodeOf(err) != connect.CodeUnavailable {
				h.t.Errorf("%s decides: %v", c.Name, err)
			}
			return errOnce
		})
	}
}

// settled expects that none of the questions that were asked all the while was lost.
func (h *handing) settled(s *storm) {
	for _, a := range s.wait() {
		if a.err != nil && !a.abandoned {
			h.t.Errorf("after %s: %s: %v", a.end.Sub(a.from), a.SQL, a.err)
		}
	}
	longest, median := slowest(s.all)
	h.t.Logf("median %s; longest wait of a query %s", median, longest)
}

// same expects the ledger at the new mesh as it was: documents, log, receipts, budgets, and the same answer to the same question.
func (h *handing) same() {
	t := h.t
	r := h.room
	h.log = r.Checkpoint(h.log)
	h.spent = r.Budgets()
	again := r.Released(h.question)
	if !reflect.DeepEqual(again.Rows, h.before.Rows) || !reflect.DeepEqual(again.Intervals, h.before.Intervals) {
		t.Errorf("the same question had %v, now has %v", h.before.Rows, again.Rows)
	}
	if string(again.Receipt) == "" || again.Answer.Receipt.ID != h.before.Answer.Receipt.ID {
		t.Errorf("the same release had receipt %+v, now %+v", h.before.Answer.Receipt, again.Answer.Receipt)
	}
	if now := r.Budgets(); !reflect.DeepEqual(now, h.spent) {
		t.Errorf("the same question was charged again: %+v, %+v", h.spent, now)
	}
	after := r.Documents
	r.Become(h.was)
	r.Verified(h.before.Receipt) // as before
	r.Verified(again.Receipt)    // told by the new mesh, against the version that pinned the old one
	r.Become(after)
}

// goesOn expects new work at the new mesh: another text over the same release has the same noise, data that come now join with those that came
// before, and new receipts hold against the version that pins it.
func (h *handing) goesOn() {
	t, r := h.t, h.room
	same := r.Released("SELECT male, count(DISTINCT id) + 0 AS patients FROM clinic.patients GROUP BY male")
	if !reflect.DeepEqual(same.Rows, h.before.Rows) {
		t.Errorf("the same release under another text has %v, had %v", same.Rows, h.before.Rows)
	}
	joined := r.Released(handoverJoin)
	r.Verified(joined.Receipt)
	if now := r.Budgets(); reflect.DeepEqual(now, h.spent) {
		t.Error("a new question was not charged")
	}
	r.UploadStudy("clinic.patients") // tokens of the mesh before are those of this one
	fresh := r.Released(handoverJoin)
	r.Verified(fresh.Receipt)
	if a, b := first(joined), first(fresh); b == 0 || a/b > 1.5 || b/a > 1.5 {
		t.Errorf("the join had %v, and with data uploaded anew %v", joined.Rows, fresh.Rows)
	}
	h.commands()
	for _, name := range []string{h.next.Leader(), "worker-1", "worker-2"} { // what it inherited is there after a restart too
		if err := h.next.Restart(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	r.Released("SELECT c.male, count(DISTINCT c.id) AS patients FROM clinic.patients c WHERE c.age >= 30 GROUP BY c.male")
}

// first is the number in the first row.
func first(a harness.Answered) float64 {
	if len(a.Rows) == 0 || len(a.Rows[0]) < 2 {
		return 0
	}
	n, err := strconv.ParseFloat(fmt.Sprint(a.Rows[0][1]), 64)
	if err != nil {
		return 0
	}
	return n
}

// commands runs those that verify, from the old home, which knows where the ledger went.
func (h *handing) commands() {
	t := h.t
	if s := h.old.Reload(); s.Successor != h.next.Home {
		t.Errorf("the old home names %q as successor", s.Successor)
	}
	id := h.room.ID()
	auditor := filepath.Join(t.TempDir(), "auditor.key")
	if err := h.room.Keys[harness.Auditor].Save(auditor); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "receipt.json")
	if err := os.WriteFile(file, h.before.Receipt, 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) string {
		got := harness.Command(t, h.old.Bin(), h.old.Home, args...)
		if got.Code != 0 {
			t.Errorf("concordat %s: exit code %d\n%s%s", strings.Join(args, " "), got.Code, got.Out, got.Err)
		}
		return got.Out
	}
	run("receipt", "verify", file, "--digest", h.was.Digest.String())
	run("log", "verify", "--key", auditor, "-c", id)
	said(t, run("mesh", "verify"), h.next.State().RootCertificate.String())
}

// oldRefuses expects that the old coordinators decide nothing, and send clients on.
func (h *handing) oldRefuses() {
	h.undecided(h.old)
	follower := h.old.Client(h.room.Keys[harness.Analyst])
	reply, err := follower.Query(h.t.Context(), client.Question{Collaboration: h.room.ID(), SQL: h.question}, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	if a, err := answer.Parse(reply.Answer); err != nil || a.Verdict != answer.Released || follower.Pin() != h.next.State().RootCertificate {
		h.t.Errorf("a client of the old mesh: %v %v, at %s", a.Verdict, err, follower.Pin())
	}
	if _, err := h.room.Propose(h.room.Keys["clinic"], h.was); err == nil {
		h.t.Error("the version before was proposed again")
	}
}
