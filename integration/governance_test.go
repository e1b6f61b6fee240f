package integration_test

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"slices"
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
// before they run, and an organisation leaves.
func TestGovernance(t *testing.T) {
	m := harness.Up(t)
	r := m.Agree(harness.StudyRoom(), harness.Generous)
	r.UploadStudy("clinic.patients")
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

	says(t, r, "clinic", statement.Leave, nil)
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
