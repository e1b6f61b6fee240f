// Package ingest turns an owner's file into validated record batches in which identifiers are tokens.
//
// Invariant: what reaches a Sink has the types of the policy, holds no raw identifier and no hidden column, no value
// outside a declared domain, and no more rows of one unit than the policy's cap; a rejected file reaches nobody.
//
// Sees: plaintext rows
package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/apache/arrow-go/v18/arrow"

	"concordat.dev/protocol/document"
	"concordat.dev/protocol/upload"
	"concordat.dev/worker/token"
)

var (
	// ErrRejected says that the file has more bad rows than the owner tolerates; the report names them.
	ErrRejected = errors.New("file rejected")
	// ErrFormat says that the file as a whole can't be read as what the policy describes; the report says why. The text may name what stands in the file.
	ErrFormat = errors.New("file can't be read")
)

// DefaultMaxRows is the cap on rows of one unit where the policy names none (PRIVACY.md R9).
const DefaultMaxRows = 1000

// Options say how a file is read.
type Options struct {
	Policy    document.Policy
	Tokenizer *token.Tokenizer // of the policy's namespace; nil for unit: none
	Second    *token.Tokenizer // of the namespace's second identifier, where the policy's unit has one
	Tolerance int64            // bad rows that may be left out; with more the file is rejected
	// ToleratedShare of the rows may be left out as well, whichever is more.
	ToleratedShare float64
	Parallel       int            // parsers at once; default GOMAXPROCS
	MaxBytes       int64          // most bytes of text after decompression; 0 is no limit
	Format         string         // upload.CSV and so on; empty: what the first bytes say
	Dialect        upload.Dialect // how texts are written
	Fields         []string       // names of the fields, for a dialect without header
	Beside         Judged         // takes the rows too, and has the last word; may be nil
	ShowValues     bool           // quote offending values in errors: only where nobody but the owner reads the report
}

// Source opens a file from its start. It is opened again when a unit has more rows than the cap, or a row is that of a unit which another row names. What it gives has to be
// a Random too where the file is Parquet.
type Source func(ctx context.Context) (io.ReadCloser, error)

// Random reads a file at any place; an *os.File will do too.
type Random interface {
	io.ReaderAt
	Size() (int64, error)
}

// Path reads a file of this machine.
func Path(path string) Source {
	return func(context.Context) (io.ReadCloser, error) { return os.Open(path) }
}

// Sink takes the batches in the order of the file. Reset drops all it was given: the same rows come again, without the
// excess of units above the cap. A batch is the sink's to release.
type Sink interface {
	Write(batch arrow.RecordBatch) error
	Reset() error
}

// Judged is a sink that says in the end whether what it took may be sealed.
type Judged interface {
	Sink
	Judge() error
}

// File reads one file into the sink, as Files does.
func File(ctx context.Context, options Options, open Source, sink Sink) (Report, error) {
	return Files(ctx, options, []Source{open}, sink)
}

// Files reads the files of a dataset, all of one format, one after the other into the sink. When the error is ErrRejected or ErrFormat the report says
// why; the sink has then received part of the rows or none, and its owner discards them.
func Files(ctx context.Context, options Options, files []Source, sink Sink) (Report, error) {
	report, err := read(ctx, options, files, sink)
	if errors.Is(err, ErrFormat) {
		report.Refuse(RowError{Kind: "file", Cause: err.Error()})
	}
	return report, err
}

func read(ctx context.Context, options Options, files []Source, sink Sink) (Report, error) {
	shape, err := newShape(options.Policy)
	if err != nil {
		return Report{}, err
	}
	if shape.unit >= 0 && options.Tokenizer == nil {
		return Report{}, fmt.Errorf("dataset %s: a tokenizer of namespace %q is needed", options.Policy.Dataset, options.Policy.Unit.Namespace)
	}
	if shape.then >= 0 && options.Second == nil {
		return Report{}, fmt.Errorf("dataset %s: a tokenizer of the second identifier of namespace %q is needed", options.Policy.Dataset, options.Policy.Unit.Namespace)
	}
	if options.Parallel <= 0 {
		options.Parallel = runtime.GOMAXPROCS(0)
	}
	p := newPass(options, shape, sink)
	p.delegate()
	if err := p.run(ctx, files); err != nil {
		return p.report, err
	}
	if p.links != nil && p.links.met && !p.rejected() { // rows by the second identifier may be those of units that other rows name
		one, crowded := p.links.resolve()
		if p, err = again(ctx, p, files, func(next *pass) { next.one, next.crowded = one, crowded }); err != nil {
			return p.report, err
		}
	}
	counted, err := p.counted()
	if err != nil {
		return p.report, err
	}
	if !p.overflow || p.rejected() {
		return p.finish(counted)
	}
	excess := counted.excess(p.limit, options.Tokenizer)
	if p, err = again(ctx, p, files, func(next *pass) { next.one, next.crowded, next.excess = p.one, p.crowded, excess }); err != nil {
		return p.report, err
	}
	return p.finish(counted)
}

// again reads the files once more, knowing what was learnt from the reading before.
func again(ctx context.Context, before *pass, files []Source, learn func(next *pass)) (*pass, error) {
	if err := before.sink.Reset(); err != nil {
		return before, fmt.Errorf("start over with what all rows say together: %w", err)
	}
	next := newPass(before.options, before.shape, before.sink)
	learn(next)
	return next, next.run(ctx, files)
}
