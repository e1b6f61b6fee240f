package ingest

import (
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"concordat.dev/worker/token"
)

// outcome is what became of one field.
type outcome uint8

const (
	fine outcome = iota
	null
	outOfDomain
	outOfBounds
	notFinite
	unfit // a type error: the row is bad
)

// column collects one column of a block in the layout of Arrow. It is ours rather than an Arrow builder because a bad row is taken back.
type column interface {
	add(field []byte) outcome // appends one value, or NULL; unfit appends nothing
	truncate(rows int)
	keep(rows []bool) // drops the rows that are false
	finish() arrow.Array
	cause() string // what to tell of an unfit value
}

// newColumn makes an empty column of a policy's type with room for some rows.
func newColumn(kind string, check *check, room int, read reading) column {
	typ := arrowTypes[kind]
	switch kind {
	case "boolean":
		return &booleans{check: check}
	case "integer":
		return &fixed[int32]{typ: typ, check: check, values: make([]int32, 0, room), want: "not an integer of 32 bits", parse: func(b []byte) (int32, float64, outcome) {
			v, ok := integer(b)
			if !ok || int64(int32(v)) != v {
				return 0, 0, unfit
			}
			return int32(v), float64(v), check.whole(v)
		}}
	case "bigint":
		return &fixed[int64]{typ: typ, check: check, values: make([]int64, 0, room), want: "not an integer of 64 bits", parse: func(b []byte) (int64, float64, outcome) {
			v, ok := integer(b)
			if !ok {
				return 0, 0, unfit
			}
			return v, float64(v), check.whole(v)
		}}
	case "double", "decimal":
		return &fixed[float64]{typ: typ, check: check, values: make([]float64, 0, room), want: read.number(), parse: func(b []byte) (float64, float64, outcome) {
			v, ok := read.double(b)
			switch {
			case !ok:
				return 0, 0, unfit
			case v-v != 0: // NaN and infinities
				return 0, 0, notFinite
			}
			return v, v, check.real(v)
		}}
	case "date":
		return &fixed[int32]{typ: typ, check: check, values: make([]int32, 0, room), want: "not a date " + read.pattern, parse: func(b []byte) (int32, float64, outcome) {
			v, ok := read.date(b)
			if !ok {
				return 0, 0, unfit
			}
			return v, 0, check.moment(int64(v))
		}}
	case "timestamp":
		return &fixed[int64]{typ: typ, check: check, values: make([]int64, 0, room), want: "not a timestamp " + read.pattern + " HH:MM[:SS], perhaps with Z or an offset", parse: func(b []byte) (int64, float64, outcome) {
			v, ok := read.timestamp(b)
			if !ok {
				return 0, 0, unfit
			}
			return v, 0, check.moment(v)
		}}
	}
	return &texts{check: check, uuid: kind == "uuid", offsets: append(make([]int32, 0, room+1), 0)}
}

// validity is a bitmap that appears with the first NULL.
type validity struct {
	bits  []byte
	n     int
	nulls int
}

func (v *validity) append(valid bool) {
	if !valid {
		v.nulls++
		if v.bits == nil {
			v.bits = make([]byte, v.n/8, v.n/4+64)
			for i := range v.bits {
				v.bits[i] = 0xff
			}
			if rest := v.n % 8; rest != 0 {
				v.bits = append(v.bits, 1<<rest-1)
			}
		}
	}
	if v.bits != nil {
		if v.n%8 == 0 {
			v.bits = append(v.bits, 0)
		}
		if valid {
			v.bits[v.n/8] |= 1 << (v.n % 8)
		}
	}
	v.n++
}

func (v *validity) at(i int) bool { return v.bits == nil || v.bits[i/8]>>(i%8)&1 != 0 }

func (v *validity) truncate(n int) {
	for v.n > n {
		v.n--
		if !v.at(v.n) {
			v.nulls--
		}
		if v.bits != nil {
			v.bits[v.n/8] &^= 1 << (v.n % 8)
			v.bits = v.bits[:(v.n+7)/8]
		}
	}
}

func (v *validity) keep(rows []bool) {
	old := *v
	*v = validity{}
	for i, keep := range rows {
		if keep {
			v.append(old.at(i))
		}
	}
}

func (v *validity) buffer() *memory.Buffer {
	if v.nulls == 0 {
		return nil
	}
	return memory.NewBufferBytes(v.bits)
}

type fixed[T int32 | int64 | float64] struct {
	validity
	typ    arrow.DataType
	check  *check
	want   string
	parse  func([]byte) (value T, measure float64, o outcome)
	values []T
}

func (c *fixed[T]) add(field []byte) outcome {
	field = strip(field)
	if len(field) == 0 {
		c.append(false)
		c.values = append(c.values, 0)
		return null
	}
	return c.put(c.parse(field))
}

// put appends a value that was judged, or NULL in its place.
func (c *fixed[T]) put(v T, measure float64, o outcome) outcome {
	switch o {
	case unfit:
		return unfit
	case fine:
		if c.check.outside(measure) {
			o = outOfBounds
		}
	default:
		c.append(false)
		c.values = append(c.values, 0)
		return o
	}
	c.append(true)
	c.values = append(c.values, v)
	return o
}

func (c *fixed[T]) cause() string { return c.want }

func (c *fixed[T]) truncate(n int) {
	c.validity.truncate(n)
	c.values = c.values[:n]
}

func (c *fixed[T]) keep(rows []bool) {
	c.validity.keep(rows)
	c.values = compact(c.values, rows)
}

func compact[T any](values []T, rows []bool) []T {
	out := values[:0]
	for i, keep := range rows {
		if keep {
			out = append(out, values[i])
		}
	}
	return out
}

func (c *fixed[T]) finish() arrow.Array {
	return newArray(c.typ, c.n, c.nulls, c.buffer(), memory.NewBufferBytes(arrow.GetBytes(c.values)))
}

func newArray(typ arrow.DataType, rows, nulls int, buffers ...*memory.Buffer) arrow.Array {
	data := array.NewData(typ, rows, buffers, nil, nulls, 0)
	defer data.Release()
	return array.MakeFromData(data)
}

// booleans collects truth values.
type booleans struct {
	validity
	check  *check
	values validity // its bits are the values
}

func (c *booleans) add(field []byte) outcome {
	field = strip(field)
	if len(field) == 0 {
		return c.put(false, null)
	}
	v, ok := boolean(field)
	if !ok {
		return unfit
	}
	return c.put(v, c.check.truth(v))
}

func (c *booleans) put(v bool, o outcome) outcome {
	c.append(o == fine)
	c.values.append(v && o == fine)
	return o
}

func (c *booleans) cause() string { return "not a boolean (true, false, t, f, 1, 0, yes, no)" }

func (c *booleans) truncate(n int) {
	c.validity.truncate(n)
	c.values.truncate(n)
}

func (c *booleans) keep(rows []bool) {
	c.validity.keep(rows)
	c.values.keep(rows)
}

func (c *booleans) finish() arrow.Array {
	bits := c.values.bits
	if bits == nil { // all true
		bits = make([]byte, (c.n+7)/8)
		for i := range bits {
			bits[i] = 0xff
		}
	}
	return newArray(arrow.FixedWidthTypes.Boolean, c.n, c.nulls, c.buffer(), memory.NewBufferBytes(bits))
}

// tokens is the unit column; ingest appends to it directly, after the identifier was judged.
type tokens []token.Token

// finish hands its memory over: tokens lie in it as Arrow wants them.
func (t tokens) finish() arrow.Array {
	flat := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(t))), len(t)*token.Size) //nolint:gosec // a token is an array of bytes
	return newArray(TokenType, len(t), 0, nil, memory.NewBufferBytes(flat))
}
