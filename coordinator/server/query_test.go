package server_test

import (
	"errors"
	"net/http"
	"slices"
	"testing"

	"connectrpc.com/connect"

	"concordat.dev/protocol/answer"
	"concordat.dev/protocol/canon"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/receipt"
)

func TestQueryIsReleasedWithAReceiptThatVerifies(t *testing.T) {
	m := ready(t, 2, nil)
	for i := range 3 { // every coordinator takes queries
		got, err := m.as("ann", i).query("SELECT count(*) /* "+string(rune('a'+i))+" */", nil)
		must(t, err)
		if got.Verdict != answer.Released || got.Receipt == nil || len(got.Price) != 2 {
			t.Fatalf("%+v", got.Answer)
		}
		if want := []string{"analyse", "reserve", "execute", "record"}; !slices.Equal(got.phases, want) {
			t.Errorf("phases %v", got.phases)
		}
		for _, p := range got.Price {
			if left := 1 - 0.1*float64(i+1); p.Rho != 0.1 || *p.RemainingRho < left-1e-8 || *p.RemainingRho > left+1e-8 || *p.AboutMore != int64(9-i) || *p.EpsilonSpent <= 0 {
				t.Errorf("price %+v: remaining %v, about %v more", p, *p.RemainingRho, *p.AboutMore)
			}
		}
		verify(t, m, got)
	}
}

// verify checks a receipt as a stranger does who knows the manifest.
func verify(t *testing.T, m *mesh, got reply) {
	t.Helper()
	r, err := receipt.Parse(got.receipt)
	must(t, err)
	report := receipt.Verify(r, receipt.Options{Manifest: canon.Sum(r.Manifest)})
	if !report.OK() {
		t.Fatalf("%s", report)
	}
	if report.Release.Query != got.Receipt.ID || r.Index != got.Receipt.LogIndex {
		t.Errorf("the receipt is of %s at %d, the answer names %+v", report.Release.Query, r.Index, got.Receipt)
	}
	result, err := got.Result().Marshal()
	must(t, err)
	if string(result) != string(r.Result) {
		t.Errorf("the receipt is for another result:\n%s\n%s", result, r.Result)
	}
	fetched, err := m.as("ann", 1).Receipt(m.ctx(), connect.NewRequest(&concordatv1.ReceiptRequest{Collaboration: room, Id: got.QueryID}))
	must(t, err)
	later, err := receipt.Parse(fetched.Msg.GetReceipt())
	must(t, err)
	if report := receipt.Verify(later, receipt.Options{Manifest: canon.Sum(r.Manifest)}); !report.OK() {
		t.Errorf("fetched later: %s", report)
	}
}

func TestSameQuestionIsFreeAndTheSameRelease(t *testing.T) {
	m := ready(t, 1, nil)
	first, err := m.as("ann", 0).query("SELECT count(*)", nil)
	must(t, err)
	again, err := m.as("ann", 1).query("select COUNT(*)", nil) // other text, same question
	must(t, err)
	if n := m.workers[0].executions.Load(); n != 1 {
		t.Errorf("executed %d times", n)
	}
	if again.Verdict != answer.Released || *again.Receipt != *first.Receipt || again.QueryID == first.QueryID {
		t.Errorf("%+v %+v", first, again)
	}
	for _, p := range again.Price {
		if p.Rho != 0 || *p.RemainingRho != 0.9 {
			t.Errorf("the second asking cost %v, %v remain", p.Rho, *p.RemainingRho)
		}
	}
	verify(t, m, again)

	cheaper, err := m.as("ann", 2).query("SELECT count(*)", func(r *concordatv1.QueryRequest) { r.Explain = true })
	must(t, err)
	if !cheaper.Explained || cheaper.Receipt != nil || len(cheaper.Rows) != 0 || m.workers[0].executions.Load() != 1 {
		t.Errorf("explain touched data: %+v", cheaper)
	}
}

func TestIdempotencyKeyIsOneRequest(t *testing.T) {
	m := ready(t, 1, nil)
	ask := func(at int, sql string) (reply, error) {
		return m.as("ann", at).query(sql, func(r *concordatv1.QueryRequest) { r.IdempotencyKey = "k" })
	}
	first, err := ask(0, "SELECT 1")
	must(t, err)
	second, err := ask(1, "SELECT 1")
	must(t, err)
	if first.QueryID != second.QueryID || second.Price[0].Rho != 0.1 || *second.Price[0].RemainingRho != 0.9 {
		t.Errorf("%+v\n%+v", first.Answer, second.Answer)
	}
	if _, err := ask(2, "SELECT 2"); connect.CodeOf(err) != connect.CodeAlreadyExists {
		t.Errorf("another request under the same key: %v", err)
	}
}

func TestBudgetExhaustionNamesTheOwnerAndChargesNobody(t *testing.T) {
	m := ready(t, 1, nil)
	p := m.as("ann", 0)
	expensive := func(rho float64) func(*concordatv1.QueryRequest) {
		return func(r *concordatv1.QueryRequest) { r.Rho = rho }
	}
	_, err := p.query("SELECT 1", expensive(0.9))
	must(t, err)
	for name, change := range map[string]func(*concordatv1.QueryRequest){
		"query":   expensive(0.2),
		"explain": func(r *concordatv1.QueryRequest) { r.Rho, r.Explain = 0.2, true },
	} {
		got, err := p.query("SELECT 2", change)
		must(t, err)
		if got.Verdict != answer.Refused || got.Refusals[0].Code != answer.BudgetExhausted || got.Refusals[0].Owner != "clinic" || len(got.Rows) != 0 {
			t.Errorf("%s: %+v", name, got.Answer)
		}
	}
	if n := m.workers[0].executions.Load(); n != 1 {
		t.Errorf("executed %d times", n)
	}
	exactly, err := p.query("SELECT 3", expensive(0.1))
	must(t, err)
	if exactly.Verdict != answer.Released || *exactly.Price[0].RemainingRho != 0 {
		t.Errorf("the rest of the budget: %+v", exactly.Answer)
	}
}

func TestRefusalsOfTheCoordinator(t *testing.T) {
	m := newMesh(t, 1)
	check := func(name string, code answer.Code, who, sql string) {
		t.Helper()
		got, err := m.as(who, 0).query(sql, nil)
		must(t, err)
		if got.Verdict != answer.Refused || len(got.Refusals) == 0 || got.Refusals[0].Code != code || got.Refusals[0].Suggestion == "" && code != answer.HiddenColumn {
			t.Errorf("%s: %+v", name, got.Answer)
		}
	}
	s := m.manifest(1, nil)
	_, err := m.propose("clinic", 1, s)
	must(t, err)
	check("not in force yet", answer.NotPermitted, "ann", "SELECT 1")
	for _, who := range []string{"clinic", "registry"} {
		_, err = m.sign(who, 0, 1, s.Digest())
		must(t, err)
	}
	check("a steward", answer.NotPermitted, "dana", "SELECT 1")
	check("an organisation", answer.NotPermitted, "clinic", "SELECT 1")
	check("no data", answer.DatasetMissing, "ann", "SELECT 1")
	check("a worker's refusal", answer.HiddenColumn, "ann", "SELECT forbidden")
	if got, err := m.as("stranger", 0).query("SELECT 1", nil); connect.CodeOf(err) != connect.CodeUnauthenticated {
		t.Errorf("stranger: %+v %v", got, err)
	}
	if got, err := m.as("", 0).query("SELECT 1", nil); connect.CodeOf(err) != connect.CodeUnauthenticated {
		t.Errorf("unsigned: %+v %v", got, err)
	}
}

func TestWorkerDiesAndAnotherTakesOver(t *testing.T) {
	m := ready(t, 2, nil)
	dies := func() error { panic(http.ErrAbortHandler) }
	m.workers[0].fate.Store(dies)
	for range 4 {
		got, err := m.as("ann", 0).query("SELECT 1", func(r *concordatv1.QueryRequest) { r.Sql += got4(r.GetIdempotencyKey()) })
		must(t, err)
		if got.Verdict != answer.Released {
			t.Fatalf("%+v", got.Answer)
		}
	}
}

func got4(key string) string { return " -- " + key[:4] }

func TestFailureStaysChargedAndIsConstant(t *testing.T) {
	m := ready(t, 1, nil)
	p := m.as("ann", 0)
	fate := func() error { return connect.NewError(connect.CodeInternal, errors.New("row 17 holds 4711")) }
	m.workers[0].fate.Store(fate)
	failed, err := p.query("SELECT 1", nil)
	must(t, err)
	if failed.Verdict != answer.Failed || failed.Failure == nil || failed.Failure.Incident == "" || len(failed.receipt) > 0 || failed.Receipt != nil {
		t.Fatalf("%+v", failed.Answer)
	}
	if failed.Price[0].Rho != 0.1 || *failed.Price[0].RemainingRho != 0.9 {
		t.Errorf("a failed query must stay charged: %+v", failed.Price[0])
	}
	fate = nil
	m.workers[0].fate.Store(fate)
	again, err := p.query("SELECT 1", nil) // it was paid, and gives the one release that it has
	must(t, err)
	if again.Verdict != answer.Released || again.Price[0].Rho != 0 || *again.Price[0].RemainingRho != 0.9 {
		t.Errorf("%+v", again.Answer)
	}
	verify(t, m, again)
}
