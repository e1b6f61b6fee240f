package flight

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	arrowflight "github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql/schema_ref"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// sqlType is a type that released columns may have, as XDBC describes it.
type sqlType struct {
	name           string
	code, size     int32 // code of XDBC; decimal digits, or characters
	sqlCode, sub   int32 // of the SQL standard: 9 is datetime, of which sub is the kind
	quoted, scaled bool
}

// sqlTypes are in the order of their codes, as XDBC wants them.
var sqlTypes = []sqlType{
	{name: "boolean", code: -7, size: 1, sqlCode: -7},
	{name: "bigint", code: -5, size: 19, sqlCode: -5},
	{name: "decimal", code: 3, size: 38, sqlCode: 3, scaled: true},
	{name: "double", code: 8, size: 53, sqlCode: 8},
	{name: "varchar", code: 12, sqlCode: 12, quoted: true},
	{name: "date", code: 91, size: 10, sqlCode: 9, sub: 1, quoted: true},
	{name: "timestamp", code: 93, size: 26, sqlCode: 9, sub: 3, quoted: true},
}

// GetFlightInfoXdbcTypeInfo implements flightsql.Server.
func (s *service) GetFlightInfoXdbcTypeInfo(_ context.Context, _ flightsql.GetXdbcTypeInfo, d *arrowflight.FlightDescriptor) (*arrowflight.FlightInfo, error) {
	return info(d, schema_ref.XdbcTypeInfo), nil
}

// DoGetXdbcTypeInfo implements flightsql.Server.
func (s *service) DoGetXdbcTypeInfo(_ context.Context, q flightsql.GetXdbcTypeInfo) (*arrow.Schema, <-chan arrowflight.StreamChunk, error) {
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema_ref.XdbcTypeInfo)
	defer b.Release()
	for _, t := range sqlTypes {
		if wanted := q.GetDataType(); wanted == nil || *wanted == t.code {
			t.append(b)
		}
	}
	return stream(schema_ref.XdbcTypeInfo, b.NewRecordBatch())
}

// append adds the type in the order of schema_ref.XdbcTypeInfo.
func (t sqlType) append(b *array.RecordBuilder) {
	text := func(i int, s string, there bool) {
		if f := b.Field(i).(*array.StringBuilder); there {
			f.Append(s)
		} else {
			f.AppendNull()
		}
	}
	number := func(i int, n int32, there bool) {
		if f := b.Field(i).(*array.Int32Builder); there {
			f.Append(n)
		} else {
			f.AppendNull()
		}
	}
	text(0, t.name, true)
	number(1, t.code, true)
	number(2, t.size, t.size > 0)
	text(3, "'", t.quoted)
	text(4, "'", t.quoted)
	parameters := b.Field(5).(*array.ListBuilder)
	parameters.Append(t.scaled)
	if t.scaled {
		parameters.ValueBuilder().(*array.StringBuilder).AppendValues([]string{"precision", "scale"}, nil)
	}
	number(6, 1, true) // nullable
	b.Field(7).(*array.BooleanBuilder).Append(t.name == "varchar")
	number(8, 3, true) // searchable, where the policy lets a column be filtered
	b.Field(9).(*array.BooleanBuilder).Append(false)
	b.Field(10).(*array.BooleanBuilder).Append(false)
	b.Field(11).(*array.BooleanBuilder).Append(false)
	text(12, t.name, true)
	number(13, 0, t.scaled)
	number(14, 38, t.scaled)
	number(15, t.sqlCode, true)
	number(16, t.sub, t.sub > 0)
	number(17, 10, !t.quoted && t.code != -7)
	number(18, 0, false)
}
