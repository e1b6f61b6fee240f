package ingest

import (
	"context"
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"

	"concordat.dev/worker/storage"
)

var errNoRows = fmt.Errorf("%w: it has no row that can be kept, and would replace the version before by nothing; to have that, delete the version", ErrFormat)

// Seal makes a dataset version of an upload: parts to files, files to validated batches, batches to sealed files. On any error, also when the
// file is rejected, nothing of it stays in the store.
func Seal(ctx context.Context, options Options, parts Parts, store *storage.Store, wrapper *storage.Wrapper, binding storage.Binding) (storage.Sealed, Report, error) {
	schema, err := Schema(options.Policy)
	if err != nil {
		return storage.Sealed{}, Report{}, err
	}
	w, err := storage.NewWriter(ctx, store, wrapper, binding, schema)
	if err != nil {
		return storage.Sealed{}, Report{}, err
	}
	options.Format, options.Fields = parts.Statement.Format, parts.Statement.Columns
	if d := parts.Statement.Dialect; d != nil {
		options.Dialect = *d
	}
	sink := Sink(w)
	if options.Beside != nil {
		sink = both{w, options.Beside}
	}
	report, err := Files(ctx, options, parts.Sources(), sink)
	if err == nil && report.Rows == 0 {
		err = errNoRows
		report.Refuse(RowError{Kind: "file", Cause: err.Error()})
	}
	if err == nil && options.Beside != nil {
		err = options.Beside.Judge()
	}
	if err != nil {
		return storage.Sealed{}, report, errors.Join(err, w.Abort()) //nolint:contextcheck // the writer has the context, and cleans up also when that ended
	}
	sealed, err := w.Seal() //nolint:contextcheck // as above
	if err != nil {
		return storage.Sealed{}, report, err
	}
	return sealed, report, nil
}

// both gives rows to a second sink, too.
type both struct{ first, second Sink }

func (b both) Write(batch arrow.RecordBatch) error {
	if err := b.second.Write(batch); err != nil {
		return err
	}
	return b.first.Write(batch)
}

func (b both) Reset() error { return errors.Join(b.first.Reset(), b.second.Reset()) }
