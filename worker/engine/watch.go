package engine

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// watched looks at the rows that pass: how much they are, whether their units ascend, and which units have more than one row. Units ascend as
// unsigned numbers, which is the order of their tokens.
type watched struct {
	array.RecordReader
	unit     int // -1: none
	rows     int64
	texts    int64 // bytes
	descents int64 // rows whose unit is lower than that of the row before
	last     uint64
	count    int64 // of rows of the last unit

	units, counts []int64 // those with more than one row, as long as none descended
}

// watch begins; unit is "" where rows have none.
func watch(reader array.RecordReader, unit string) (*watched, error) {
	if unit == "" {
		return &watched{RecordReader: reader, unit: -1}, nil
	}
	at := reader.Schema().FieldIndices(unit)
	if len(at) != 1 || reader.Schema().Field(at[0]).Type.ID() != arrow.INT64 {
		return nil, fmt.Errorf("column %q is no column of unit numbers", unit)
	}
	return &watched{RecordReader: reader, unit: at[0]}, nil
}

// Next moves to the next batch, once it was looked at.
func (w *watched) Next() bool {
	if !w.RecordReader.Next() {
		w.close()
		return false
	}
	batch := w.RecordBatch()
	for _, c := range batch.Columns() {
		if t, ok := c.(*array.String); ok && t.Len() > 0 {
			offsets := t.ValueOffsets()
			w.texts += int64(offsets[t.Len()] - offsets[0])
		}
	}
	if w.unit < 0 {
		w.rows += batch.NumRows()
		return true
	}
	for _, u := range batch.Column(w.unit).(*array.Int64).Int64Values() {
		w.row(uint64(u)) //nolint:gosec // the bits of a token
	}
	return true
}

func (w *watched) row(unit uint64) {
	switch {
	case w.rows > 0 && unit == w.last:
		w.count++
	case unit < w.last:
		w.descents++
		w.units, w.counts = nil, nil
		fallthrough
	default:
		w.close()
		w.last, w.count = unit, 1
	}
	w.rows++
}

// close ends a unit.
func (w *watched) close() {
	if w.count > 1 && w.descents == 0 {
		w.units, w.counts = append(w.units, int64(w.last)), append(w.counts, w.count) //nolint:gosec // the bits of a token
	}
	w.count = 0
}

// ascends says that all rows came in the order of their units.
func (w *watched) ascends() bool { return w.descents == 0 }

// stretch is how many rows between two that descend make an order that is as good as sorted: those of several row groups of the engine.
const stretch = 1 << 18

// nearly says that the rows came in long stretches of ascending units, as those of a dataset do that was sealed in several runs.
func (w *watched) nearly() bool { return w.descents <= w.rows/stretch+1 }

// heavyRows are those of a batch of heavy.
const heavyRows = 1 << 17

// heavy reads the units with more than one row: columns u and n.
func (w *watched) heavy() (array.RecordReader, error) {
	schema := arrow.NewSchema([]arrow.Field{{Name: "u", Type: arrow.PrimitiveTypes.Int64}, {Name: "n", Type: arrow.PrimitiveTypes.Int64}}, nil)
	columns := make([]arrow.Array, 2)
	for i, list := range [][]int64{w.units, w.counts} {
		data := array.NewData(arrow.PrimitiveTypes.Int64, len(list), []*memory.Buffer{nil, memory.NewBufferBytes(arrow.Int64Traits.CastToBytes(list))}, nil, 0, 0)
		columns[i] = array.MakeFromData(data)
		data.Release()
		defer columns[i].Release()
	}
	batch := array.NewRecordBatch(schema, columns, int64(len(w.units)))
	defer batch.Release()
	var parts []arrow.RecordBatch
	for from := int64(0); from < batch.NumRows(); from += heavyRows {
		parts = append(parts, batch.NewSlice(from, min(from+heavyRows, batch.NumRows())))
	}
	defer func() {
		for _, p := range parts {
			p.Release()
		}
	}()
	return array.NewRecordReader(schema, parts)
}
