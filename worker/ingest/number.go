package ingest

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"concordat.dev/worker/token"
)

// Numbered reads the same batches with the unit as a number: the first 64 bits of each token, big endian, as int64 under the
// same name. The engine joins and groups such numbers three to four times as fast as 16 bytes. Two of n units fall together with probability
// n²/2^65: one in 370,000 for ten million.
func Numbered(r array.RecordReader, unit string) (array.RecordReader, error) {
	indices := r.Schema().FieldIndices(unit)
	if len(indices) != 1 || !arrow.TypeEqual(r.Schema().Field(indices[0]).Type, TokenType) {
		return nil, fmt.Errorf("column %q isn't a column of tokens", unit)
	}
	fields := slices.Clone(r.Schema().Fields())
	fields[indices[0]].Type = arrow.PrimitiveTypes.Int64
	r.Retain()
	return &numbered{RecordReader: r, unit: indices[0], schema: arrow.NewSchema(fields, nil)}, nil
}

// numbered holds one reference to the reader beneath for each of its own.
type numbered struct {
	array.RecordReader
	unit   int
	schema *arrow.Schema
	batch  arrow.RecordBatch
}

func (r *numbered) Schema() *arrow.Schema { return r.schema }

func (r *numbered) RecordBatch() arrow.RecordBatch { return r.batch }

func (r *numbered) Record() arrow.RecordBatch { return r.batch }

func (r *numbered) Next() bool {
	if r.batch != nil {
		r.batch.Release()
		r.batch = nil
	}
	if !r.RecordReader.Next() {
		return false
	}
	in := r.RecordReader.RecordBatch()
	columns := slices.Clone(in.Columns())
	ids := numbers(columns[r.unit].(*array.FixedSizeBinary))
	defer ids.Release()
	columns[r.unit] = ids
	r.batch = array.NewRecordBatch(r.schema, columns, in.NumRows())
	return true
}

func numbers(tokens *array.FixedSizeBinary) arrow.Array {
	n, first := tokens.Len(), tokens.Data().Offset()
	bytes := tokens.Data().Buffers()[1].Bytes()[first*token.Size:]
	ids := make([]int64, n)
	for i := range ids {
		ids[i] = int64(binary.BigEndian.Uint64(bytes[i*token.Size:]))
	}
	return newArray(arrow.PrimitiveTypes.Int64, n, 0, nil, memory.NewBufferBytes(arrow.Int64Traits.CastToBytes(ids)))
}
