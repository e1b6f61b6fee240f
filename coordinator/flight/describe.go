package flight

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"
	arrowflight "github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql"
)

// described is what the server says of itself, to tools that ask before they write SQL. The JDBC driver fails where it wants to know what is not said;
// 0 is its word for no limit that is known.
func described(version string) map[flightsql.SqlInfo]any {
	out := dialect(version)
	for _, id := range []flightsql.SqlInfo{
		flightsql.SqlInfoMaxBinaryLiteralLen, flightsql.SqlInfoMaxCharLiteralLen, flightsql.SqlInfoMaxColumnNameLen, flightsql.SqlInfoMaxColumnsInGroupBy,
		flightsql.SqlInfoMaxColumnsInIndex, flightsql.SqlInfoMaxColumnsInOrderBy, flightsql.SqlInfoMaxColumnsInSelect, flightsql.SqlInfoMaxColumnsInTable,
		flightsql.SqlInfoMaxConnections, flightsql.SqlInfoMaxCursorNameLen, flightsql.SqlInfoMaxIndexLen, flightsql.SqlInfoDBSchemaNameLen,
		flightsql.SqlInfoMaxProcedureNameLen, flightsql.SqlInfoMaxCatalogNameLen, flightsql.SqlInfoMaxRowSize, flightsql.SqlInfoMaxStatements,
		flightsql.SqlInfoMaxTableNameLen, flightsql.SqlInfoMaxTablesInSelect, flightsql.SqlInfoMaxUsernameLen, flightsql.SqlInfoDefaultTransactionIsolation,
	} {
		out[id] = int64(0)
	}
	return out
}

// The bits of lists that are told as a number.
const (
	unrelatedGroups = 1 << 0 // SQL_GROUP_BY_UNRELATED
	coreGrammar     = 1 << 0 // SQL_MINIMUM_GRAMMAR
	entryLevel      = 1 << 0 // ANSI92_ENTRY_SQL
	innerAndLeft    = 1 << 1 // SQL_LIMITED_OUTER_JOINS
	inComparisons   = 1 << 0 // SQL_SUBQUERIES_IN_COMPARISONS
)

// dialect is the part of it that is not a limit.
func dialect(version string) map[flightsql.SqlInfo]any {
	none := []string{}
	return map[flightsql.SqlInfo]any{
		flightsql.SqlInfoFlightSqlServerName:                     "Concordat",
		flightsql.SqlInfoFlightSqlServerVersion:                  version,
		flightsql.SqlInfoFlightSqlServerArrowVersion:             arrow.PkgVersion,
		flightsql.SqlInfoFlightSqlServerReadOnly:                 true,
		flightsql.SqlInfoFlightSqlServerSql:                      true,
		flightsql.SqlInfoFlightSqlServerSubstrait:                false,
		flightsql.SqlInfoFlightSqlServerTransaction:              int32(flightsql.SqlTransactionNone),
		flightsql.SqlInfoFlightSqlServerCancel:                   false, // no call for it: a client that gives up the stream of a query ends it
		flightsql.SqlInfoFlightSqlServerBulkIngestion:            false,
		flightsql.SqlInfoFlightSqlServerStatementTimeout:         int32(callLimit.Milliseconds()),
		flightsql.SqlInfoDDLCatalog:                              false,
		flightsql.SqlInfoDDLSchema:                               false,
		flightsql.SqlInfoDDLTable:                                false,
		flightsql.SqlInfoIdentifierQuoteChar:                     `"`,
		flightsql.SqlInfoQuotedIdentifierCase:                    int64(flightsql.SqlCaseSensitivityCaseInsensitive),
		flightsql.SqlInfoIdentifierCase:                          int64(flightsql.SqlCaseSensitivityCaseInsensitive),
		flightsql.SqlInfoAllTablesAreASelectable:                 false,
		flightsql.SqlInfoKeywords:                                none,
		flightsql.SqlInfoNumericFunctions:                        none,
		flightsql.SqlInfoStringFunctions:                         none,
		flightsql.SqlInfoSystemFunctions:                         none,
		flightsql.SqlInfoDateTimeFunctions:                       none,
		flightsql.SqlInfoSearchStringEscape:                      `\`,
		flightsql.SqlInfoExtraNameChars:                          "",
		flightsql.SqlInfoSupportsColumnAliasing:                  true,
		flightsql.SqlInfoSupportsTableCorrelationNames:           true,
		flightsql.SqlInfoSupportsDifferentTableCorrelationNames:  false,
		flightsql.SqlInfoSchemaTerm:                              "owner",
		flightsql.SqlInfoCatalogTerm:                             "collaboration",
		flightsql.SqlInfoProcedureTerm:                           "procedure",
		flightsql.SqlInfoCatalogAtStart:                          true,
		flightsql.SqlInfoCatalogsSupportedActions:                int32(0), // neither procedures nor indexes nor privileges
		flightsql.SqlInfoSchemasSupportedActions:                 int32(0),
		flightsql.SqlInfoMaxStatementLen:                         int64(maxSQL),
		flightsql.SqlInfoTransactionsSupported:                   false,
		flightsql.SqlInfoBatchUpdatesSupported:                   false,
		flightsql.SqlInfoSavePointsSupported:                     false,
		flightsql.SqlInfoNamedParametersSupported:                false,
		flightsql.SqlInfoSelectForUpdateSupported:                false,
		flightsql.SqlInfoNullPlusNullIsNull:                      true,
		flightsql.SqlInfoSupportsConvert:                         map[int32][]int32{},
		flightsql.SqlInfoSupportsExpressionsInOrderBy:            true,
		flightsql.SqlInfoSupportsOrderByUnrelated:                false,
		flightsql.SqlInfoSupportedGroupBy:                        int32(unrelatedGroups),
		flightsql.SqlInfoSupportsLikeEscapeClause:                false,
		flightsql.SqlInfoSupportsNonNullableColumns:              false,
		flightsql.SqlInfoSupportedGrammar:                        int32(coreGrammar),
		flightsql.SqlInfoANSI92SupportedLevel:                    int32(entryLevel),
		flightsql.SqlInfoSupportsIntegrityEnhancementFacility:    false,
		flightsql.SqlInfoOuterJoinsSupportLevel:                  int32(innerAndLeft),
		flightsql.SqlInfoSupportedPositionedCommands:             int32(0),
		flightsql.SqlInfoSupportedSubqueries:                     int32(inComparisons),
		flightsql.SqlInfoCorrelatedSubqueriesSupported:           false,
		flightsql.SqlInfoSupportedUnions:                         int32(0),
		flightsql.SqlInfoMaxRowSizeIncludesBlobs:                 false,
		flightsql.SqlInfoDataDefinitionCausesTransactionCommit:   false,
		flightsql.SqlInfoDataDefinitionsInTransactionsIgnored:    false,
		flightsql.SqlInfoLocatorsUpdateCopy:                      false,
		flightsql.SqlInfoStoredFunctionsUsingCallSyntaxSupported: false,
		flightsql.SqlInfoStoredProceduresSupported:               false,
	}
}

// maxSQL is the longest text of a query, in bytes (sql/parse).
const maxSQL = 64 << 10

func (s *service) describe() error {
	for id, value := range described(s.Version) {
		if err := s.RegisterSqlInfo(id, value); err != nil {
			return err
		}
	}
	return nil
}

// known leaves of what a client asks those that there is an answer to: the protocol has no other way to say that there is none.
type known struct {
	flightsql.GetSqlInfo
	ids []uint32
}

// GetInfo implements flightsql.GetSqlInfo.
func (k known) GetInfo() []uint32 { return k.ids }

// DoGetSqlInfo implements flightsql.Server.
func (s *service) DoGetSqlInfo(ctx context.Context, q flightsql.GetSqlInfo) (*arrow.Schema, <-chan arrowflight.StreamChunk, error) { //nolint:revive,staticcheck // the name is of the interface
	all := described(s.Version)
	var ids []uint32
	for _, id := range q.GetInfo() {
		if _, ok := all[flightsql.SqlInfo(id)]; ok {
			ids = append(ids, id)
		}
	}
	if len(q.GetInfo()) > 0 && len(ids) == 0 {
		ids = []uint32{uint32(flightsql.SqlInfoFlightSqlServerName)}
	}
	return s.BaseServer.DoGetSqlInfo(ctx, known{q, ids})
}
