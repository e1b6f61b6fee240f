package columns

import (
	"errors"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

const (
	// valuesAtOnce is how many values are decoded at once: enough to make a call cheap, few enough to stay in the first cache.
	valuesAtOnce = 1024
	// maxBytes is how many bytes of text a batch has at most, whose offsets are of 32 bits.
	maxBytes = 1<<31 - 1
	// largeBytes is up to where room for texts is doubled. Ingest lets a file ask for no more at once, so texts that fit into it must not ask for more.
	largeBytes = 512 << 20
)

var errBytes = errors.New("a batch of rows holds more than 2 GiB of text")

// chunk is what arrow-go reads a column of bytes with.
type chunk[V ~[]byte] interface {
	Descriptor() *schema.Column
	HasNext() bool
	ReadBatchInPage(size int64, values []V, definition, repetition []int16) (levels int64, n int, err error)
	Close() error
}

// open gives a reader of our own for a column, nil if there is none.
func open(group *file.RowGroupReader, field pqarrow.SchemaField, from memory.Allocator) (own, error) {
	t := field.Field.Type
	fixed, isFixed := t.(*arrow.FixedSizeBinaryType)
	if !isFixed && t.ID() != arrow.STRING && t.ID() != arrow.BINARY {
		return nil, nil //nolint:nilnil // no reader is no error
	}
	column, err := group.Column(field.ColIndex)
	if err != nil {
		return nil, err
	}
	flat := column.Descriptor().MaxRepetitionLevel() == 0 && column.Descriptor().MaxDefinitionLevel() <= 1
	switch c := column.(type) {
	case *file.ByteArrayColumnChunkReader:
		if flat && !isFixed {
			return newBytes[parquet.ByteArray](c, t, 0, from), nil
		}
	case *file.FixedLenByteArrayColumnChunkReader:
		if flat && isFixed {
			return newBytes[parquet.FixedLenByteArray](c, t, fixed.ByteWidth, from), nil
		}
	}
	return nil, nil //nolint:nilnil // as above
}

// bytesColumn reads a flat column of texts, or of values of a width. Values are copied once, from the page that they lie in.
type bytesColumn[V ~[]byte] struct {
	chunk    chunk[V]
	typ      arrow.DataType
	width    int // 0 for texts
	optional bool
	memory   memory.Allocator
	values   []V
	levels   []int16
	room     int // bytes of the last batch
}

func newBytes[V ~[]byte](c chunk[V], t arrow.DataType, width int, from memory.Allocator) *bytesColumn[V] {
	b := &bytesColumn[V]{chunk: c, typ: t, width: width, optional: c.Descriptor().MaxDefinitionLevel() > 0, memory: from, values: make([]V, valuesAtOnce)}
	if b.optional {
		b.levels = make([]int16, valuesAtOnce)
	}
	return b
}

// more says whether values are left.
func (c *bytesColumn[V]) more() bool { return c.chunk.HasNext() }

func (c *bytesColumn[V]) close() { _ = c.chunk.Close() } // it only gives memory back

// read gives the column's next values, so many as are asked for.
func (c *bytesColumn[V]) read(rows int) (arrow.Array, error) {
	out := newBuilder[V](c.memory, rows, c.width, spacious(c.room, c.room+c.room/8))
	defer out.release()
	for out.rows < rows {
		levels, n, err := c.chunk.ReadBatchInPage(int64(min(rows-out.rows, valuesAtOnce)), c.values, c.levels, nil)
		switch {
		case err != nil:
		case levels <= 0 || int64(n) > levels || !c.optional && int64(n) < levels:
			err = ErrLength
		case int64(n) == levels:
			err = out.append(c.values[:n])
		default:
			err = c.spaced(out, c.levels[:levels], c.values[:n])
		}
		if err != nil {
			return nil, err
		}
	}
	c.room = out.used
	return out.array(c.typ), nil
}

// spaced appends values and NULLs, as the levels say.
func (c *bytesColumn[V]) spaced(out *builder[V], levels []int16, values []V) error {
	for i := 0; i < len(levels); {
		from := i
		for i < len(levels) && levels[i] > 0 { // of a flat column there are two
			i++
		}
		if i-from > len(values) {
			return ErrLength
		}
		if err := out.append(values[:i-from]); err != nil {
			return err
		}
		values = values[i-from:]
		for ; i < len(levels) && levels[i] == 0; i++ {
			out.null()
		}
	}
	return nil
}

// builder makes an Arrow array in memory of an allocator.
type builder[V ~[]byte] struct {
	valid, offsets, data *memory.Buffer
	size, width          int // of the array in rows; of each value in bytes, 0 for texts
	rows, used, nulls    int
}

func newBuilder[V ~[]byte](from memory.Allocator, rows, width, room int) *builder[V] {
	b := &builder[V]{valid: memory.NewResizableBuffer(from), offsets: memory.NewResizableBuffer(from), data: memory.NewResizableBuffer(from), size: rows, width: width}
	if width > 0 {
		room = rows * width
	} else {
		b.offsets.Resize(arrow.Int32SizeBytes * (rows + 1))
		clear(b.starts()[:1])
	}
	b.data.Resize(room)
	return b
}

func (b *builder[V]) release() {
	for _, buffer := range []*memory.Buffer{b.valid, b.offsets, b.data} {
		buffer.Release()
	}
}

// starts are where texts begin; the last is where the last one ends.
func (b *builder[V]) starts() []int32 { return arrow.Int32Traits.CastFromBytes(b.offsets.Bytes()) }

func (b *builder[V]) append(values []V) error {
	if b.nulls > 0 {
		bitutil.SetBitsTo(b.valid.Bytes(), int64(b.rows), int64(len(values)), true)
	}
	if b.width > 0 {
		return b.fixed(values)
	}
	size := b.used
	for _, v := range values {
		size += len(v)
	}
	if size > maxBytes {
		return errBytes
	}
	if size > b.data.Len() {
		b.data.Resize(spacious(size, 2*b.data.Len()))
	}
	data, ends, at := b.data.Bytes(), b.starts()[b.rows+1:], b.used
	for i, v := range values {
		at += copy(data[at:], v)
		ends[i] = int32(at) //nolint:gosec // at most maxBytes
	}
	b.rows, b.used = b.rows+len(values), at
	return nil
}

// spacious is how much room there should be for texts of a size, so much as is wished for if that is not too much.
func spacious(size, wish int) int {
	most := largeBytes
	if size > most {
		most = maxBytes
	}
	return max(size, min(wish, most))
}

func (b *builder[V]) fixed(values []V) error {
	data := b.data.Bytes()[b.rows*b.width:]
	for i, v := range values {
		if len(v) != b.width {
			return ErrLength
		}
		copy(data[i*b.width:], v)
	}
	b.rows += len(values)
	return nil
}

func (b *builder[V]) null() {
	if b.nulls == 0 { // all before are there
		b.valid.Resize(int(bitutil.BytesForBits(int64(b.size))))
		clear(b.valid.Bytes())
		bitutil.SetBitsTo(b.valid.Bytes(), 0, int64(b.rows), true)
	}
	if b.width > 0 {
		clear(b.data.Bytes()[b.rows*b.width:][:b.width])
	} else {
		b.starts()[b.rows+1] = int32(b.used) //nolint:gosec // at most maxBytes
	}
	b.rows++
	b.nulls++
}

func (b *builder[V]) array(t arrow.DataType) arrow.Array {
	var valid *memory.Buffer
	if b.nulls > 0 {
		valid = b.valid
	}
	buffers := []*memory.Buffer{valid, b.data}
	if b.width == 0 {
		b.data.ResizeNoShrink(b.used)
		buffers = []*memory.Buffer{valid, b.offsets, b.data}
	}
	data := array.NewData(t, b.rows, buffers, nil, b.nulls, 0)
	defer data.Release()
	return array.MakeFromData(data)
}
