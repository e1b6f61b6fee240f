package storage

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/arrow/util"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"concordat.dev/worker/columns"
)

// Key is the key of one file.
type Key [32]byte

// ErrSealed says that a sealed file can't be opened: it was changed, isn't the registered one, or the key is another's.
var ErrSealed = errors.New("sealed file doesn't open")

// ErrColumns says that a sealed file has other columns than the policy in force: it was sealed under another one.
var ErrColumns = errors.New("other columns than the policy's")

const (
	// maxFile is the largest file that is written or read; it is held in memory, since what was hashed is what must be read.
	maxFile = 256 << 20
	// columnBuffer is how much of a column is read at once.
	columnBuffer = 256 << 10
	// batchRows is how many rows a batch has when a file is read.
	batchRows = 64 << 10
)

// encode writes batches as one encrypted Parquet file to out: one row group, data pages V1, each module under the one key. Statistics
// are left out, nobody may read them.
func encode(out *bytes.Buffer, schema *arrow.Schema, batches []arrow.RecordBatch, key Key) error {
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return err
	}
	options := []parquet.WriterProperty{
		parquet.WithVersion(parquet.V2_LATEST),
		parquet.WithDataPageVersion(parquet.DataPageV1),
		parquet.WithStats(false),
		parquet.WithCompression(compress.Codecs.Uncompressed),
		parquet.WithCreatedBy("concordat"),
		parquet.WithEncryptionProperties(parquet.NewFileEncryptionProperties(string(key[:]),
			parquet.WithAlg(parquet.AesGcm), parquet.WithFooterKeyMetadata(hex.EncodeToString(id[:])))),
	}
	for i, f := range schema.Fields() {
		dictionary := f.Type.ID() == arrow.DICTIONARY || f.Type.ID() == arrow.STRING && len(batches) > 0 && repeats(batches[0].Column(i))
		options = append(options, parquet.WithDictionaryFor(f.Name, dictionary))
	}
	table := array.NewTableFromRecords(schema, batches)
	defer table.Release()
	size := int64(0)
	for _, b := range batches {
		size += util.TotalRecordSize(b)
	}
	out.Grow(int(size + size/16 + 1<<16)) // levels, headers and tags take less
	w, err := pqarrow.NewFileWriter(schema, out, parquet.NewWriterProperties(options...), pqarrow.DefaultWriterProps())
	if err != nil {
		return err
	}
	if err := w.WriteTable(table, max(table.NumRows(), 1)); err != nil {
		return err
	}
	return w.Close()
}

// decode opens an encrypted Parquet file whose hash was checked, and gives its batches in order to yield, who releases them. Their
// memory is the allocator's. Parquet readers panic on some inputs: a panic is ErrSealed too.
func decode(ctx context.Context, body []byte, key Key, schema *arrow.Schema, allocator memory.Allocator, yield func(arrow.RecordBatch) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: the reader panicked: %v", ErrSealed, p)
		}
	}()
	properties := parquet.NewReaderProperties(allocator)
	properties.BufferedStreamEnabled, properties.BufferSize = true, columnBuffer // else each column is copied whole, into memory that is new
	properties.FileDecryptProps = parquet.NewFileDecryptionProperties(parquet.WithFooterKey(string(key[:])))
	f, err := file.NewParquetReader(bytes.NewReader(body), file.WithReadProps(properties))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSealed, err)
	}
	defer f.Close() //nolint:errcheck // only read
	for group := range f.NumRowGroups() {
		if err := decodeGroup(ctx, f, group, schema, allocator, yield); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func decodeGroup(ctx context.Context, f *file.Reader, group int, schema *arrow.Schema, allocator memory.Allocator, yield func(arrow.RecordBatch) error) error {
	rows, err := columns.Open(ctx, f, group, nil, batchRows, allocator)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSealed, err)
	}
	defer rows.Release()
	if err := same(rows.Schema(), schema); err != nil {
		return fmt.Errorf("%w: %w", ErrSealed, err)
	}
	for {
		batch, err := rows.Next()
		if err != nil {
			return fmt.Errorf("%w: %w", ErrSealed, err)
		}
		if batch == nil {
			return nil
		}
		err = yield(array.NewRecordBatch(schema, batch.Columns(), batch.NumRows()))
		batch.Release()
		if err != nil {
			return err
		}
	}
}

// same compares names and types; Parquet adds metadata of its own to a schema.
func same(got, want *arrow.Schema) error {
	if got.NumFields() != want.NumFields() {
		return fmt.Errorf("%w: it has %d columns, the policy %d", ErrColumns, got.NumFields(), want.NumFields())
	}
	for i, f := range want.Fields() {
		if g := got.Field(i); g.Name != f.Name || !arrow.TypeEqual(g.Type, f.Type) {
			return fmt.Errorf("%w: column %d is %s %s, in the policy %s %s", ErrColumns, i, g.Name, g.Type, f.Name, f.Type)
		}
	}
	return nil
}
