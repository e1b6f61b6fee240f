package ingest

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// feeder gives the values of one Arrow array to a column: feed as what they are, text as a CSV file would write them.
type feeder struct {
	feed func(c column, row int) outcome
	text func(dst []byte, row int) []byte          // nothing for NULL
	lies func(row int) []byte                      // text where it lies, to be read only; nil where text has to be made
	all  func(c column, counts *ColumnReport) bool // all values to an empty column; false if it did nothing, since some need a closer look
}

// read gives text where it lies, or else in the room.
func (f feeder) read(room *[]byte, row int) []byte {
	if f.lies != nil {
		return f.lies(row)
	}
	*room = f.text((*room)[:0], row)
	return *room
}

// newFeeder says how an array's values become those of a policy's type; an error says that its type doesn't fit.
func newFeeder(kind string, a arrow.Array) (feeder, error) {
	if d, ok := a.(*array.Dictionary); ok {
		values, err := newFeeder(kind, d.Dictionary())
		if err != nil {
			return feeder{}, err
		}
		return values.where(d, d.GetValueIndex), nil
	}
	if e, ok := a.(array.ExtensionArray); ok {
		return newFeeder(kind, e.Storage())
	}
	f, fits := typed(kind, a)
	if !fits || f.text == nil {
		return feeder{}, fmt.Errorf("is %s in the file and %s in the policy: convert it, or write it as text", a.DataType(), kind)
	}
	if f.feed == nil {
		made := f
		var room []byte // a feeder belongs to one goroutine
		f.feed = func(c column, row int) outcome { return c.add(made.read(&room, row)) }
	}
	all := whole(kind, a)
	if a.NullN() > 0 {
		f = f.where(a, func(row int) int { return row })
	}
	f.all = all
	return f, nil
}

// where feeds NULL where an array has it, and elsewhere the value at the place that is said.
func (f feeder) where(a arrow.Array, place func(row int) int) feeder {
	out := feeder{
		feed: func(c column, row int) outcome {
			if a.IsNull(row) {
				return c.add(nil)
			}
			return f.feed(c, place(row))
		},
		text: func(dst []byte, row int) []byte {
			if a.IsNull(row) {
				return dst
			}
			return f.text(dst, place(row))
		},
	}
	if f.lies != nil {
		out.lies = func(row int) []byte {
			if a.IsNull(row) {
				return nil
			}
			return f.lies(place(row))
		}
	}
	return out
}

// typed covers what isn't NULL. Without feed, text is read as a CSV field is.
func typed(kind string, a arrow.Array) (f feeder, fits bool) {
	whole := slices.Contains([]string{"integer", "bigint"}, kind)
	real := slices.Contains([]string{"double", "decimal"}, kind)
	text := kind == "varchar"
	switch a := a.(type) {
	case *array.Null:
		return feeder{text: func(dst []byte, _ int) []byte { return dst }}, true
	case *array.String:
		return textFeeder(a), true
	case *array.LargeString:
		return bytesFeeder(a.Value), true
	case *array.StringView:
		return bytesFeeder(a.Value), true
	case *array.Binary:
		return bytesFeeder(a.Value), true
	case *array.LargeBinary:
		return bytesFeeder(a.Value), true
	case *array.Boolean:
		return feeder{feed: func(c column, row int) outcome {
			b, v := c.(*booleans), a.Value(row)
			return b.put(v, b.check.truth(v))
		}, text: func(dst []byte, row int) []byte { return strconv.AppendBool(dst, a.Value(row)) }}, kind == "boolean"
	case *array.Int8:
		return wholeFeeder(kind, a.Int8Values()), whole || real || text
	case *array.Int16:
		return wholeFeeder(kind, a.Int16Values()), whole || real || text
	case *array.Int32:
		return wholeFeeder(kind, a.Int32Values()), whole || real || text
	case *array.Int64:
		return wholeFeeder(kind, a.Int64Values()), whole || real || text
	case *array.Uint8:
		return wholeFeeder(kind, a.Uint8Values()), whole || real || text
	case *array.Uint16:
		return wholeFeeder(kind, a.Uint16Values()), whole || real || text
	case *array.Uint32:
		return wholeFeeder(kind, a.Uint32Values()), whole || real || text
	case *array.Uint64:
		return feeder{text: func(dst []byte, row int) []byte { return strconv.AppendUint(dst, a.Value(row), 10) }}, whole || real || text
	case *array.Float32:
		return realFeeder(kind, a.Float32Values(), 32), whole || real
	case *array.Float64:
		return realFeeder(kind, a.Float64Values(), 64), whole || real
	case *array.Decimal32, *array.Decimal64, *array.Decimal128, *array.Decimal256:
		return feeder{text: func(dst []byte, row int) []byte { return append(dst, a.ValueStr(row)...) }}, whole || real
	case *array.Date32:
		return dayFeeder(kind, func(row int) (int64, bool) { return int64(a.Value(row)), true }), kind == "date" || kind == "timestamp"
	case *array.Date64:
		return dayFeeder(kind, func(row int) (int64, bool) { return exactly(int64(a.Value(row)), 86_400_000) }), kind == "date" || kind == "timestamp"
	case *array.Timestamp:
		unit := a.DataType().(*arrow.TimestampType).Unit
		return momentFeeder(kind, func(row int) (int64, bool) { return microseconds(int64(a.Value(row)), unit) }), kind == "date" || kind == "timestamp"
	case *array.FixedSizeBinary:
		return feeder{text: func(dst []byte, row int) []byte { return appendUUID(dst, a.Value(row)) }}, kind == "uuid" && a.DataType().(*arrow.FixedSizeBinaryType).ByteWidth == 16
	}
	return feeder{}, false
}

// textFeeder gives texts where they lie.
func textFeeder(a *array.String) feeder {
	f := bytesFeeder(a.Value)
	if values := a.Data().Buffers()[2]; a.Len() > 0 && values != nil {
		offsets, texts := a.ValueOffsets(), slices.Clip(values.Bytes()) // what lies behind the texts is no text, whatever the offsets say
		f.lies = func(row int) []byte { return texts[offsets[row]:offsets[row+1]:offsets[row+1]] }
	}
	return f
}

func bytesFeeder[T string | []byte](value func(int) T) feeder {
	return feeder{text: func(dst []byte, row int) []byte { return append(dst, value(row)...) }}
}

func appendUUID(dst, b []byte) []byte {
	for i, n := range []int{4, 2, 2, 2, 6} {
		if i > 0 {
			dst = append(dst, '-')
		}
		dst = hex.AppendEncode(dst, b[:n])
		b = b[n:]
	}
	return dst
}
