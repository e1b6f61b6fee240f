package flight_test

import (
	"context"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	arrowflight "github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"concordat.dev/coordinator/flight"
	"concordat.dev/protocol/document"
)

// released reads what a text gives: its columns, and how many rows.
func released(t *testing.T, c *flightsql.Client, ctx context.Context, sql string) (*arrow.Schema, int64) { //nolint:revive // the context carries the headers of the client
	t.Helper()
	found, err := c.Execute(ctx, sql)
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.DoGet(ctx, found.GetEndpoint()[0].GetTicket())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Release()
	rows := int64(0)
	for r.Next() {
		rows += r.RecordBatch().NumRows()
	}
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	return r.Schema(), rows
}

// executed counts the queries that were asked to be executed.
func (a *asker) executed() (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, q := range a.asked {
		if !q.GetExplain() {
			n++
		}
	}
	return n
}

// Tools ask for the columns of a query by one without rows, by preparing it, or by its schema: nothing is executed, so nothing is paid.
func TestColumnsAreFree(t *testing.T) {
	a := &asker{rooms: []*document.Bundle{room(t, "room")}}
	address, trust := start(t, a)
	c, ctx := client(t, address, trust, "authorization", "Bearer "+token, flight.HeaderIntervals, "true")
	const rowless = "SELECT * FROM (SELECT male, count(*) AS n FROM clinic.patients GROUP BY male) t LIMIT 0"
	if schema, rows := released(t, c, ctx, strings.TrimPrefix(rowless, "SELECT * FROM ")); schema.NumFields() != 4 || rows != 0 {
		t.Errorf("%v, %d rows", schema, rows)
	}
	p, err := c.Prepare(ctx, strings.TrimPrefix(rowless, "SELECT * FROM "))
	if err != nil {
		t.Fatal(err)
	}
	found, err := p.Execute(ctx)
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.DoGet(ctx, found.GetEndpoint()[0].GetTicket())
	if err != nil {
		t.Fatal(err)
	}
	r.Release()
	if _, err := c.GetExecuteSchema(ctx, "SELECT count(*) FROM clinic.patients"); err != nil {
		t.Error(err)
	}
	if n := a.executed(); n != 0 {
		t.Errorf("%d queries were executed", n)
	}
	// A ticket that says so of another text gives that text's columns and is then executed like any other.
	forged, err := flightsql.CreateStatementQueryTicket([]byte(`{"collaboration": "room", "sql": "SELECT count(*) FROM clinic.patients", "rowless": true}`))
	if err != nil {
		t.Fatal(err)
	}
	if r, err = c.DoGet(ctx, &arrowflight.Ticket{Ticket: forged}); err != nil {
		t.Fatal(err)
	}
	r.Release()
	if n := a.executed(); n != 1 {
		t.Errorf("a ticket of one's own: %d queries were executed", n)
	}
}

// What was paid before is given again, though no budget is left: only the ledger knows, so that the question is asked.
func TestExhaustedBudgetMayHavePaid(t *testing.T) {
	a := &asker{rooms: []*document.Bundle{room(t, "room")}}
	address, trust := start(t, a)
	c, ctx := client(t, address, trust, "authorization", "Bearer "+token)
	if _, rows := released(t, c, ctx, "SELECT exhausted"); rows != 2 || a.executed() != 1 {
		t.Errorf("%d rows, %d executed", rows, a.executed())
	}
}

// Tools try out a connection by SELECT 1. It needs a person, and no collaboration.
func TestProbe(t *testing.T) {
	a := &asker{rooms: []*document.Bundle{room(t, "one"), room(t, "two")}}
	address, trust := start(t, a)
	c, ctx := client(t, address, trust, "authorization", "Bearer "+token)
	for _, text := range []string{"SELECT 1", "select 1;", " Select\n1 ; "} {
		if schema, rows := released(t, c, ctx, text); schema.NumFields() != 1 || rows != 1 {
			t.Errorf("%q: %v, %d rows", text, schema, rows)
		}
	}
	p, err := c.Prepare(ctx, "SELECT 1")
	if err != nil || p.DatasetSchema().NumFields() != 1 {
		t.Errorf("prepared: %v", err)
	}
	if len(a.asked) > 0 {
		t.Errorf("asked of a worker: %v", a.asked)
	}
	if _, err := c.Execute(ctx, "SELECT 11"); status.Code(err) != codes.InvalidArgument {
		t.Errorf("another text: %v", err)
	}
}

// Drivers send user and password without the padding of base64, whatever their length.
func TestPassword(t *testing.T) {
	address, trust := start(t, &asker{rooms: []*document.Bundle{room(t, "room")}})
	for _, name := range []string{"a", "an", "ana"} {
		for _, form := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding} {
			c, ctx := client(t, address, trust, "authorization", "Basic "+form.EncodeToString([]byte(name+":"+token)))
			if _, err := c.GetCatalogs(ctx); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// A catalog that is set for a session is the collaboration, or says how to name another.
func TestSession(t *testing.T) {
	address, trust := start(t, &asker{rooms: []*document.Bundle{room(t, "one"), room(t, "two")}})
	c, ctx := client(t, address, trust, "authorization", "Bearer "+token, flight.HeaderCollaboration, "two")
	for name, c2 := range map[string]struct{ option, value, want string }{
		"its catalog": {"catalog", "two", ""}, "another catalog": {"catalog", "one", "in its header " + flight.HeaderCollaboration},
		"schema": {"schema", "clinic", "no current schema"}, "unknown": {"color", "red", "no session option"},
	} {
		options, err := arrowflight.NewSessionOptionValues(map[string]any{c2.option: c2.value})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.SetSessionOptions(ctx, &arrowflight.SetSessionOptionsRequest{SessionOptions: options})
		if (err == nil) != (c2.want == "") || err != nil && !strings.Contains(err.Error(), c2.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	now, err := c.GetSessionOptions(ctx, &arrowflight.GetSessionOptionsRequest{})
	if err != nil || now.GetSessionOptions()["catalog"].GetStringValue() != "two" {
		t.Errorf("current catalog: %v %v", now, err)
	}
	if _, err := c.CloseSession(ctx, &arrowflight.CloseSessionRequest{}); err != nil {
		t.Error(err)
	}
}

// Tools list tables of the type TABLE, and show the remarks of columns.
func TestTablesAsToolsAsk(t *testing.T) {
	address, trust := start(t, &asker{rooms: []*document.Bundle{room(t, "room")}})
	c, ctx := client(t, address, trust, "authorization", "Bearer "+token)
	found, err := c.GetTables(ctx, &flightsql.GetTablesOpts{TableTypes: []string{"TABLE", "VIEW"}, IncludeSchema: true})
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.DoGet(ctx, found.GetEndpoint()[0].GetTicket())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Release()
	if !r.Next() || r.RecordBatch().NumRows() != 1 {
		t.Fatalf("tables: %v", r.Err())
	}
	raw := r.RecordBatch().Column(4).ValueStr(0)
	b, err := base64.StdEncoding.DecodeString(raw)
	if err != nil {
		t.Fatal(err)
	}
	schema, err := arrowflight.DeserializeSchema(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	age, _ := schema.FieldsByName("age")
	if said, _ := age[0].Metadata.GetValue("ARROW:FLIGHT:SQL:REMARKS"); said != "measure; bounds [18, 100]; grain 5" {
		t.Errorf("remarks: %q", said)
	}
}
