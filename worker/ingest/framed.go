package ingest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	flatbuffers "github.com/google/flatbuffers/go"
)

// framed hands on an Arrow IPC stream message by message, after it has looked at what the message says of itself: arrow-go allocates what a
// vector claims to be long, and a few bytes could ask for more memory than any machine has. Format: https://arrow.apache.org/docs/format/Columnar.html,
// field numbers from Message.fbs and Schema.fbs.
type framed struct {
	r       io.Reader
	pending []byte // of the current message's prefix and metadata
	body    int64  // that is still to come
	end     bool
}

const (
	maxBatchRows = 1 << 26
	maxNesting   = 16
	maxBuffers   = 1 << 16
)

var errFrame = errors.New("a message is not what Arrow IPC asks for")

func (f *framed) Read(b []byte) (int, error) {
	for len(f.pending) == 0 && f.body == 0 {
		if f.end {
			return 0, io.EOF
		}
		if err := f.message(); err != nil {
			return 0, err
		}
	}
	if len(f.pending) > 0 {
		n := copy(b, f.pending)
		f.pending = f.pending[n:]
		return n, nil
	}
	n, err := f.r.Read(b[:min(int64(len(b)), f.body)])
	f.body -= int64(n)
	if errors.Is(err, io.EOF) && f.body > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// message reads prefix and metadata of the next message.
func (f *framed) message() error {
	prefix := make([]byte, 4, 8)
	if _, err := io.ReadFull(f.r, prefix); errors.Is(err, io.EOF) {
		f.end = true
		return nil
	} else if err != nil {
		return err
	}
	if binary.LittleEndian.Uint32(prefix) == 0xffffffff { // streams before Arrow 0.15 lack the mark
		prefix = append(prefix, 0, 0, 0, 0)
		if _, err := io.ReadFull(f.r, prefix[4:]); err != nil {
			return err
		}
	}
	n := binary.LittleEndian.Uint32(prefix[len(prefix)-4:])
	if n == 0 {
		f.pending, f.end = prefix, true
		return nil
	}
	if n > maxMetadata {
		return fmt.Errorf("%w: metadata of %d bytes", errFrame, n)
	}
	metadata := make([]byte, n)
	if _, err := io.ReadFull(f.r, metadata); err != nil {
		return err
	}
	body, err := checkMessage(metadata)
	if err != nil {
		return err
	}
	f.pending, f.body = append(prefix, metadata...), body
	return nil
}

// checkMessage gives the length of the body that belongs to a message's metadata.
func checkMessage(metadata []byte) (body int64, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errFrame, p)
		}
	}()
	t := flatbuffers.Table{Bytes: metadata, Pos: flatbuffers.GetUOffsetT(metadata)}
	const headerType, header, bodyLength = 6, 8, 10
	if o := t.Offset(bodyLength); o != 0 {
		body = t.GetInt64(t.Pos + flatbuffers.UOffsetT(o))
	}
	if body < 0 || body > maxAllocation {
		return 0, fmt.Errorf("%w: a batch of %d bytes, at most %d; write smaller batches", errFrame, body, maxAllocation)
	}
	kind := byte(0)
	if o := t.Offset(headerType); o != 0 {
		kind = t.GetByte(t.Pos + flatbuffers.UOffsetT(o))
	}
	inner, ok := table(t, header)
	if !ok {
		return 0, fmt.Errorf("%w: it has no header", errFrame)
	}
	const schema, dictionary, batch = 1, 2, 3
	switch kind {
	case schema:
		fields := 0
		return body, checkFields(inner, 6, 0, &fields)
	case dictionary:
		const data = 6
		if inner, ok = table(inner, data); !ok {
			return 0, fmt.Errorf("%w: a dictionary without values", errFrame)
		}
		return body, checkBatch(inner)
	case batch:
		return body, checkBatch(inner)
	}
	return 0, fmt.Errorf("%w: header of kind %d", errFrame, kind)
}

// table gives the table that a field of t points to.
func table(t flatbuffers.Table, slot flatbuffers.VOffsetT) (flatbuffers.Table, bool) {
	o := t.Offset(slot)
	if o == 0 {
		return flatbuffers.Table{}, false
	}
	return flatbuffers.Table{Bytes: t.Bytes, Pos: t.Indirect(t.Pos + flatbuffers.UOffsetT(o))}, true
}

// vector gives the elements of a vector that lies wholly in the metadata.
func vector(t flatbuffers.Table, slot flatbuffers.VOffsetT, size int) (from flatbuffers.UOffsetT, n int, err error) {
	o := flatbuffers.UOffsetT(t.Offset(slot))
	if o == 0 {
		return 0, 0, nil
	}
	from, n = t.Vector(o), t.VectorLen(o)
	if n < 0 || n > maxBuffers || int(from)+n*size > len(t.Bytes) {
		return 0, 0, fmt.Errorf("%w: a vector of %d elements", errFrame, n)
	}
	return from, n, nil
}

// checkFields looks at the fields in a slot of a schema or field.
func checkFields(t flatbuffers.Table, slot flatbuffers.VOffsetT, depth int, fields *int) error {
	from, n, err := vector(t, slot, 4)
	if err != nil {
		return err
	}
	if *fields += n; depth > maxNesting || *fields > maxBuffers {
		return fmt.Errorf("%w: too many fields", errFrame)
	}
	const fieldType, children, union, metadataOfField, metadataOfSchema = 8, 14, 14, 16, 8
	if depth == 0 {
		if _, _, err := vector(t, metadataOfSchema, 4); err != nil {
			return err
		}
	}
	for i := range n {
		field := flatbuffers.Table{Bytes: t.Bytes, Pos: t.Indirect(from + flatbuffers.UOffsetT(i*4))}
		if o := field.Offset(fieldType); o != 0 && field.GetByte(field.Pos+flatbuffers.UOffsetT(o)) == union {
			return fmt.Errorf("%w: columns of unions aren't read", errFrame)
		}
		if _, _, err := vector(field, metadataOfField, 4); err != nil {
			return err
		}
		if err := checkFields(field, children, depth+1, fields); err != nil {
			return err
		}
	}
	return nil
}

func checkBatch(t flatbuffers.Table) error {
	const length, nodes, buffers, variadic = 4, 6, 8, 12
	if o := t.Offset(length); o != 0 {
		if n := t.GetInt64(t.Pos + flatbuffers.UOffsetT(o)); n < 0 || n > maxBatchRows {
			return fmt.Errorf("%w: a batch of %d rows, at most %d", errFrame, n, maxBatchRows)
		}
	}
	for slot, size := range map[flatbuffers.VOffsetT]int{nodes: 16, buffers: 16, variadic: 8} {
		if _, _, err := vector(t, slot, size); err != nil {
			return err
		}
	}
	return nil
}
