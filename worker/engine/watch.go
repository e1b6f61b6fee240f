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

	units, counts []int64      // those with more than one row, as long as none descended: the last of them
	full          [][2][]int64 // and those before, heavyRows each: a list that grows is copied again and again
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
		w.units, w.counts, w.full = nil, nil, nil
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
		if len(w.units) == heavyRows {
			w.full = append(w.full, [2][]int64{w.units, w.counts})
			w.units, w.counts = make([]int64, 0, heavyRows), make([]int64, 0, heavyRows)
		}
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
	var parts []arrow.RecordBatch
	defer func() {
		for _, p := range parts {
			p.Release()
		}
	}()
	for _, lists := range append(w.full, [2][]int64{w.units, w.counts}) {
		if len(lists[0]) > 0 {
			parts = append(parts, numbers(schema, lists[:]))
		}
	}
	return array.NewRecordReader(schema, parts)
}

// numbers makes a batch of columns of numbers, which lie in it as they are.
func numbers(schema *arrow.Schema, lists [][]int64) arrow.RecordBatch {
	columns := make([]arrow.Array, len(lists))
	for i, list := range lists {
		data := array.NewData(arrow.PrimitiveTypes.Int64, len(list), []*memory.Buffer{nil, memory.NewBufferBytes(arrow.Int64Traits.CastToBytes(list))}, nil, 0, 0)
		columns[i] = array.MakeFromData(data)
		data.Release()
		defer columns[i].Release()
	}
	return array.NewRecordBatch(schema, columns, int64(len(lists[0])))
}
