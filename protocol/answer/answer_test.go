package answer_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"concordat.dev/protocol/answer"
	"concordat.dev/protocol/canon"
)

func ptr[T any](v T) *T { return &v }

func released() answer.Answer {
	return answer.Answer{
		Verdict: answer.Released, QueryID: "q1",
		Columns:   []answer.Column{{Name: "sex", Type: "varchar", Kind: answer.Key}, {Name: "n", Type: "bigint", Kind: answer.Aggregate}},
		Rows:      [][]any{{"<a>", int64(120)}, {nil, int64(7)}},
		Intervals: [][]*answer.Interval{{nil, {86, 154}}, {nil, {0, 41}}},
		Mechanism: "differential_privacy", WithheldPossible: true,
		Price:   []answer.Price{{Owner: "clinic", Namespace: "patient", Rho: 0.005, RemainingRho: ptr(0.495), EpsilonSpent: ptr(0.4)}},
		Receipt: &answer.ReceiptRef{ID: "r1", LogIndex: 12},
	}
}

func TestContract(t *testing.T) {
	want := `{"verdict":"released","query_id":"q1","refusals":[],"columns":[{"name":"sex","type":"varchar","kind":"key"},{"name":"n","type":"bigint","kind":"aggregate"}],` +
		`"rows":[["<a>",120],[null,7]],"intervals":[[null,[86,154]],[null,[0,41]]],"mechanism":"differential_privacy","withheld_possible":true,` +
		`"price":[{"owner":"clinic","namespace":"patient","rho":0.005,"remaining_rho":0.495,"epsilon_spent":0.4}],"receipt":{"id":"r1","log_index":12},"notes":[]}`
	got, err := released().MarshalJSON()
	if err != nil || string(got) != want {
		t.Fatalf("%v\n got %s\nwant %s", err, got, want)
	}
	refused := answer.Answer{Verdict: answer.Refused, Refusals: []answer.Refusal{{Code: answer.Grain, Span: &answer.Span{Start: 7, End: 12}}}}
	got, err = refused.MarshalJSON()
	if err != nil || !strings.Contains(string(got), `"rows":[]`) || !strings.Contains(string(got), `"receipt":null`) || !strings.Contains(string(got), `"span":{"start":7,"end":12}`) {
		t.Fatal(string(got), err)
	}
}

func TestResultDigestSurvivesTheWire(t *testing.T) {
	a := released()
	a.Rows = [][]any{{"x", 0.1}, {"y", int64(3)}}
	b, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	back, err := answer.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	first, err1 := a.Result().Marshal()
	second, err2 := back.Result().Marshal()
	if err1 != nil || err2 != nil || string(first) != string(second) {
		t.Fatalf("%s %v\n%s %v", first, err1, second, err2)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, bad := range []string{``, `{"verdict":"released","x":1}`, `{"verdict":"released"}{}`, `[]`} {
		if _, err := answer.Parse([]byte(bad)); err == nil {
			t.Errorf("accepted %s", bad)
		}
	}
}

func TestExitCodes(t *testing.T) {
	for v, code := range map[answer.Verdict]int{answer.Released: 0, answer.Refused: 3, answer.Failed: 1, "": 1} {
		if v.ExitCode() != code {
			t.Errorf("%q: %d", v, v.ExitCode())
		}
	}
}

// The vectors are read by TypeScript too.
func TestVectors(t *testing.T) {
	raw, err := os.ReadFile("../testdata/answer.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Name, Answer, Result string
		Digest               canon.Digest
	}
	if err := json.Unmarshal(raw, &vectors); err != nil {
		t.Fatal(err)
	}
	for _, v := range vectors {
		a, err := answer.Parse([]byte(v.Answer))
		if err != nil {
			t.Fatal(v.Name, err)
		}
		r, err := a.Result().Marshal()
		if err != nil || string(r) != v.Result || canon.Sum(r) != v.Digest {
			t.Errorf("%s: %s %s %v", v.Name, r, canon.Sum(r), err)
		}
	}
}
