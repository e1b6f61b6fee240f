package integration_test

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"concordat.dev/integration/harness"
	"concordat.dev/protocol/answer"
	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	keys "concordat.dev/protocol/key"
	"concordat.dev/protocol/statement"
	"concordat.dev/ui/client"
)

// TestGovernance takes one collaboration through what happens to those who made it: an organisation gets another key, owners want to see plans
// before they run, an organisation leaves, and another ends it all: what was destroyed is in no file of the mesh.
func TestGovernance(t *testing.T) {
	m := harness.Up(t)
	r := m.Agree(harness.StudyRoom(), harness.Generous)
	r.UploadStudy("clinic.patients", "registry.events")
	matches(t, r)
	question := harness.Question(0).SQL
	first := r.Released(question)
	spent := r.Budgets()

	rotate(t, r, "clinic")
	again := r.Released(question)
	if !slices.EqualFunc(first.Rows, again.Rows, slices.Equal) {
		t.Errorf("after the key was replaced the question has another release: %v, %v", first.Rows, again.Rows)
	}
	if now := r.Budgets(); !slices.EqualFunc(now, spent, func(a, b harness.Budget) bool { return a.Owner == b.Owner && a.SpentRho == b.SpentRho }) {
		t.Errorf("a replaced key changed budgets: %+v, %+v", spent, now)
	}

	next := r.Version(func(b *document.Bundle) { b.Manifest.Review = document.ReviewPlan })
	inForce(t, r, next, nil)
	asked, err := r.Query(t.Context(), harness.Analyst, harness.Question(2))
	if err != nil || asked.Verdict != answer.Refused {
		t.Fatalf("a plan that nobody approved: %v %+v", err, asked.Answer)
	}
	plan := waiting(t, r)
	says(t, r, harness.StewardOf("clinic"), statement.ApprovePlan, func(s *statement.Statement) { s.Subject = plan })
	r.Verified(r.Released(harness.Question(2).SQL).Receipt)

	kept, samples := sealedObjects(t, m), sealedSamples(t, m)
	if len(kept) != 2 {
		t.Fatalf("two datasets have the objects %v", kept)
	}
	says(t, r, "clinic", statement.Leave, nil)
	until(t, func() bool { return len(sealedObjects(t, m)) == 1 })
	if got, err := r.Query(t.Context(), harness.Analyst, harness.Question(2)); err == nil && got.Verdict == answer.Released {
		t.Errorf("an answer from data of an organisation that left: %+v", got.Answer)
	} else if code := connect.CodeOf(err); err != nil && code != connect.CodePermissionDenied && code != connect.CodeFailedPrecondition && code != connect.CodeAborted {
		t.Errorf("after it left: %v", err)
	}
	kinds := map[string]bool{}
	for _, e := range r.Entries(0) {
		kinds[e.Kind] = true
	}
	for _, kind := range []string{"approve_plan", "leave", "delete"} {
		if !kinds[kind] {
			t.Errorf("the log has no %s", kind)
		}
	}

	says(t, r, "registry", statement.Revoke, nil)
	until(t, func() bool { return len(sealedObjects(t, m)) == 0 })
	for name, sample := range samples {
		if files := holding(t, m.Home, sample); len(files) > 0 {
			t.Errorf("after the revocation %v hold bytes of %s", files, name)
		}
	}
	if got, err := r.As("registry").Documents(t.Context(), r.ID(), 0); err != nil || got.State != "revoked" {
		t.Errorf("the manifest is %s: %v", got.State, err)
	}
	if got, err := r.Query(t.Context(), harness.Analyst, harness.Question(4)); err == nil && got.Verdict == answer.Released {
		t.Errorf("an answer under a manifest that was revoked: %+v", got.Answer)
	}
}

// matches has the analyst ask for the band of the share that two datasets have in common, by command, twice: the second time is free.
func matches(t *testing.T, r *harness.Room) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "analyst.key")
	if err := r.Keys[harness.Analyst].Save(file); err != nil {
		t.Fatal(err)
	}
	var spent []harness.Budget
	for i := range 2 {
		ran := harness.Command(t, r.Mesh.Bin(), r.Mesh.Home, "dataset", "match", "clinic.patients", "registry.events", "--key", file)
		if ran.Code != 0 || !strings.Contains(ran.Out, "% of the units of clinic.patients are in registry.events") && !strings.Contains(ran.Out, "unknown share") {
			t.Fatalf("dataset match: exit code %d: %s%s", ran.Code, ran.Out, ran.Err)
		}
		now := r.Budgets()
		if i == 1 && !slices.EqualFunc(now, spent, func(a, b harness.Budget) bool { return a.SpentRho == b.SpentRho }) {
			t.Errorf("the same match was charged again: %+v, %+v", spent, now)
		}
		spent = now
	}
}

// sealedSamples are bytes from within the sealed objects.
func sealedSamples(t *testing.T, m *harness.Mesh) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	err := filepath.WalkDir(m.Home, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !slices.ContainsFunc(sealedObjects(t, m), func(o string) bool { return strings.HasSuffix(name, filepath.FromSlash(o)) }) {
			return err
		}
		b, err := os.ReadFile(name) //nolint:gosec // G304, G122: of the test's mesh
		if len(b) > 256 {
			out[name] = b[len(b)/2 : len(b)/2+64]
		}
		return err
	})
	if err != nil || len(out) == 0 {
		t.Fatalf("no sealed bytes were found: %v", err)
	}
	for name, sample := range out {
		if len(holding(t, m.Home, sample)) == 0 {
			t.Fatalf("the search does not find %s", name)
		}
	}
	return out
}

// holding are the files below a folder that hold some bytes.
func holding(t *testing.T, folder string, sample []byte) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(folder, func(name string, d fs.DirEntry, err error) error {
		if os.IsNotExist(err) || err == nil && !d.Type().IsRegular() {
			return nil // it went away while we looked
		}
		b, err := os.ReadFile(name) //nolint:gosec // G304, G122: of the test's mesh
		if os.IsNotExist(err) {
			return nil
		}
		if bytes.Contains(b, sample) {
			out = append(out, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// inForce has all participants sign documents, and whoever else has to.
func inForce(t *testing.T, r *harness.Room, d client.Documents, also map[string]keys.Private) {
	t.Helper()
	if _, err := r.Propose(r.Keys[d.Manifest.Participants[0].ID], d); err != nil {
		t.Fatal(err)
	}
	state := ""
	for _, p := range d.Manifest.Participants {
		status, err := r.Sign(p.ID, d)
		if err != nil {
			t.Fatal(err)
		}
		state = status.GetState()
	}
	for participant, k := range also {
		if state == "active" {
			t.Errorf("in force without the new key of %s", participant)
		}
		envelope, err := statement.Sign(d.Statement(statement.Approve), k)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := envelope.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		status, err := r.SubmitApproval(participant, raw)
		if err != nil {
			t.Fatal(err)
		}
		state = status.GetState()
	}
	if state != "active" {
		t.Fatalf("signed by all, the manifest is %s", state)
	}
	r.Documents = d
}

// rotate gives a participant another key, which the old one and the new one sign.
func rotate(t *testing.T, r *harness.Room, participant string) {
	t.Helper()
	fresh := harness.NewKey(t)
	d := r.Version(func(b *document.Bundle) {
		i := slices.IndexFunc(b.Manifest.Participants, func(p document.Participant) bool { return p.ID == participant })
		b.Manifest.Participants[i].Keys = []string{fresh.Public().String()}
	})
	inForce(t, r, d, map[string]keys.Private{participant: fresh})
	r.Replace(participant, fresh)
}

// waiting is the digest of the one plan that waits for approval.
func waiting(t *testing.T, r *harness.Room) canon.Digest {
	t.Helper()
	res, err := client.Unary(t.Context(), r.As(harness.StewardOf("clinic")), &concordatv1.ListPlansRequest{Collaboration: r.ID()}, client.Services.ListPlans)
	if err != nil {
		t.Fatal(err)
	}
	var plans []struct {
		Plan  canon.Digest `json:"plan"`
		State string       `json:"state"`
	}
	if err := json.Unmarshal(res.GetPlans(), &plans); err != nil || len(plans) != 1 || plans[0].State != "pending" {
		t.Fatalf("%v: %s", err, res.GetPlans())
	}
	return plans[0].Plan
}

// says signs a statement about the room in somebody's name and hands it in.
func says(t *testing.T, r *harness.Room, who string, action statement.Action, edit func(*statement.Statement)) {
	t.Helper()
	nonce := make([]byte, 16)
	_, _ = rand.Read(nonce)
	s := r.Documents.Statement(action)
	s.Nonce, s.Issued, s.Reason = hex.EncodeToString(nonce), time.Now().UTC().Format(time.RFC3339), "because"
	if edit != nil {
		edit(&s)
	}
	envelope, err := statement.Sign(s, r.Keys[who])
	if err != nil {
		t.Fatal(err)
	}
	raw, err := envelope.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Unary(t.Context(), r.As(who), &concordatv1.SubmitStatementRequest{Collaboration: r.ID(), Statement: raw}, client.Services.SubmitStatement); err != nil {
		t.Fatal(err)
	}
}
