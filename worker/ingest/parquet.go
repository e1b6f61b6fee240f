package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

// columnBuffer is how much of a column chunk is read at once.
const columnBuffer = 1 << 20

// parquet reads the policy's columns of a Parquet file, a row group after the other. Where the file itself could not be had, that is the error,
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

func (p *pass) openParquet(ctx context.Context, at io.ReaderAt, size int64) (pieces, error) {
	properties := parquet.NewReaderProperties(bounded{memory.DefaultAllocator})
	properties.BufferedStreamEnabled, properties.BufferSize = true, columnBuffer
	f, err := file.NewParquetReader(io.NewSectionReader(at, 0, size), file.WithReadProps(properties))
	if err != nil {
		return nil, fmt.Errorf("%w: Parquet: %w", ErrFormat, err)
	}
	f.MetaData().FileMetaData.KeyValueMetadata = nil // an Arrow schema among them would be believed unseen; Parquet's own says enough
	r, err := pqarrow.NewFileReader(f, pqarrow.ArrowReadProperties{BatchSize: pieceRows}, bounded{memory.DefaultAllocator})
	if err != nil {
		return nil, fmt.Errorf("%w: Parquet: %w", ErrFormat, err)
	}
	schema, err := r.Schema()
	if err != nil {
		return nil, fmt.Errorf("%w: Parquet: %w", ErrFormat, err)
	}
	all, err := p.columns(schema)
	if err != nil {
		return nil, err
	}
	var leaves, targets []int // of the columns that are read, in the file's order
	for i, field := range r.Manifest.Fields {
		if all[i] >= 0 {
			if len(field.Children) > 0 {
				return nil, fmt.Errorf("%w: column %q is nested, %s", ErrFormat, schema.Field(i).Name, schema.Field(i).Type)
			}
			leaves, targets = append(leaves, field.ColIndex), append(targets, all[i])
		}
	}
	return func(yield func(piece) bool) error {
		records, err := r.GetRecordReader(ctx, leaves, nil)
		if err != nil {
			return fmt.Errorf("%w: Parquet: %w", ErrFormat, err)
		}
		defer records.Release()
		for records.Next() {
			if !p.batch(records.RecordBatch(), targets, yield) {
				return nil
			}
		}
		if err := records.Err(); err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("%w: Parquet: %w", ErrFormat, err)
		}
		return nil
	}, nil
}
