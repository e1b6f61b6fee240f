package reference

import (
	"math"
	"sort"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"concordat.dev/protocol/document"
	"concordat.dev/sql/eval"
	"concordat.dev/sql/plan"
)

// source gives the rows of a dataset as queries see them: measures within their bounds, times at their grain.
func (t Tables) source(leaf plan.Relation) [][]any {
	table := t[leaf.(*plan.Scan).Dataset]
	names := table.names()
	out := make([][]any, len(table.Rows))
	for i, row := range table.Rows {
		out[i] = make([]any, len(row))
		for j, v := range row {
			out[i][j] = scanned(v, table.Policy.Columns[names[j]])
		}
	}
	return out
}

func (t Table) names() []string {
	var out []string
	for name := range t.Policy.Columns {
		out = append(out, name)
	}
	sort.Strings(out)
	return out
}

func scanned(v any, c document.Column) any {
	switch v := v.(type) {
	case int64:
		if c.Role == "measure" && c.Bounds != nil {
			return min(max(v, int64(c.Bounds[0])), int64(c.Bounds[1]))
		}
	case float64:
		if c.Role == "measure" && c.Bounds != nil {
			return math.Min(math.Max(v, c.Bounds[0]), c.Bounds[1])
		}
	case time.Time:
		if c.Role == "time" && c.Grain != "" {
			return eval.Grained{Seen: eval.Trunc(strings.ToLower(c.Grain), v), Stored: v}
		}
	}
	return v
}

var arrowTypes = map[string]arrow.DataType{
	"boolean": arrow.FixedWidthTypes.Boolean, "integer": arrow.PrimitiveTypes.Int32, "bigint": arrow.PrimitiveTypes.Int64,
	"double": arrow.PrimitiveTypes.Float64, "decimal": arrow.PrimitiveTypes.Float64, "varchar": arrow.BinaryTypes.String,
	"uuid": arrow.BinaryTypes.String, "date": arrow.FixedWidthTypes.Date32, "timestamp": &arrow.TimestampType{Unit: arrow.Microsecond},
}

// Reader gives the rows as ingest would, for engine.Load. Release it.
func (t Table) Reader() (array.RecordReader, error) {
	var fields []arrow.Field
	var at []int
	for i, name := range t.names() {
		c := t.Policy.Columns[name]
		typ := arrowTypes[c.Type]
		switch c.Role {
		case "identifier":
			typ = arrow.PrimitiveTypes.Int64
		case "hidden":
			continue
		}
		fields, at = append(fields, arrow.Field{Name: name, Type: typ, Nullable: true}), append(at, i)
	}
	schema := arrow.NewSchema(fields, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for _, row := range t.Rows {
		for f, i := range at {
			appendValue(b.Field(f), row[i])
		}
	}
	batch := b.NewRecordBatch()
	defer batch.Release()
	return array.NewRecordReader(schema, []arrow.RecordBatch{batch})
}

func appendValue(b array.Builder, v any) {
	if v == nil {
		b.AppendNull()
		return
	}
	switch b := b.(type) {
	case *array.Int64Builder:
		b.Append(v.(int64))
	case *array.Int32Builder:
		b.Append(int32(v.(int64))) //nolint:gosec // tests keep integers within 32 bits
	case *array.Float64Builder:
		b.Append(v.(float64))
	case *array.StringBuilder:
		b.Append(v.(string))
	case *array.BooleanBuilder:
		b.Append(v.(bool))
	case *array.Date32Builder:
		b.Append(arrow.Date32FromTime(v.(time.Time)))
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(v.(time.Time).UnixMicro()))
	}
}
