package ingest

import (
	"math"
	"strconv"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
)

// wholeFeeder gives integers.
func wholeFeeder[T int8 | int16 | int32 | int64 | uint8 | uint16 | uint32](kind string, values []T) feeder {
	f := feeder{text: func(dst []byte, row int) []byte { return strconv.AppendInt(dst, int64(values[row]), 10) }}
	switch kind {
	case "integer":
		f.feed = func(c column, row int) outcome {
			v, into := int64(values[row]), c.(*fixed[int32])
			if int64(int32(v)) != v {
				return unfit
			}
			return into.put(int32(v), float64(v), into.check.whole(v))
		}
	case "bigint":
		f.feed = func(c column, row int) outcome {
			v, into := int64(values[row]), c.(*fixed[int64])
			return into.put(v, float64(v), into.check.whole(v))
		}
	}
	return f
}

// realFeeder gives floating-point numbers; to integers those that are whole.
func realFeeder[T float32 | float64](kind string, values []T, bits int) feeder {
	f := feeder{text: func(dst []byte, row int) []byte { return strconv.AppendFloat(dst, float64(values[row]), 'f', -1, bits) }}
	if kind != "double" && kind != "decimal" {
		return f
	}
	if bits == 32 { // the shortest decimal is what was meant: 0.1 and not 0.10000000149
		return f
	}
	f.feed = func(c column, row int) outcome {
		v, into := float64(values[row]), c.(*fixed[float64])
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return into.put(0, 0, notFinite)
		}
		return into.put(v, v, into.check.real(v))
	}
	return f
}

// Times are of the years 1 to 9999, as those in texts are: what the engine does not compute with would fail every query that reads it.
const (
	firstDay, lastDay = -719_162, 2_932_896 // days since 1970
	microsADay        = 86_400_000_000
)

// dayFeeder gives days since 1970 to dates, and their first moments to timestamps.
func dayFeeder(kind string, day func(row int) (int64, bool)) feeder {
	if kind == "timestamp" {
		return momentFeeder(kind, func(row int) (int64, bool) {
			v, ok := day(row)
			return v * microsADay, ok && firstDay <= v && v <= lastDay
		})
	}
	return feeder{
		feed: func(c column, row int) outcome {
			v, ok := day(row)
			if !ok || v < firstDay || v > lastDay {
				return unfit
			}
			into := c.(*fixed[int32])
			return into.put(int32(v), 0, into.check.moment(v))
		},
		text: func(dst []byte, row int) []byte {
			v, _ := day(row)
			return time.Unix(v*86_400, 0).UTC().AppendFormat(dst, time.DateOnly)
		},
	}
}

// momentFeeder gives microseconds since 1970 to timestamps, and those of midnight to dates.
func momentFeeder(kind string, moment func(row int) (int64, bool)) feeder {
	text := func(dst []byte, row int) []byte {
		v, _ := moment(row)
		return time.UnixMicro(v).UTC().AppendFormat(dst, "2006-01-02 15:04:05.999999")
	}
	if kind == "date" {
		f := dayFeeder(kind, func(row int) (int64, bool) {
			v, ok := moment(row)
			if !ok {
				return 0, false
			}
			return exactly(v, microsADay)
		})
		f.text = text
		return f
	}
	return feeder{
		feed: func(c column, row int) outcome {
			v, ok := moment(row)
			if !ok || v < firstDay*microsADay || v >= (lastDay+1)*microsADay {
				return unfit
			}
			into := c.(*fixed[int64])
			return into.put(v, 0, into.check.moment(v))
		},
		text: text,
	}
}

func exactly(v, unit int64) (int64, bool) { return v / unit, v%unit == 0 }

// microseconds converts a moment; nanoseconds are cut as those of text are, towards the past.
func microseconds(v int64, unit arrow.TimeUnit) (int64, bool) {
	scale := int64(1)
	switch unit {
	case arrow.Second:
		scale = 1_000_000
	case arrow.Millisecond:
		scale = 1000
	case arrow.Nanosecond:
		q := v / 1000
		if v%1000 < 0 {
			q--
		}
		return q, true
	}
	return v * scale, v <= math.MaxInt64/scale && v >= math.MinInt64/scale
}
