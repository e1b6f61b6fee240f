package present

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"strings"
	"time"

	"concordat.dev/protocol/answer"
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

// names gives the columns of the flat formats: each value, and after an aggregate or derived one the ends of its interval.
// low is the index of the low end's name, or -1 for keys.
func names(columns []answer.Column) (all []string, low []int) {
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
		if c.Kind == answer.Key {
			low = append(low, -1)
			continue
		}
		low = append(low, len(all))
		all = append(all, free(c.Name+"_low"), free(c.Name+"_high"))
	}
	return all, low
}

func writeCSV(w io.Writer, a answer.Answer) error {
	header, low := names(a.Columns)
	c := csv.NewWriter(w)
	if err := c.Write(header); err != nil {
		return err
	}
	for r, row := range a.Rows {
		record := make([]string, 0, len(header))
		for i, v := range row {
			field := ""
			if v != nil {
				field = fmt.Sprint(v)
			}
			record = append(record, field)
			if low[i] < 0 {
				continue
			}
			ends := []string{"", ""}
			if in := interval(a.Intervals, r, i); in != nil {
				for e, x := range in {
					b, err := json.Marshal(x)
					if err != nil {
						return fmt.Errorf("interval of %s: %w", a.Columns[i].Name, err)
					}
					ends[e] = string(b)
				}
			}
			record = append(record, ends...)
		}
		if err := c.Write(record); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}

// batch is the answer as one Arrow record batch; metadata says verdict, mechanism, query and receipt.
func batch(a answer.Answer) (arrow.RecordBatch, error) {
	all, low := names(a.Columns)
	fields := make([]arrow.Field, len(all))
	for i := range fields {
		fields[i] = arrow.Field{Name: all[i], Type: arrow.PrimitiveTypes.Float64, Nullable: true}
	}
	at := make([]int, len(a.Columns)) // field of each column
	next := 0
	for i, c := range a.Columns {
		at[i] = next
		fields[next].Type = arrowType(c.Type)
		if next++; low[i] >= 0 {
			next += 2
		}
	}
	metadata := map[string]string{
		"concordat.verdict": string(a.Verdict), "concordat.mechanism": a.Mechanism, "concordat.query_id": a.QueryID,
		"concordat.withheld_possible": fmt.Sprint(a.WithheldPossible), "concordat.notes": strings.Join(a.Notes, "\n"),
	}
	if a.Receipt != nil {
		metadata["concordat.receipt"] = a.Receipt.ID
	}
	meta := arrow.MetadataFrom(metadata)
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema(fields, &meta))
	defer b.Release()
	for r, row := range a.Rows {
		for i, v := range row {
			if err := appendValue(b.Field(at[i]), v); err != nil {
				return nil, fmt.Errorf("row %d, column %s: %w", r+1, a.Columns[i].Name, err)
			}
			if low[i] < 0 {
				continue
			}
			for end := range 2 {
				field := b.Field(low[i] + end).(*array.Float64Builder)
				if in := interval(a.Intervals, r, i); in != nil {
					field.Append(in[end])
				} else {
					field.AppendNull()
				}
			}
		}
	}
	return b.NewRecordBatch(), nil
}

func arrowType(sqlType string) arrow.DataType {
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

func writeArrow(w io.Writer, a answer.Answer) (err error) {
	rows, err := batch(a)
	if err != nil {
		return err
	}
	defer rows.Release()
	stream := ipc.NewWriter(w, ipc.WithSchema(rows.Schema()))
	if err := stream.Write(rows); err != nil {
		return err
	}
	return stream.Close()
}

func writeParquet(w io.Writer, a answer.Answer) error {
	rows, err := batch(a)
	if err != nil {
		return err
	}
	defer rows.Release()
	file, err := pqarrow.NewFileWriter(rows.Schema(), open{w},
		parquet.NewWriterProperties(parquet.WithCompression(compress.Codecs.Snappy)), pqarrow.NewArrowWriterProperties(pqarrow.WithStoreSchema()))
	if err != nil {
		return err
	}
	if err := file.Write(rows); err != nil {
		return err
	}
	return file.Close()
}

// open keeps the Parquet writer from closing standard output.
type open struct{ io.Writer }
