package flight

import (
	"context"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	arrowflight "github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// probeSchema is that of the answer to a probe.
var probeSchema = arrow.NewSchema([]arrow.Field{{Name: "1", Type: arrow.PrimitiveTypes.Int64, Nullable: true}}, nil)

// probes tells whether a text is the one by which tools and pools of connections try out whether a connection works. It reads nothing and is no query
// of the language, so that it is known by its words alone.
func probes(sql string) bool {
	return strings.EqualFold(strings.Join(strings.Fields(strings.TrimRight(sql, "; \t\r\n")), " "), "SELECT 1")
}

// known fails for people whom no collaboration knows: their connection does not work. A probe is of no collaboration, so that none has to be named.
func (s *service) known(ctx context.Context) error {
	if _, err := s.Asker.Rooms(ctx); err != nil {
		return failure(err)
	}
	return nil
}

func probed() (*arrow.Schema, <-chan arrowflight.StreamChunk, error) {
	b := array.NewRecordBuilder(memory.DefaultAllocator, probeSchema)
	defer b.Release()
	b.Field(0).(*array.Int64Builder).Append(1)
	return stream(probeSchema, b.NewRecordBatch())
}
