package flight_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/flight/flightsql"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"concordat.dev/coordinator/flight"
	"concordat.dev/protocol/answer"
	"concordat.dev/protocol/document"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
)

// scripted answers as a test says.
type scripted struct {
	asker
	ask func(ctx context.Context, r *concordatv1.QueryRequest) (answer.Answer, []byte, error)
}

func (s *scripted) Ask(ctx context.Context, r *concordatv1.QueryRequest, _ func(string) error) (answer.Answer, []byte, error) {
	return s.ask(ctx, r)
}

// wide is a release of so many groups with a text of so many bytes each.
func wide(groups, bytes int) answer.Answer {
	a := answer.Answer{Verdict: answer.Released, Columns: []answer.Column{
		{Name: "place", Type: "varchar", Kind: answer.Key}, {Name: "n", Type: "bigint", Kind: answer.Aggregate}, {Name: "mean", Type: "double", Kind: answer.Aggregate},
	}}
	for i := range groups {
		a.Rows = append(a.Rows, []any{fmt.Sprintf("%0*d", bytes, i), i, float64(i)})
		a.Intervals = append(a.Intervals, []*answer.Interval{nil, {0, 1}, {0, 1}})
	}
	return a
}

func releases(t testing.TB, released answer.Answer, receipt string) *scripted {
	s := &scripted{ask: func(_ context.Context, r *concordatv1.QueryRequest) (answer.Answer, []byte, error) {
		if r.GetExplain() {
			return answer.Answer{Verdict: answer.Released, Columns: released.Columns}, nil, nil
		}
		return released, []byte(receipt), nil
	}}
	s.rooms = []*document.Bundle{room(t, "room")}
	return s
}

// read takes all messages of a query.
func read(ctx context.Context, c *flightsql.Client, sql string) (messages, rows int, receipt string, err error) {
	found, err := c.Execute(ctx, sql)
	if err != nil {
		return 0, 0, "", err
	}
	r, err := c.DoGet(ctx, found.GetEndpoint()[0].GetTicket())
	if err != nil {
		return 0, 0, "", err
	}
	defer r.Release()
	receipt, _ = r.Schema().Metadata().GetValue("concordat.receipt_json")
	for r.Next() {
		messages, rows = messages+1, rows+int(r.RecordBatch().NumRows())
	}
	return messages, rows, receipt, r.Err()
}

// A client of gRPC takes messages of 4 MiB unless it is told otherwise.
func TestLargeReleases(t *testing.T) {
	address, trust := start(t, releases(t, wide(9_000, 1_000), strings.Repeat("r", 1<<20)))
	c, ctx := client(t, address, trust, "authorization", "Bearer "+token)
	messages, rows, receipt, err := read(ctx, c, "SELECT wide")
	if err != nil || rows != 9_000 || messages < 9 || len(receipt) != 1<<20 {
		t.Errorf("%d rows in %d messages, receipt of %d bytes: %v", rows, messages, len(receipt), err)
	}
	address, trust = start(t, releases(t, wide(1, 1), strings.Repeat("r", 5<<20)))
	c, ctx = client(t, address, trust, "authorization", "Bearer "+token)
	if _, rows, receipt, err := read(ctx, c, "SELECT proof"); err != nil || rows != 1 || receipt != "" {
		t.Errorf("with a receipt that fits into no message: %d rows, receipt of %d bytes: %v", rows, len(receipt), err)
	}
	address, trust = start(t, releases(t, wide(0, 1), "{}"))
	c, ctx = client(t, address, trust, "authorization", "Bearer "+token)
	if _, rows, receipt, err := read(ctx, c, "SELECT nothing"); err != nil || rows != 0 || receipt != "{}" {
		t.Errorf("without groups: %d rows, receipt %q: %v", rows, receipt, err)
	}
}

// A client that gives up ends its query.
func TestGivingUpCancels(t *testing.T) {
	began, ended := make(chan struct{}), make(chan error, 1)
	s := releases(t, wide(1, 1), "{}")
	inner := s.ask
	s.ask = func(ctx context.Context, r *concordatv1.QueryRequest) (answer.Answer, []byte, error) {
		if r.GetExplain() {
			return inner(ctx, r)
		}
		close(began)
		<-ctx.Done()
		ended <- ctx.Err()
		return answer.Answer{}, nil, ctx.Err()
	}
	address, trust := start(t, s)
	c, ctx := client(t, address, trust, "authorization", "Bearer "+token)
	ctx, cancel := context.WithCancel(ctx)
	go func() { <-began; cancel() }()
	if _, _, _, err := read(ctx, c, "SELECT slow"); status.Code(err) != codes.Canceled {
		t.Errorf("the client was told %v", err)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the query ended with %v", err)
	}
}

// A call that panics ends alone.
func TestPanic(t *testing.T) {
	s := releases(t, wide(1, 1), "{}")
	inner := s.ask
	s.ask = func(ctx context.Context, r *concordatv1.QueryRequest) (answer.Answer, []byte, error) {
		if strings.Contains(r.GetSql(), "bad") {
			panic("secret detail")
		}
		return inner(ctx, r)
	}
	address, trust := start(t, s)
	c, ctx := client(t, address, trust, "authorization", "Bearer "+token)
	if _, _, _, err := read(ctx, c, "SELECT bad"); status.Code(err) != codes.Internal || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
	if _, rows, _, err := read(ctx, c, "SELECT good"); err != nil || rows != 1 {
		t.Errorf("after a panic: %d rows, %v", rows, err)
	}
}

// Java takes 8 KiB of headers, and a refusal is one, with every % and line break as three bytes.
func TestRefusalsFit(t *testing.T) {
	s := releases(t, answer.Answer{}, "")
	s.ask = func(_ context.Context, r *concordatv1.QueryRequest) (answer.Answer, []byte, error) {
		a := answer.Answer{Verdict: answer.Refused}
		switch {
		case strings.Contains(r.GetSql(), "many"):
			for range 100 {
				a.Refusals = append(a.Refusals, answer.Refusal{Code: answer.ColumnUse, Dataset: "clinic.patients", Column: "age", Message: strings.Repeat("m", 100), Suggestion: "Ask less."})
			}
		case strings.Contains(r.GetSql(), "poor"):
			a.Refusals = []answer.Refusal{{Code: answer.BudgetExhausted, Message: "Spent.", Suggestion: "Wait."}}
		case strings.Contains(r.GetSql(), "stranger"):
			a.Refusals = []answer.Refusal{{Code: answer.NotPermitted, Message: "You are no analyst.", Suggestion: "Ask a steward."}}
		default:
			a.Refusals = []answer.Refusal{{Code: answer.NotAggregated, Message: "The query reads no dataset.", Suggestion: "Write FROM with a dataset of the manifest."}}
		}
		return a, nil, nil
	}
	address, trust := start(t, s)
	c, ctx := client(t, address, trust, "authorization", "Bearer "+token)
	for sql, want := range map[string]struct {
		code codes.Code
		text string
	}{
		"SELECT 2":        {codes.InvalidArgument, "refused\nnot_aggregated: The query reads no dataset. Write FROM with a dataset of the manifest.\n(Datasets and their columns are in the catalog"},
		"SELECT many":     {codes.InvalidArgument, "more: `concordat query --explain` tells them)"},
		"SELECT poor":     {codes.ResourceExhausted, "budget_exhausted: Spent. Wait."},
		"SELECT stranger": {codes.PermissionDenied, "not_permitted: You are no analyst."},
	} {
		_, err := c.Execute(ctx, sql)
		if said := status.Convert(err); said.Code() != want.code || !strings.Contains(said.Message(), want.text) || len(said.Message()) > 5000 {
			t.Errorf("%s: %v of %d bytes: %s", sql, said.Code(), len(said.Message()), said.Message())
		}
	}
}

// BenchmarkStream is what a thousand groups take beyond judging and execution, over TLS on loopback: the ticket and the stream.
func BenchmarkStream(b *testing.B) {
	address, trust := start(b, releases(b, wide(1_000, 16), strings.Repeat("r", 200<<10)))
	c, ctx := client(b, address, trust, "authorization", "Bearer "+token, flight.HeaderIntervals, "true")
	for b.Loop() {
		if _, rows, _, err := read(ctx, c, "SELECT thousand"); err != nil || rows != 1_000 {
			b.Fatalf("%d rows: %v", rows, err)
		}
	}
}
