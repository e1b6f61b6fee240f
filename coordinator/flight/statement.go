package flight

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	arrowflight "github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"concordat.dev/protocol/answer"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/table"
)

// The headers by which a client says more than its protocol lets it.
const (
	HeaderCollaboration = "concordat-collaboration" // id; without it, the only one that knows the person
	HeaderIntervals     = "concordat-intervals"     // true: with the ends of each interval in columns of their own
)

// The keys of what a released schema says in its metadata, beside those of protocol/table.
const (
	metaReceipt = "concordat.receipt_json" // the receipt, as `concordat receipt verify` reads it
	metaPrice   = "concordat.price"        // JSON list
)

// maxReceipt bounds the receipt in a schema, in bytes: clients take messages of 4 MiB. A larger one is fetched by its id, which is always there.
const maxReceipt = 2 << 20

// maxHandle bounds what a client gives back as its statement, in bytes: SQL has at most 64 KiB.
const maxHandle = 256 << 10

// statement is what a client asked for. It travels in tickets and in handles of prepared statements, so that any coordinator can go on with it.
type statement struct {
	Collaboration string `json:"collaboration"`
	SQL           string `json:"sql"`
	Intervals     bool   `json:"intervals,omitempty"`
	Rowless       bool   `json:"rowless,omitempty"` // it was judged to have no rows: asked for its columns, it is not executed
	Key           string `json:"key,omitempty"`     // idempotency key: a ticket that is redeemed again is the same request
}

func (s statement) handle() []byte {
	b, err := json.Marshal(s)
	if err != nil {
		panic("flight: a struct of texts has JSON: " + err.Error())
	}
	return b
}

func readStatement(handle []byte) (statement, error) {
	var s statement
	if len(handle) > maxHandle || json.Unmarshal(handle, &s) != nil || s.SQL == "" {
		return s, status.Error(codes.InvalidArgument, "not a statement that this server gave out")
	}
	return s, nil
}

// statement takes what a call says, and names its collaboration.
func (s *service) statement(ctx context.Context, sql string) (statement, error) {
	out := statement{SQL: sql, Intervals: header(ctx, HeaderIntervals) == "true"}
	if probes(sql) {
		return out, nil
	}
	var err error
	out.Collaboration, err = s.collaboration(ctx)
	return out, err
}

// collaboration is the one that a call names, or the only one that knows the person.
func (s *service) collaboration(ctx context.Context) (string, error) {
	if id := header(ctx, HeaderCollaboration); id != "" {
		return id, nil
	}
	rooms, err := s.Asker.Rooms(ctx)
	if err != nil {
		return "", failure(err)
	}
	if len(rooms) != 1 {
		var ids []string
		for _, r := range rooms {
			ids = append(ids, r.Manifest.Collaboration)
		}
		return "", status.Errorf(codes.InvalidArgument, "name a collaboration in the header %s: one of [%s]", HeaderCollaboration, strings.Join(ids, " "))
	}
	return rooms[0].Manifest.Collaboration, nil
}

func header(ctx context.Context, name string) string {
	if all := metadata.ValueFromIncomingContext(ctx, name); len(all) == 1 {
		return all[0]
	}
	return ""
}

// judge judges a statement without touching data: its columns, or why it is refused. It notes in the statement what running it needs to know.
func (s *service) judge(ctx context.Context, asked *statement) (*arrow.Schema, error) {
	if probes(asked.SQL) {
		return probeSchema, s.known(ctx)
	}
	a, _, err := s.Asker.Ask(ctx, &concordatv1.QueryRequest{Collaboration: asked.Collaboration, Sql: asked.SQL, Explain: true}, silent)
	if err != nil {
		return nil, failure(err)
	}
	// Whether a budget has to pay is known when the statement runs: what was paid before is free, however little is left.
	if err := refusal(a); err != nil && !only(a, answer.BudgetExhausted) {
		return nil, err
	}
	asked.Rowless = a.Rowless
	return table.Schema(a.Columns, asked.Intervals, nil), nil
}

func silent(string) error { return nil }

// run releases a statement as one stream, with its receipt in the schema's metadata. What has no rows is judged once more, so that whoever writes a
// ticket of his own gets the schema of that text alone.
func (s *service) run(ctx context.Context, asked statement) (*arrow.Schema, <-chan arrowflight.StreamChunk, error) {
	if probes(asked.SQL) {
		if err := s.known(ctx); err != nil {
			return nil, nil, err
		}
		return probed()
	}
	if asked.Rowless {
		schema, err := s.judge(ctx, &asked)
		if err != nil {
			return nil, nil, err
		}
		if asked.Rowless {
			return stream(schema, nil)
		}
	}
	a, receipt, err := s.Asker.Ask(ctx, &concordatv1.QueryRequest{Collaboration: asked.Collaboration, Sql: asked.SQL, IdempotencyKey: asked.Key}, silent)
	if err != nil {
		return nil, nil, failure(err)
	}
	if err := refusal(a); err != nil {
		return nil, nil, err
	}
	said := table.Metadata(a)
	if len(receipt) <= maxReceipt {
		said[metaReceipt] = string(receipt)
	}
	price, err := json.Marshal(a.Price)
	if err != nil {
		return nil, nil, failure(err)
	}
	said[metaPrice] = string(price)
	batch, err := table.Batch(a, asked.Intervals, said)
	if err != nil {
		return nil, nil, failure(err)
	}
	return stream(batch.Schema(), batch)
}

// GetFlightInfoStatement implements flightsql.Server.
func (s *service) GetFlightInfoStatement(ctx context.Context, q flightsql.StatementQuery, d *arrowflight.FlightDescriptor) (*arrowflight.FlightInfo, error) {
	asked, err := s.statement(ctx, q.GetQuery())
	if err != nil {
		return nil, err
	}
	return s.redeemable(ctx, d, asked)
}

// redeemable is a statement that was judged, as a ticket. Its schema is left to the stream: clients keep the metadata of the schema that they see
// first, and the receipt is known only then. Clients that want it before ask for it (GetSchemaStatement), or prepare.
func (s *service) redeemable(ctx context.Context, d *arrowflight.FlightDescriptor, asked statement) (*arrowflight.FlightInfo, error) {
	if _, err := s.judge(ctx, &asked); err != nil {
		return nil, err
	}
	return s.ticket(d, asked)
}

func (s *service) ticket(d *arrowflight.FlightDescriptor, asked statement) (*arrowflight.FlightInfo, error) {
	asked.Key = rand.Text()
	ticket, err := flightsql.CreateStatementQueryTicket(asked.handle())
	if err != nil {
		return nil, failure(err)
	}
	out := ticketed(d, ticket, arrow.NewSchema(nil, nil))
	out.Schema = nil
	return out, nil
}

// GetSchemaStatement implements flightsql.Server.
func (s *service) GetSchemaStatement(ctx context.Context, q flightsql.StatementQuery, _ *arrowflight.FlightDescriptor) (*arrowflight.SchemaResult, error) {
	asked, err := s.statement(ctx, q.GetQuery())
	if err != nil {
		return nil, err
	}
	return s.schemaResult(ctx, asked)
}

func (s *service) schemaResult(ctx context.Context, asked statement) (*arrowflight.SchemaResult, error) {
	schema, err := s.judge(ctx, &asked)
	if err != nil {
		return nil, err
	}
	return &arrowflight.SchemaResult{Schema: arrowflight.SerializeSchema(schema, memory.DefaultAllocator)}, nil
}

// DoGetStatement implements flightsql.Server.
func (s *service) DoGetStatement(ctx context.Context, t flightsql.StatementQueryTicket) (*arrow.Schema, <-chan arrowflight.StreamChunk, error) {
	asked, err := readStatement(t.GetStatementHandle())
	if err != nil {
		return nil, nil, err
	}
	return s.run(ctx, asked)
}

// CreatePreparedStatement implements flightsql.Server. Statements have no parameters: a question with other values is another question.
func (s *service) CreatePreparedStatement(ctx context.Context, r flightsql.ActionCreatePreparedStatementRequest) (out flightsql.ActionCreatePreparedStatementResult, err error) {
	asked, err := s.statement(ctx, r.GetQuery())
	if err != nil {
		return out, err
	}
	out.DatasetSchema, err = s.judge(ctx, &asked)
	out.Handle = asked.handle()
	return out, err
}

// ClosePreparedStatement implements flightsql.Server. Nothing is kept of one.
func (s *service) ClosePreparedStatement(context.Context, flightsql.ActionClosePreparedStatementRequest) error {
	return nil
}

// GetFlightInfoPreparedStatement implements flightsql.Server. The statement was judged when it was prepared, and is again when it runs.
func (s *service) GetFlightInfoPreparedStatement(_ context.Context, q flightsql.PreparedStatementQuery, d *arrowflight.FlightDescriptor) (*arrowflight.FlightInfo, error) {
	asked, err := readStatement(q.GetPreparedStatementHandle())
	if err != nil {
		return nil, err
	}
	return s.ticket(d, asked)
}

// GetSchemaPreparedStatement implements flightsql.Server.
func (s *service) GetSchemaPreparedStatement(ctx context.Context, q flightsql.PreparedStatementQuery, _ *arrowflight.FlightDescriptor) (*arrowflight.SchemaResult, error) {
	asked, err := readStatement(q.GetPreparedStatementHandle())
	if err != nil {
		return nil, err
	}
	return s.schemaResult(ctx, asked)
}

// DoGetPreparedStatement implements flightsql.Server.
func (s *service) DoGetPreparedStatement(ctx context.Context, q flightsql.PreparedStatementQuery) (*arrow.Schema, <-chan arrowflight.StreamChunk, error) {
	asked, err := readStatement(q.GetPreparedStatementHandle())
	if err != nil {
		return nil, nil, err
	}
	return s.run(ctx, asked)
}
