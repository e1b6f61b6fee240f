package flight

import (
	"github.com/apache/arrow-go/v18/arrow"
	arrowflight "github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// maxBatch bounds the bytes of one message of a stream, about: clients take at least four times that.
const maxBatch = 1 << 20

// info says where a schema's rows are to be had: here, by giving the command back.
func info(d *arrowflight.FlightDescriptor, schema *arrow.Schema) *arrowflight.FlightInfo {
	return ticketed(d, d.GetCmd(), schema)
}

func ticketed(d *arrowflight.FlightDescriptor, ticket []byte, schema *arrow.Schema) *arrowflight.FlightInfo {
	return &arrowflight.FlightInfo{
		Schema:           arrowflight.SerializeSchema(schema, memory.DefaultAllocator),
		FlightDescriptor: d,
		Endpoint:         []*arrowflight.FlightEndpoint{{Ticket: &arrowflight.Ticket{Ticket: ticket}}},
		TotalRecords:     -1,
		TotalBytes:       -1,
	}
}

// stream sends a batch, which it releases, in messages of maxBatch. A nil batch sends the schema alone.
func stream(schema *arrow.Schema, batch arrow.RecordBatch) (*arrow.Schema, <-chan arrowflight.StreamChunk, error) {
	parts := cut(batch)
	out := make(chan arrowflight.StreamChunk, len(parts)) // so that nobody has to read them
	for _, p := range parts {
		out <- arrowflight.StreamChunk{Data: p}
	}
	close(out)
	return schema, out, nil
}

// cut cuts a batch into slices of as many rows as fit into a message; it releases the batch.
func cut(batch arrow.RecordBatch) []arrow.RecordBatch {
	if batch == nil {
		return nil
	}
	size, rows := uint64(0), batch.NumRows()
	for _, c := range batch.Columns() {
		size += c.Data().SizeInBytes()
	}
	if size <= maxBatch || rows <= 1 {
		return []arrow.RecordBatch{batch}
	}
	defer batch.Release()
	step := max(1, int64(float64(rows)*maxBatch/float64(size)))
	var parts []arrow.RecordBatch
	for from := int64(0); from < rows; from += step {
		parts = append(parts, batch.NewSlice(from, min(from+step, rows)))
	}
	return parts
}
