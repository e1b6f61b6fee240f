package ingest

import (
	"math"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// whole says how an array goes over to a column as a whole, where its type is the column's own; nil where each value has to be looked at.
func whole(kind string, a arrow.Array) func(column, *ColumnReport) bool {
	switch a := a.(type) {
	case *array.Int32:
		if kind == "integer" {
			return numbersOf(a, a.Int32Values(), math.MinInt32, math.MaxInt32)
		}
	case *array.Int64:
		if kind == "bigint" {
			return numbersOf(a, a.Int64Values(), math.MinInt64, math.MaxInt64)
		}
	case *array.Float64:
		if kind == "double" || kind == "decimal" {
			return numbersOf(a, a.Float64Values(), -math.MaxFloat64, math.MaxFloat64)
		}
	case *array.Date32:
		if kind == "date" {
			return timesOf(a, arrow.Int32Traits.CastFromBytes(arrow.Date32Traits.CastToBytes(a.Date32Values())), firstDay, lastDay)
		}
	case *array.Timestamp:
		if kind == "timestamp" && a.DataType().(*arrow.TimestampType).Unit == arrow.Microsecond {
			return timesOf(a, arrow.Int64Traits.CastFromBytes(arrow.TimestampTraits.CastToBytes(a.TimestampValues())), firstDay*microsADay, lastDay*microsADay+microsADay-1)
		}
	case *array.String:
		if kind == "varchar" && a.NullN() == 0 && a.Len() > 0 {
			return textsOf(a)
		}
	}
	return nil
}

// numbersOf takes numbers between two that the column can hold.
func numbersOf[T int32 | int64 | float64](a arrow.Array, values []T, first, last T) func(column, *ColumnReport) bool {
	return func(c column, counts *ColumnReport) bool {
		into := c.(*fixed[T])
		if into.check.domain || !between(a, values, first, last) {
			return false
		}
		if into.check.bounded() {
			for i, v := range values {
				if into.check.outside(float64(v)) && !nullAt(a, i) {
					counts.OutOfBounds++
				}
			}
		}
		into.take(a, values, counts)
		return true
	}
}

// timesOf takes days or microseconds since 1970 between two.
func timesOf[T int32 | int64](a arrow.Array, values []T, first, last T) func(column, *ColumnReport) bool {
	return func(c column, counts *ColumnReport) bool {
		into := c.(*fixed[T])
		if into.check.domain || into.check.bounded() || !between(a, values, first, last) {
			return false
		}
		into.take(a, values, counts)
		return true
	}
}

// nullAt says that a value is not there: a file that claims to have no NULLs has none, whatever its bitmap says.
func nullAt(a arrow.Array, i int) bool { return a.NullN() > 0 && a.IsNull(i) }

// between says whether all values that are there lie between first and last; NaN never does.
func between[T int32 | int64 | float64](a arrow.Array, values []T, first, last T) bool {
	for i, v := range values {
		if !(first <= v && v <= last) && !nullAt(a, i) { //nolint:staticcheck // for NaN it is not the same the other way round
			return false
		}
	}
	return true
}

// take appends the values of an array, zeros in place of NULL: what lies there is no value.
func (c *fixed[T]) take(a arrow.Array, values []T, counts *ColumnReport) {
	from := len(c.values)
	c.values = append(c.values, values...)
	if a.NullN() == 0 {
		c.fill(len(values))
		return
	}
	for i := range values {
		valid := a.IsValid(i)
		c.append(valid)
		if !valid {
			c.values[from+i] = 0
			counts.Nulls++
		}
	}
}

// fill appends values that are there.
func (v *validity) fill(n int) {
	if v.bits == nil {
		v.n += n
		return
	}
	for range n {
		v.append(true)
	}
}

// textsOf takes texts of which none is empty.
func textsOf(a *array.String) func(column, *ColumnReport) bool {
	return func(c column, _ *ColumnReport) bool {
		into, offsets := c.(*texts), a.ValueOffsets()
		first, last := offsets[0], offsets[len(offsets)-1]
		values := a.Data().Buffers()[2]
		if into.check.domain || values == nil || first > last || first < 0 || int(last) > values.Len() {
			return false
		}
		all := values.Bytes()[first:last]
		if !utf8.Valid(all) {
			return false
		}
		from := first
		for _, to := range offsets[1:] {
			if to <= from || to > last || !utf8.RuneStart(all[from-first]) { // each by itself has to be text
				return false
			}
			from = to
		}
		at := int32(len(into.data)) - first //nolint:gosec // a column of a piece stays below 2 GiB, as its array does
		for _, to := range offsets[1:] {
			into.offsets = append(into.offsets, at+to)
		}
		into.data = append(into.data, all...)
		into.fill(a.Len())
		return true
	}
}
