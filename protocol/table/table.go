// Package table is an answer as Arrow: one type a SQL type, released values in columns, and beside each aggregate the ends of its
// interval. The command line writes it to files, and the coordinator's Flight SQL server streams it.
//
// Invariant: a value that its column's type cannot hold is an error, never another value.
//
// Sees: released aggregates
package table

import (
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"concordat.dev/protocol/answer"
)

// Names gives the columns of flat forms: each value, and after an aggregate or derived one the ends of its interval. Low is the index of the
// low end's name, or -1 where there is no interval: for keys, and for all without intervals.
func Names(columns []answer.Column, intervals bool) (all []string, low []int) {
	taken := map[string]bool{}
	for _, c := range columns {
		taken[c.Name] = true
	}
	free := func(name string) string {
		for taken[name] {
			name += "_"
		}
		taken[name] = true
		return name
	}
	for _, c := range columns {
		all = append(all, c.Name)
		if c.Kind == answer.Key || !intervals {
			low = append(low, -1)
			continue
		}
		low = append(low, len(all))
		all = append(all, free(c.Name+"_low"), free(c.Name+"_high"))
	}
	return all, low
}

// Schema is the Arrow schema of an answer's columns, in the order of Names. Each field says its kind and SQL type in metadata; that of the schema is
// the caller's.
func Schema(columns []answer.Column, intervals bool, metadata map[string]string) *arrow.Schema {
	all, low := Names(columns, intervals)
	fields := make([]arrow.Field, 0, len(all))
	for i, c := range columns {
		said := arrow.MetadataFrom(map[string]string{"concordat.kind": string(c.Kind), "concordat.type": c.Type})
		fields = append(fields, arrow.Field{Name: all[len(fields)], Type: Type(c.Type), Nullable: true, Metadata: said})
		if low[i] < 0 {
			continue
		}
		for range 2 {
			fields = append(fields, arrow.Field{Name: all[len(fields)], Type: arrow.PrimitiveTypes.Float64, Nullable: true})
		}
	}
	m := arrow.MetadataFrom(metadata)
	return arrow.NewSchema(fields, &m)
}

// Metadata says verdict, mechanism, query and receipt of an answer.
func Metadata(a answer.Answer) map[string]string {
	out := map[string]string{
		"concordat.verdict": string(a.Verdict), "concordat.mechanism": a.Mechanism, "concordat.query_id": a.QueryID,
		"concordat.withheld_possible": fmt.Sprint(a.WithheldPossible), "concordat.notes": strings.Join(a.Notes, "\n"),
	}
	if a.Receipt != nil {
		out["concordat.receipt"] = a.Receipt.ID
	}
	return out
}

// Batch is the answer as one record batch under Schema. Rows hold what answer.Parse gives. Release it.
func Batch(a answer.Answer, intervals bool, metadata map[string]string) (arrow.RecordBatch, error) {
	_, low := Names(a.Columns, intervals)
	b := array.NewRecordBuilder(memory.DefaultAllocator, Schema(a.Columns, intervals, metadata))
	defer b.Release()
	for r, row := range a.Rows {
		field := 0
		for i, v := range row {
			if err := appendValue(b.Field(field), v); err != nil {
				return nil, fmt.Errorf("row %d, column %s: %w", r+1, a.Columns[i].Name, err)
			}
			if field++; low[i] < 0 {
				continue
			}
			in := Interval(a, r, i)
			for end := range 2 {
				ends := b.Field(low[i] + end).(*array.Float64Builder)
				if in != nil {
					ends.Append(in[end])
				} else {
					ends.AppendNull()
				}
			}
			field += 2
		}
	}
	return b.NewRecordBatch(), nil
}

// Interval is that of a row and column, nil where none is told.
func Interval(a answer.Answer, row, column int) *answer.Interval {
	if row >= len(a.Intervals) || column >= len(a.Intervals[row]) {
		return nil
	}
	return a.Intervals[row][column]
}

// Type is the Arrow type of a SQL type in lower case; text for those without one.
func Type(sqlType string) arrow.DataType {
	switch base, _, _ := strings.Cut(sqlType, "("); base {
	case "boolean":
		return arrow.FixedWidthTypes.Boolean
	case "tinyint", "smallint", "integer", "bigint":
		return arrow.PrimitiveTypes.Int64
	case "hugeint":
		return &arrow.Decimal128Type{Precision: 38}
	case "float", "double":
		return arrow.PrimitiveTypes.Float64
	case "date":
		return arrow.FixedWidthTypes.Date32
	case "timestamp":
		return arrow.FixedWidthTypes.Timestamp_us
	case "decimal":
		var precision, scale int32
		if _, err := fmt.Sscanf(sqlType, "decimal(%d,%d)", &precision, &scale); err == nil && precision <= 38 {
			return &arrow.Decimal128Type{Precision: precision, Scale: scale}
		}
	}
	return arrow.BinaryTypes.String
}

func appendValue(b array.Builder, v any) error {
	if v == nil {
		b.AppendNull()
		return nil
	}
	s := fmt.Sprint(v)
	switch b := b.(type) {
	case *array.StringBuilder:
		b.Append(s)
		return nil
	case *array.Date32Builder:
		t, err := time.Parse(time.DateOnly, s)
		b.Append(arrow.Date32FromTime(t))
		return err
	case *array.TimestampBuilder:
		t, err := time.Parse(time.RFC3339Nano, s)
		b.Append(arrow.Timestamp(t.UnixMicro()))
		return err
	case *array.Decimal128Builder:
		kind := b.Type().(*arrow.Decimal128Type)
		if whole, ok := new(big.Int).SetString(s, 10); ok && kind.Scale == 0 && whole.BitLen() < 127 {
			b.Append(decimal128.FromBigInt(whole))
			return nil
		}
		n, err := decimal128.FromString(s, kind.Precision, kind.Scale)
		b.Append(n)
		return err
	default:
		return b.AppendValueFromString(s)
	}
}
