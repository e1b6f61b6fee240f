package storage

import (
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// gathers says that gather knows a type.
func gathers(t arrow.DataType) bool {
	if t.ID() == arrow.STRING || t.ID() == arrow.BOOL {
		return true
	}
	fixed, ok := t.(arrow.FixedWidthDataType)
	if !ok || t.ID() == arrow.DICTIONARY {
		return false
	}
	switch fixed.BitWidth() {
	case 32, 64, 8 * tokenBytes:
		return true
	}
	return false
}

// rows are the rows of a run, texts that repeat as numbers.
type rows struct {
	schema  *arrow.Schema // with numbered texts as codeType
	batches []arrow.RecordBatch
	codes   []*coded // by column; nil where the texts don't repeat
}

func newRows(schema *arrow.Schema, batches []arrow.RecordBatch) *rows {
	r := &rows{batches: batches}
	fields := slices.Clone(schema.Fields())
	for i := range fields {
		c := code(batches, i)
		if c != nil {
			fields[i].Type = codeType
		}
		r.codes = append(r.codes, c)
	}
	r.schema = arrow.NewSchema(fields, nil)
	return r
}

// gather makes one batch of the rows at the given places. Its values lie in the scratch.
func (r *rows) gather(places []place, s *scratch) arrow.RecordBatch {
	columns := make([]arrow.Array, r.schema.NumFields())
	for i, f := range r.schema.Fields() {
		columns[i] = s.column(f.Type, r.codes[i], chunksOf(r.batches, i), places)
		defer columns[i].Release()
	}
	return array.NewRecordBatch(r.schema, columns, int64(len(places)))
}

func chunksOf(batches []arrow.RecordBatch, column int) []arrow.Array {
	out := make([]arrow.Array, len(batches))
	for i, b := range batches {
		out[i] = b.Column(column)
	}
	return out
}

func (s *scratch) column(t arrow.DataType, codes *coded, chunks []arrow.Array, places []place) arrow.Array {
	valid, nulls := s.validity(chunks, places)
	buffers := []*memory.Buffer{valid}
	switch {
	case codes != nil:
		buffers = append(buffers, fixed(s, codes.numbers, places, 4, arrow.Uint32Traits.CastFromBytes))
		data := array.NewDataWithDictionary(t, len(places), buffers, nulls, 0, codes.texts.Data().(*array.Data))
		defer data.Release()
		return array.NewDictionaryData(data)
	case t.ID() == arrow.STRING:
		buffers = append(buffers, s.texts(chunks, places)...)
	case t.ID() == arrow.BOOL:
		buffers = append(buffers, s.bools(chunks, places))
	default:
		switch t.(arrow.FixedWidthDataType).BitWidth() {
		case 32:
			buffers = append(buffers, fixed(s, cast(chunks, 4, arrow.Uint32Traits.CastFromBytes), places, 4, arrow.Uint32Traits.CastFromBytes))
		case 64:
			buffers = append(buffers, fixed(s, cast(chunks, 8, arrow.Uint64Traits.CastFromBytes), places, 8, arrow.Uint64Traits.CastFromBytes))
		default:
			buffers = append(buffers, s.tokens(chunks, places))
		}
	}
	data := array.NewData(t, len(places), buffers, nil, nulls, 0)
	defer data.Release()
	return array.MakeFromData(data)
}

// validity gives the bitmap of values that are there; none where all are.
func (s *scratch) validity(chunks []arrow.Array, places []place) (*memory.Buffer, int) {
	some := false
	for _, c := range chunks {
		some = some || c.NullN() > 0
	}
	if !some {
		return nil, 0
	}
	bits, nulls := s.bytes(int(bitutil.BytesForBits(int64(len(places))))), 0
	clear(bits)
	for i, p := range places {
		if chunks[p.batch].IsNull(int(p.row)) {
			nulls++
		} else {
			bitutil.SetBit(bits, i)
		}
	}
	return memory.NewBufferBytes(bits), nulls
}

// values are the bytes of fixed-width values, from the chunk's first on.
func values(chunk arrow.Array, width int) []byte {
	data := chunk.Data()
	if data.Len() == 0 {
		return nil
	}
	return data.Buffers()[1].Bytes()[data.Offset()*width:][:data.Len()*width]
}

func cast[T uint32 | uint64](chunks []arrow.Array, width int, from func([]byte) []T) [][]T {
	out := make([][]T, len(chunks))
	for i, c := range chunks {
		out[i] = from(values(c, width))
	}
	return out
}

func fixed[T uint32 | uint64](s *scratch, source [][]T, places []place, width int, from func([]byte) []T) *memory.Buffer {
	bytes := s.bytes(width * len(places))
	out := from(bytes)
	for i, p := range places {
		out[i] = source[p.batch][p.row]
	}
	return memory.NewBufferBytes(bytes)
}

func (s *scratch) tokens(chunks []arrow.Array, places []place) *memory.Buffer {
	source := make([][]byte, len(chunks))
	for i, c := range chunks {
		source[i] = values(c, tokenBytes)
	}
	out := s.bytes(len(places) * tokenBytes)
	for i, p := range places {
		*(*[tokenBytes]byte)(out[i*tokenBytes:]) = [tokenBytes]byte(source[p.batch][int(p.row)*tokenBytes:])
	}
	return memory.NewBufferBytes(out)
}

func (s *scratch) bools(chunks []arrow.Array, places []place) *memory.Buffer {
	out := s.bytes(int(bitutil.BytesForBits(int64(len(places)))))
	clear(out)
	for i, p := range places {
		if chunks[p.batch].(*array.Boolean).Value(int(p.row)) {
			bitutil.SetBit(out, i)
		}
	}
	return memory.NewBufferBytes(out)
}

// texts gives offsets and bytes. A file's bytes stay below what 32-bit offsets reach: parts cuts by size.
func (s *scratch) texts(chunks []arrow.Array, places []place) []*memory.Buffer {
	type chunk struct {
		offsets []int32
		bytes   []byte
	}
	source := make([]chunk, len(chunks))
	for i, c := range chunks {
		if c.Len() > 0 {
			source[i] = chunk{c.(*array.String).ValueOffsets(), nil}
			if b := c.Data().Buffers()[2]; b != nil {
				source[i].bytes = b.Bytes()
			}
		}
	}
	bytes, size := s.bytes(arrow.Int32SizeBytes*(len(places)+1)), int32(0)
	offsets := arrow.Int32Traits.CastFromBytes(bytes)
	offsets[0] = 0
	for i, p := range places {
		c := &source[p.batch]
		size += c.offsets[p.row+1] - c.offsets[p.row]
		offsets[i+1] = size
	}
	out := s.bytes(int(size))[:0]
	for _, p := range places {
		c := &source[p.batch]
		out = append(out, c.bytes[c.offsets[p.row]:c.offsets[p.row+1]]...)
	}
	return []*memory.Buffer{memory.NewBufferBytes(bytes), memory.NewBufferBytes(out)}
}
