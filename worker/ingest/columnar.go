package ingest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"concordat.dev/worker/recycle"
)

// damaged is what to do about a file that its reader gives up on.
const damaged = "; it was cut off or damaged, or its writer did what this reader does not know: write or copy it again"

const (
	pieceRows = 32 << 10
	// maxAllocation bounds what a file may make the readers of Arrow and Parquet ask for at once, whatever sizes it claims to have.
	maxAllocation = 512 << 20
	maxMetadata   = 64 << 20
	// keptBytes is how much memory of batches that were read is kept for the next ones.
	keptBytes = 128 << 20
)

// bounded refuses to allocate what no honest file needs. It panics, as the interface has no error; guarded makes one of it.
type bounded struct{ memory.Allocator }

var errAllocation = errors.New("it claims to hold a piece of more than 512 MiB; write it with smaller batches or pages")

func (b bounded) Allocate(size int) []byte {
	if size > maxAllocation || size < 0 {
		panic(errAllocation)
	}
	return b.Allocator.Allocate(size)
}

func (b bounded) Reallocate(size int, old []byte) []byte {
	if size > maxAllocation || size < 0 {
		panic(errAllocation)
	}
	return b.Allocator.Reallocate(size, old)
}

// arrow reads an IPC stream, or the stream inside an IPC file.
func (p *pass) arrow(b *bufio.Reader) (pieces, error) {
	if start, _ := b.Peek(len(arrowFileMagic)); bytes.Equal(start, []byte(arrowFileMagic)) {
		if _, err := b.Discard(len(arrowFileMagic)); err != nil {
			return nil, err
		}
	}
	r, err := ipc.NewReader(&framed{r: b}, ipc.WithAllocator(bounded{recycle.New(keptBytes)}), ipc.WithBodySizeLimit(maxAllocation), ipc.WithMetadataSizeLimit(maxMetadata))
	if err != nil {
		return nil, fmt.Errorf("%w: Arrow IPC: %w"+damaged, ErrFormat, err)
	}
	targets, err := p.columns(r.Schema())
	if err != nil {
		r.Release()
		return nil, err
	}
	return func(yield func(piece) bool) error {
		defer r.Release()
		for r.Next() {
			if !p.batch(r.RecordBatch(), targets, yield) {
				return nil
			}
		}
		if err := r.Err(); err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("%w: Arrow IPC: %w"+damaged, ErrFormat, err)
		}
		_, err := io.Copy(io.Discard, b) // nothing counts before the end was authenticated
		return err
	}, nil
}

// columns finds the policy's columns in a schema: the target of each of its fields, -1 for one that isn't read.
func (p *pass) columns(schema *arrow.Schema) ([]int, error) {
	var names []string
	for _, f := range schema.Fields() {
		names = append(names, f.Name)
	}
	l, err := match(names, p.shape)
	if err = p.found(clip(names), l, err); err != nil {
		return nil, err
	}
	for i, f := range schema.Fields() {
		if target := l.targets[i]; target >= 0 {
			if _, err := newFeeder(p.shape.types[target], array.MakeArrayOfNull(memory.DefaultAllocator, f.Type, 0)); err != nil {
				return nil, fmt.Errorf("%w: column %q %w", ErrFormat, f.Name, err)
			}
		}
	}
	return l.targets, nil
}

// batch hands a batch on in pieces that are read in parallel.
func (p *pass) batch(batch arrow.RecordBatch, targets []int, yield func(piece) bool) bool {
	for from := int64(0); from < batch.NumRows(); from += pieceRows {
		slice := batch.NewSlice(from, min(from+pieceRows, batch.NumRows()))
		release := sync.OnceFunc(slice.Release)
		if !yield(piece{work: func(w *parser) *block {
			defer release()
			return w.batch(slice, targets)
		}}) {
			release()
			return false
		}
	}
	return true
}

// batch reads a batch whose columns have targets.
func (p *parser) batch(batch arrow.RecordBatch, targets []int) *block {
	p.room = int(batch.NumRows())
	b := p.bare()
	b.err = guarded(func() error { return p.records(b, batch, targets) })
	return b
}

func (p *parser) records(b *block, batch arrow.RecordBatch, targets []int) error {
	feeders := make([]feeder, len(p.shape.names))
	arrays := make([]arrow.Array, len(p.shape.names))
	for i, target := range targets {
		if target < 0 {
			continue
		}
		f, err := newFeeder(p.shape.types[target], batch.Column(i))
		if err != nil {
			return fmt.Errorf("%w: column %q %w", ErrFormat, p.shape.names[target], err)
		}
		feeders[target], arrays[target] = f, batch.Column(i)
	}
	if p.shape.then < 0 && p.columns(b, feeders, int(batch.NumRows())) {
		return nil
	}
	*b = *p.block()
	for row := range int(batch.NumRows()) {
		b.read++
		p.record(b, feeders, row)
	}
	return nil
}

// columns reads a batch column by column, which costs far less than row by row; false if a value doesn't fit its column, which rules out its whole row.
func (p *parser) columns(b *block, feeders []feeder, rows int) bool {
	for row := range rows {
		b.read++
		if u := p.shape.unit; u >= 0 {
			of, ok := p.identify(b, feeders[u].read(&p.identifier, row), nil)
			if !ok {
				continue
			}
			b.tokens = append(b.tokens, of.unit)
		}
		b.sources = append(b.sources, int32(b.read))
	}
	for target, f := range feeders[:len(b.columns)] {
		if target == p.shape.unit {
			continue
		}
		b.columns[target] = p.column(target, 0)
		if f.all != nil && len(b.sources) == rows && f.all(b.columns[target], &b.counts[target]) {
			continue
		}
		b.columns[target] = p.column(target, p.room)
		for _, source := range b.sources {
			o := f.feed(b.columns[target], int(source)-1)
			if o == unfit {
				return false
			}
			b.counts[target].count(o)
		}
	}
	return true
}

func (p *parser) record(b *block, feeders []feeder, row int) {
	var of person
	if u := p.shape.unit; u >= 0 {
		var further []byte
		if then := p.shape.then; then >= 0 {
			further = feeders[then].read(&p.further, row)
		}
		var ok bool
		if of, ok = p.identify(b, feeders[u].read(&p.identifier, row), further); !ok {
			return
		}
	}
	p.notes = p.notes[:0]
	for target, c := range b.columns {
		if c == nil {
			continue
		}
		switch o := feeders[target].feed(c, row); o {
		case fine:
		case unfit:
			p.unfit(b, target, feeders[target].text(nil, row))
			return
		default:
			p.notes = append(p.notes, note{target, o})
		}
	}
	p.accept(b, of)
}
