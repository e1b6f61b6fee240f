package clients_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow/flight/flightsql"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql/driver"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"concordat.dev/integration/harness"
	"concordat.dev/protocol/login"
	"concordat.dev/ui/demo"
)

// trust is what a client needs to know of the mesh: its root certificate.
func (w *world) trust() *tls.Config {
	w.t.Helper()
	pem, err := os.ReadFile(w.rootFile())
	if err != nil {
		w.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		w.t.Fatal("root.pem holds no certificate")
	}
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}
}

// databaseSQL asks with the driver of database/sql that arrow-go brings.
func (w *world) databaseSQL() {
	const name = "mesh"
	if err := driver.RegisterTLSConfig(name, w.trust()); err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = driver.UnregisterTLSConfig(name) }()
	dsn := (&driver.DriverConfig{
		Address: w.address, Token: w.loginToken(), TLSEnabled: true, TLSConfigName: name, Timeout: time.Minute,
		Params: map[string]string{"concordat-intervals": "true"},
	}).DSN()
	db, err := sql.Open("flightsql", dsn)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for _, q := range w.study {
		columns, rows := w.all(db, q.SQL)
		w.same(q.Name, columns, rows)
	}
	refused, err := demo.Refused()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, q := range refused {
		if err := db.QueryRowContext(w.t.Context(), q.SQL).Scan(); err == nil || !strings.Contains(err.Error(), "identifier_use") {
			w.t.Errorf("%s: %v", q.Name, err)
		}
	}
}

// all reads a result as text.
func (w *world) all(db *sql.DB, query string) (columns []string, out [][]string) {
	w.t.Helper()
	rows, err := db.QueryContext(w.t.Context(), query)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	if columns, err = rows.Columns(); err != nil {
		w.t.Fatal(err)
	}
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			w.t.Fatal(err)
		}
		var line []string
		for _, v := range values {
			line = append(line, text(v))
		}
		out = append(out, line)
	}
	if err := rows.Err(); err != nil {
		w.t.Fatal(err)
	}
	return columns, out
}

// flight is the library's own client, with a token.
func (w *world) flight(token string) (*flightsql.Client, context.Context) {
	w.t.Helper()
	c, err := flightsql.NewClient(w.address, nil, nil, grpc.WithTransportCredentials(credentials.NewTLS(w.trust())))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = c.Close() })
	return c, metadata.AppendToOutgoingContext(w.t.Context(), "authorization", "Bearer "+token)
}

// receipts come in the metadata of the stream's schema.
func (w *world) receipts() {
	c, ctx := w.flight(w.loginToken())
	for _, q := range w.study {
		found, err := c.Execute(ctx, q.SQL)
		if err != nil {
			w.t.Fatal(err)
		}
		r, err := c.DoGet(ctx, found.GetEndpoint()[0].GetTicket())
		if err != nil {
			w.t.Fatal(err)
		}
		m := r.Schema().Metadata()
		receipt, _ := m.GetValue("concordat.receipt_json")
		if id, _ := m.GetValue("concordat.receipt"); id != w.answers[q.Name].Receipt.ID {
			w.t.Errorf("%s: receipt %s, the command has %s", q.Name, id, w.answers[q.Name].Receipt.ID)
		}
		w.verified(receipt)
		r.Release()
	}
}

// outsider has a key that no manifest names, and a steward has one that may not query: their tokens open nothing.
func (w *world) outsider() {
	ledger := w.room.Mesh.State().Ledger
	for name, want := range map[string]string{harness.Outsider: "nobody", harness.StewardOf("clinic"): "not_permitted"} {
		token, err := login.Issue(w.room.Keys[name], ledger, time.Now(), time.Hour)
		if err != nil {
			w.t.Fatal(err)
		}
		c, ctx := w.flight(token)
		if _, err := c.Execute(ctx, w.study[0].SQL); status.Code(err) != codes.PermissionDenied || !strings.Contains(err.Error(), want) {
			w.t.Errorf("%s: %v", name, err)
		}
		if _, err := c.Prepare(ctx, w.study[0].SQL); status.Code(err) != codes.PermissionDenied {
			w.t.Errorf("%s prepares: %v", name, err)
		}
	}
	w.asksOnly()
	elsewhere, err := login.Issue(w.room.Keys[harness.Analyst], strings.Repeat("0", len(ledger)), time.Now(), time.Hour)
	if err != nil {
		w.t.Fatal(err)
	}
	c, ctx := w.flight(elsewhere)
	if _, err := c.GetCatalogs(ctx); status.Code(err) != codes.Unauthenticated || !strings.Contains(err.Error(), "another ledger") {
		w.t.Errorf("a token for another ledger: %v", err)
	}
	token := w.loginToken()
	c, ctx = w.flight(token)
	if _, err := c.Execute(ctx, w.study[0].SQL); err != nil {
		w.t.Error(err)
	}
	// The coordinator that served it names the token in its audit lines, and not the token itself.
	log, err := os.ReadFile(filepath.Join(w.room.Mesh.Home, "coordinator-1", "coordinator-1.log"))
	if err != nil || strings.Contains(string(log), token) {
		w.t.Errorf("the log holds a token: %v", err)
	}
	r, err := c.GetTables(ctx, &flightsql.GetTablesOpts{})
	if err != nil {
		w.t.Fatal(err)
	}
	tables, err := c.DoGet(ctx, r.GetEndpoint()[0].GetTicket())
	if err != nil {
		w.t.Fatal(err)
	}
	tables.Release()
	if log, err = os.ReadFile(filepath.Join(w.room.Mesh.Home, "coordinator-1", "coordinator-1.log")); err != nil || !strings.Contains(string(log), `"login":"`+login.ID(token)) {
		w.t.Errorf("no audit line names the token: %v", err)
	}
}

// asksOnly brings a token to the API, which takes signed requests and no tokens.
func (w *world) asksOnly() {
	w.t.Helper()
	url := "https://" + w.room.Mesh.State().Coordinators[0].API + "/concordat.v1.AnalystService/Budget"
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, url, strings.NewReader("{}"))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+w.loginToken())
	res, err := (&http.Client{Transport: &http.Transport{TLSClientConfig: w.trust()}}).Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusUnauthorized {
		w.t.Errorf("a token at the API: %s", res.Status)
	}
}
