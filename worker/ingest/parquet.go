package ingest

import (
	"context"
	"fmt"
	"io"
	"math"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"concordat.dev/worker/columns"
	"concordat.dev/worker/recycle"
)

const (
	// columnBuffer is how much of a column chunk is read at once.
	columnBuffer = 64 << 10
	// groupsAtOnce is how many row groups are decoded at once; the parts that they lie in are kept decrypted (keptPlain).
	groupsAtOnce = 3
	// A run of the same value may claim billions of rows in a few bytes: beyond freeRows, a file may hold so many rows for each of its bytes.
	freeRows  = 64 << 20
	rowsAByte = 4096
)

// parquet reads the policy's columns of a Parquet file, several row groups at once. Where the file itself could not be had, that is the error,
// and not what the reader made of it.
func (p *pass) parquet(ctx context.Context, in io.Reader) (pieces, error) {
	at, size, err := random(in)
	if err != nil {
		return nil, err
	}
	cause := func(err error) error {
		if f, ok := in.(interface{ Failed() error }); ok && f.Failed() != nil {
			return f.Failed()
		}
		return err
	}
	var each pieces
	if err := guarded(func() (err error) {
		each, err = p.openParquet(ctx, at, size)
		return err
	}); err != nil {
		return nil, cause(err)
	}
	return func(yield func(piece) bool) error {
		if err := guarded(func() error { return each(yield) }); err != nil {
			return cause(err)
		}
		return nil
	}, nil
}

// groups reads the row groups of a file: several at once, each by a reader of its own.
type groups struct {
	at      io.ReaderAt
	size    int64
	file    *file.Reader
	memory  memory.Allocator
	leaves  []int // of the columns that are read, in the file's order
	targets []int
}

func (p *pass) openParquet(ctx context.Context, at io.ReaderAt, size int64) (pieces, error) {
	g := &groups{at: at, size: size, memory: bounded{recycle.New(keptBytes)}}
	err := checkFooter(at, size)
	if err == nil {
		g.file, err = g.reader(nil)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: Parquet: %w"+damaged, ErrFormat, err)
	}
	if err := believable(g.rows(), size); err != nil {
		return nil, err
	}
	g.file.MetaData().FileMetaData.KeyValueMetadata = nil // an Arrow schema among them would be believed unseen; Parquet's own says enough
	r, err := pqarrow.NewFileReader(g.file, pqarrow.ArrowReadProperties{}, g.memory)
	if err != nil {
		return nil, fmt.Errorf("%w: Parquet: %w"+damaged, ErrFormat, err)
	}
	schema, err := r.Schema()
	if err != nil {
		return nil, fmt.Errorf("%w: Parquet: %w"+damaged, ErrFormat, err)
	}
	all, err := p.columns(schema)
	if err != nil {
		return nil, err
	}
	for i, field := range r.Manifest.Fields {
		if all[i] >= 0 {
			if len(field.Children) > 0 {
				return nil, fmt.Errorf("%w: column %q is nested, %s; write a column for each value, or make it hidden in the policy", ErrFormat, schema.Field(i).Name, schema.Field(i).Type)
			}
			g.leaves, g.targets = append(g.leaves, field.ColIndex), append(g.targets, all[i])
		}
	}
	if parts, ok := at.(interface{ Together(bytes int64) }); ok {
		parts.Together(groupsAtOnce * g.largest())
	}
	return func(yield func(piece) bool) error {
		return g.each(ctx, p.options.Parallel, func(batch arrow.RecordBatch) bool { return p.batch(batch, g.targets, yield) })
	}, nil
}

// believable says whether a file may hold so many rows.
func believable(rows, size int64) error {
	if rows > freeRows && rows/rowsAByte > size {
		return fmt.Errorf("%w: Parquet: it claims more than %d rows for each of its %d bytes; write it in an encoding without long runs", ErrFormat, rowsAByte, size)
	}
	return nil
}

// rows are as many as the row groups say that they hold; columns.Rows gives no more.
func (g *groups) rows() (rows int64) {
	for i := range g.file.NumRowGroups() {
		if rows += g.file.MetaData().RowGroup(i).NumRows(); rows < 0 {
			return math.MaxInt64
		}
	}
	return rows
}

// largest is how far apart the columns of a row group lie at most, by where the file says that they are read from.
func (g *groups) largest() (bytes int64) {
	for i := range g.file.NumRowGroups() {
		first, last := g.size, int64(0)
		group := g.file.MetaData().RowGroup(i)
		for _, leaf := range g.leaves {
			chunk, err := group.ColumnChunk(leaf)
			if err != nil {
				continue // reading it tells
			}
			first, last = min(first, chunk.DataPageOffset()), max(last, chunk.DataPageOffset()+chunk.TotalCompressedSize())
		}
		bytes = max(bytes, min(last-first, keptPlain))
	}
	return bytes
}

// reader opens the file; known metadata isn't read again.
func (g *groups) reader(known *metadata.FileMetaData) (*file.Reader, error) {
	properties := parquet.NewReaderProperties(g.memory)
	properties.BufferedStreamEnabled, properties.BufferSize = true, columnBuffer
	options := []file.ReadOption{file.WithReadProps(properties)}
	if known != nil {
		options = append(options, file.WithMetadata(known))
	}
	return file.NewParquetReader(io.NewSectionReader(g.at, 0, g.size), options...)
}

// decoded is a batch of a row group, or its end, or what went wrong.
type decoded struct {
	batch arrow.RecordBatch
	err   error
}

// each gives the batches of all row groups in their order to yield, until that says false. While those of one are taken, the next ones are decoded.
func (g *groups) each(ctx context.Context, parallel int, yield func(arrow.RecordBatch) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	n := g.file.NumRowGroups()
	lanes := make([]chan decoded, max(1, min(parallel, n, groupsAtOnce)))
	for lane := range lanes {
		out := make(chan decoded, 1)
		lanes[lane] = out
		running.Go(func() {
			for group := lane; group < n; group += len(lanes) {
				err := guarded(func() error { return g.decode(ctx, group, out) })
				if !send(ctx, out, decoded{err: err}) || err != nil {
					break
				}
			}
			<-ctx.Done() // what nobody took is let go
			for {
				select {
				case d := <-out:
					if d.batch != nil {
						d.batch.Release()
					}
				default:
					return
				}
			}
		})
	}
	for group := range n {
		for more := true; more; {
			select {
			case d := <-lanes[group%len(lanes)]:
				if d.err != nil {
					return d.err
				}
				if more = d.batch != nil; more {
					ok := yield(d.batch)
					d.batch.Release()
					if !ok {
						return nil
					}
				}
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}

func send(ctx context.Context, out chan<- decoded, d decoded) bool {
	select {
	case out <- d:
		return true
	case <-ctx.Done():
		return false
	}
}

// decode sends the batches of one row group.
func (g *groups) decode(ctx context.Context, group int, out chan<- decoded) error {
	fail := func(err error) error { return fmt.Errorf("%w: Parquet: %w"+damaged, ErrFormat, err) }
	if err := checkDictionaries(g.at, g.file.MetaData().RowGroup(group), g.leaves); err != nil {
		return fail(err)
	}
	f, err := g.reader(g.file.MetaData())
	if err != nil {
		return fail(err)
	}
	rows, err := columns.Open(ctx, f, group, g.leaves, pieceRows, g.memory)
	if err != nil {
		return fail(err)
	}
	defer rows.Release()
	for {
		batch, err := rows.Next()
		if err != nil {
			return fail(err)
		}
		if batch == nil {
			return nil
		}
		if !send(ctx, out, decoded{batch: batch}) {
			batch.Release()
			return ctx.Err()
		}
	}
}
