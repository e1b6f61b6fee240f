package flight

import (
	"context"

	arrowflight "github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// What this server never does says why, rather than that it is not implemented.
var (
	errReadOnly       = status.Error(codes.Unimplemented, "queries only: nothing can be written here. Owners upload with `concordat dataset upload`")
	errParameters     = status.Error(codes.Unimplemented, "statements have no parameters: write the values into the SQL, since a question with other values is another question")
	errNoTransactions = status.Error(codes.Unimplemented, "there are no transactions: a query reads one version of each dataset by itself")
)

// DoPutCommandStatementUpdate implements flightsql.Server.
func (s *service) DoPutCommandStatementUpdate(context.Context, flightsql.StatementUpdate) (int64, error) {
	return 0, errReadOnly
}

// DoPutPreparedStatementUpdate implements flightsql.Server.
func (s *service) DoPutPreparedStatementUpdate(context.Context, flightsql.PreparedStatementUpdate, arrowflight.MessageReader) (int64, error) {
	return 0, errReadOnly
}

// DoPutCommandStatementIngest implements flightsql.Server.
func (s *service) DoPutCommandStatementIngest(context.Context, flightsql.StatementIngest, arrowflight.MessageReader) (int64, error) {
	return 0, errReadOnly
}

// DoPutPreparedStatementQuery implements flightsql.Server.
func (s *service) DoPutPreparedStatementQuery(context.Context, flightsql.PreparedStatementQuery, arrowflight.MessageReader, arrowflight.MetadataWriter) ([]byte, error) {
	return nil, errParameters
}

// BeginTransaction implements flightsql.Server.
func (s *service) BeginTransaction(context.Context, flightsql.ActionBeginTransactionRequest) ([]byte, error) {
	return nil, errNoTransactions
}
