package flight_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	sqldriver "database/sql/driver"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	arrowflight "github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql/driver"
	"github.com/rs/zerolog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"concordat.dev/coordinator/flight"
	"concordat.dev/protocol/answer"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/fault"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
)

const token = "good"

// asker answers one query, refuses raw rows, and remembers what it was asked.
type asker struct {
	mu    sync.Mutex
	asked []*concordatv1.QueryRequest
	rooms []*document.Bundle
}

type person struct{}

func (a *asker) Login(ctx context.Context, t string) (context.Context, error) {
	if t != token {
		return nil, fault.Newf("login", fault.Unauthenticated, "the login token has expired")
	}
	return context.WithValue(ctx, person{}, "ana"), nil
}

func (a *asker) Rooms(ctx context.Context) ([]*document.Bundle, error) {
	if ctx.Value(person{}) == nil {
		return nil, errors.New("nobody asks")
	}
	return a.rooms, nil
}

func (a *asker) Ask(ctx context.Context, r *concordatv1.QueryRequest, _ func(string) error) (answer.Answer, []byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, r)
	switch {
	case ctx.Value(person{}) == nil:
		return answer.Answer{}, nil, errors.New("nobody asks")
	case strings.HasPrefix(r.GetSql(), "SELECT *"):
		return answer.Answer{Verdict: answer.Refused, Refusals: []answer.Refusal{{
			Code: answer.NotAggregated, Dataset: "clinic.patients", Message: "Rows of single units are never released.", Suggestion: "Aggregate.",
		}}}, nil, nil
	case strings.Contains(r.GetSql(), "broken"):
		return answer.Answer{Verdict: answer.Failed, Failure: &answer.Failure{Message: "The query failed.", Incident: "abc"}}, nil, nil
	case strings.Contains(r.GetSql(), "inside"):
		return answer.Answer{}, nil, errors.New("secret detail of the inside")
	}
	out := answer.Answer{
		Verdict: answer.Released, Explained: r.GetExplain(), Mechanism: "differential_privacy",
		Columns: []answer.Column{{Name: "male", Type: "integer", Kind: answer.Key}, {Name: "n", Type: "bigint", Kind: answer.Aggregate}},
	}
	switch {
	case r.GetExplain() && strings.Contains(r.GetSql(), "LIMIT 0"):
		out.Rowless = true
	case r.GetExplain() && strings.Contains(r.GetSql(), "exhausted"):
		out.Verdict, out.Refusals = answer.Refused, []answer.Refusal{{Code: answer.BudgetExhausted, Owner: "clinic", Message: "The budget of clinic cannot pay."}}
	}
	if !r.GetExplain() {
		out.Rows = [][]any{{json.Number("0"), json.Number("120")}, {json.Number("1"), json.Number("130")}}
		out.Intervals = [][]*answer.Interval{{nil, {100, 140}}, {nil, {110, 150}}}
		out.Receipt = &answer.ReceiptRef{ID: "r1"}
	}
	return out, []byte(`{"receipt":true}`), nil
}

func room(t testing.TB, id string) *document.Bundle {
	t.Helper()
	b, problems := document.Drafts{Policies: [][]byte{[]byte(`
apiVersion: concordat.dev/v1
kind: Policy
dataset: clinic.patients
owner: clinic
unit: {column: id, namespace: patient}
columns:
  id: {type: varchar, role: identifier}
  age: {type: integer, role: measure, bounds: [18, 100], grain: 5}
  male: {type: integer, role: dimension, domain: [0, 1]}
aggregates: [count]
release: {mechanism: differential_privacy, min_units: 10}
budget: {rho: 1, delta: 1e-6, period: 30d, lifetime_rho: 3}
`)}}.Open(nil)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	b.Manifest.Collaboration = id
	return b
}

// start serves on loopback and gives what a client needs.
func start(t testing.TB, a flight.Asker) (address string, trust *tls.Config) {
	t.Helper()
	certificates := httptest.NewTLSServer(nil) // for its certificate alone
	t.Cleanup(certificates.Close)
	s, err := flight.Listen(flight.Config{Asker: a, TLS: certificates.TLS, Version: "test", Logger: zerolog.Nop()}, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve() }()
	t.Cleanup(func() {
		s.Close(context.Background())
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	pool := x509.NewCertPool()
	pool.AddCert(certificates.Certificate())
	return s.Address(), &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13}
}

func client(t testing.TB, address string, trust *tls.Config, header ...string) (*flightsql.Client, context.Context) {
	t.Helper()
	c, err := flightsql.NewClient(address, nil, nil, grpc.WithTransportCredentials(credentials.NewTLS(trust)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c, metadata.AppendToOutgoingContext(t.Context(), header...)
}

// The driver of database/sql, as anybody would use it.
func TestDatabaseSQL(t *testing.T) {
	a := &asker{rooms: []*document.Bundle{room(t, "room")}}
	address, trust := start(t, a)
	db := sql.OpenDB(connector(t, address, trust, token))
	t.Cleanup(func() { _ = db.Close() })
	rows, err := db.QueryContext(t.Context(), "SELECT male, count(*) AS n FROM clinic.patients GROUP BY male")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var got [][2]int64
	for rows.Next() {
		var r [2]int64
		if err := rows.Scan(&r[0], &r[1]); err != nil {
			t.Fatal(err)
		}
		got = append(got, r)
	}
	if err := rows.Err(); err != nil || !slices.Equal(got, [][2]int64{{0, 120}, {1, 130}}) {
		t.Errorf("%v %v", got, err)
	}
	_, err = db.QueryContext(t.Context(), "SELECT * FROM clinic.patients") //nolint:sqlclosecheck,rowserrcheck // there are no rows
	if err == nil || !strings.Contains(err.Error(), "not_aggregated (clinic.patients): Rows of single units are never released. Aggregate.") {
		t.Errorf("raw rows: %v", err)
	}
	for _, q := range a.asked {
		if q.GetCollaboration() != "room" || q.GetExplain() && q.GetIdempotencyKey() != "" {
			t.Errorf("asked %v", q)
		}
	}
}

func connector(t *testing.T, address string, trust *tls.Config, token string) sqldriver.Connector {
	t.Helper()
	cfg := &driver.DriverConfig{Address: address, Token: token, TLSEnabled: true, TLSConfigName: url.QueryEscape(t.Name()), TLSConfig: trust}
	if err := driver.RegisterTLSConfig(cfg.TLSConfigName, trust); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = driver.UnregisterTLSConfig(cfg.TLSConfigName) })
	c, err := (&driver.Driver{}).OpenConnector(cfg.DSN())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestIntervalsAndReceipt(t *testing.T) {
	a := &asker{rooms: []*document.Bundle{room(t, "one"), room(t, "two")}}
	address, trust := start(t, a)
	c, ctx := client(t, address, trust, "authorization", "Bearer "+token, flight.HeaderCollaboration, "two", flight.HeaderIntervals, "true")
	p, err := c.Prepare(ctx, "SELECT male, count(*) AS n FROM clinic.patients GROUP BY male")
	if err != nil {
		t.Fatal(err)
	}
	if p.DatasetSchema().NumFields() != 4 {
		t.Errorf("schema of the statement: %v", p.DatasetSchema())
	}
	found, err := p.Execute(ctx)
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.DoGet(ctx, found.GetEndpoint()[0].GetTicket())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Release()
	if !r.Next() || r.RecordBatch().NumRows() != 2 || r.RecordBatch().Column(2).ValueStr(0) != "100" {
		t.Errorf("released: %v %v", r.RecordBatch(), r.Err())
	}
	if receipt, _ := r.Schema().Metadata().GetValue("concordat.receipt_json"); receipt != `{"receipt":true}` {
		t.Errorf("receipt %q", receipt)
	}
	if err := p.Close(ctx); err != nil {
		t.Error(err)
	}
	if last := a.asked[len(a.asked)-1]; last.GetCollaboration() != "two" {
		t.Errorf("asked of %s", last.GetCollaboration())
	}
	plain, ctx := client(t, address, trust, "authorization", "Bearer "+token)
	if _, err := plain.Execute(ctx, "SELECT 2"); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "[one two]") {
		t.Errorf("two collaborations and none named: %v", err)
	}
}

func TestFailuresTellNothing(t *testing.T) {
	address, trust := start(t, &asker{rooms: []*document.Bundle{room(t, "room")}})
	c, ctx := client(t, address, trust, "authorization", "Bearer "+token)
	if _, err := c.Execute(ctx, "SELECT inside"); status.Code(err) != codes.Internal || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
	if _, err := c.Execute(ctx, "SELECT broken"); !strings.Contains(err.Error(), "abc") {
		t.Errorf("a failure without its incident: %v", err)
	}
	ticket, err := flightsql.CreateStatementQueryTicket([]byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.DoGet(ctx, &arrowflight.Ticket{Ticket: ticket})
	if err == nil {
		r.Release()
		t.Error("a ticket that nobody gave out was redeemed")
	}
}

func TestCatalog(t *testing.T) {
	address, trust := start(t, &asker{rooms: []*document.Bundle{room(t, "room")}})
	c, ctx := client(t, address, trust, "authorization", "Bearer "+token)
	pattern := "pat%"
	found, err := c.GetTables(ctx, &flightsql.GetTablesOpts{TableNameFilterPattern: &pattern, IncludeSchema: true})
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
	row := r.RecordBatch()
	if got := []string{row.Column(0).ValueStr(0), row.Column(1).ValueStr(0), row.Column(2).ValueStr(0)}; !slices.Equal(got, []string{"room", "clinic", "patients"}) {
		t.Errorf("%v", got)
	}
	none := "x_"
	found, err = c.GetTables(ctx, &flightsql.GetTablesOpts{TableNameFilterPattern: &none})
	if err != nil {
		t.Fatal(err)
	}
	empty, err := c.DoGet(ctx, found.GetEndpoint()[0].GetTicket())
	if err != nil {
		t.Fatal(err)
	}
	defer empty.Release()
	for empty.Next() {
		if empty.RecordBatch().NumRows() > 0 {
			t.Errorf("tables like x_: %v", empty.RecordBatch())
		}
	}
	escaped := `pat\_ents`
	if n := count(t, c, ctx, func() (*arrowflight.FlightInfo, error) {
		return c.GetTables(ctx, &flightsql.GetTablesOpts{TableNameFilterPattern: &escaped})
	}); n != 0 {
		t.Errorf("%d tables like %s", n, escaped)
	}
	if n := count(t, c, ctx, func() (*arrowflight.FlightInfo, error) { return c.GetXdbcTypeInfo(ctx, nil) }); n != 7 {
		t.Errorf("%d types", n)
	}
	date := int32(91)
	if n := count(t, c, ctx, func() (*arrowflight.FlightInfo, error) { return c.GetXdbcTypeInfo(ctx, &date) }); n != 1 {
		t.Errorf("%d types of dates", n)
	}
	if _, err := c.ExecuteUpdate(ctx, "DELETE FROM clinic.patients"); status.Code(err) != codes.Unimplemented || !strings.Contains(err.Error(), "queries only") {
		t.Errorf("an update: %v", err)
	}
	if _, err := c.BeginTransaction(ctx); status.Code(err) != codes.Unimplemented || !strings.Contains(err.Error(), "no transactions") {
		t.Errorf("a transaction: %v", err)
	}
	if _, err := c.GetSqlInfo(ctx, []flightsql.SqlInfo{flightsql.SqlInfoFlightSqlServerName, flightsql.SqlInfo(999)}); err != nil {
		t.Error(err)
	}
}

// count reads how many rows a list has.
func count(t *testing.T, c *flightsql.Client, ctx context.Context, list func() (*arrowflight.FlightInfo, error)) (rows int64) { //nolint:revive // the context carries the headers of the client
	t.Helper()
	found, err := list()
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.DoGet(ctx, found.GetEndpoint()[0].GetTicket())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Release()
	for r.Next() {
		rows += r.RecordBatch().NumRows()
	}
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	return rows
}

// Whoever brings no token, another, or one in another way, gets nothing from any call.
func TestNobody(t *testing.T) {
	a := &asker{rooms: []*document.Bundle{room(t, "room")}}
	address, trust := start(t, a)
	for _, header := range [][]string{nil, {"authorization", "Bearer bad"}, {"authorization", token}, {"authorization", "Bearer " + token, "authorization", "Bearer " + token}, {"authorization", "Basic !"}} {
		c, ctx := client(t, address, trust, header...)
		_, query := c.Execute(ctx, "SELECT 1")
		_, catalogs := c.GetCatalogs(ctx)
		_, prepare := c.Prepare(ctx, "SELECT 1")
		for _, err := range []error{query, catalogs, prepare} {
			if status.Code(err) != codes.Unauthenticated {
				t.Errorf("%v: %v", header, err)
			}
		}
	}
	if len(a.asked) > 0 {
		t.Error("nobody's query was judged")
	}
	c, ctx := client(t, address, trust)
	ctx, err := c.Client.AuthenticateBasicToken(ctx, "anybody", token)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.GetCatalogs(ctx); err != nil {
		t.Errorf("with name and password: %v", err)
	}
}
