package storage

import (
	"context"
	"encoding/hex"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"concordat.dev/protocol/canon"
	"concordat.dev/worker/recycle"
)

// Reader gives the rows of a sealed dataset. It is an array.RecordReader; files are fetched, hashed and decrypted by
// several goroutines, and come in order.
type Reader struct {
	schema *arrow.Schema
	files  chan *opened
	cancel context.CancelFunc
	work   sync.WaitGroup
	refs   atomic.Int64
	ctx    context.Context // array.RecordReader has no place for one

	current *opened
	batch   arrow.RecordBatch
	err     error
}

// keptBytes is how much memory of batches that were let go a reader keeps for the next ones.
const keptBytes = 256 << 20

// opened is a file on its way; done is closed once batches and err stand.
type opened struct {
	batches []arrow.RecordBatch
	err     error
	done    chan struct{}
}

var _ array.RecordReader = (*Reader)(nil)

// NewReader opens a sealed dataset. Digest is the registered one: objects that don't have it aren't even fetched. Parallel is how many files
// are in work at once; 0 is GOMAXPROCS. Release the reader in any case.
func NewReader(ctx context.Context, store *Store, wrapper *Wrapper, binding Binding, sealed Sealed, schema *arrow.Schema, parallel int) (*Reader, error) {
	digest, err := DigestOf(sealed.Objects)
	if err != nil {
		return nil, err
	}
	if digest != sealed.Digest {
		return nil, fmt.Errorf("open %s version %d: %w: its objects aren't the registered ones (%s, registered %s)", binding.Dataset, binding.Version, ErrSealed, digest, sealed.Digest)
	}
	keys, err := wrapper.Unwrap(FileKeys, binding, sealed.Wrap)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	if len(keys) != len(sealed.Objects)*len(Key{}) {
		return nil, fmt.Errorf("open %s version %d: %w: %d objects, but %d bytes of keys", binding.Dataset, binding.Version, ErrSealed, len(sealed.Objects), len(keys))
	}
	if parallel <= 0 {
		parallel = runtime.GOMAXPROCS(0)
	}
	ctx, cancel := context.WithCancel(ctx)
	r := &Reader{schema: schema, cancel: cancel, ctx: ctx, files: make(chan *opened, parallel)}
	r.refs.Store(1)
	slots := make(chan struct{}, parallel)
	allocator := recycle.New(keptBytes)
	r.work.Go(func() {
		defer close(r.files)
		for i, object := range sealed.Objects {
			f := &opened{done: make(chan struct{})}
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
			select {
			case r.files <- f:
			case <-ctx.Done():
				return
			}
			r.work.Go(func() {
				defer func() { <-slots }()
				defer close(f.done)
				f.batches, f.err = open(ctx, store, object, Key(keys[i*len(Key{}):]), schema, allocator)
			})
		}
	})
	return r, nil
}

// open fetches, hashes and decrypts one file.
func open(ctx context.Context, store *Store, object string, key Key, schema *arrow.Schema, allocator memory.Allocator) ([]arrow.RecordBatch, error) {
	body, err := store.GetInto(ctx, object, maxFile, allocator.Allocate)
	if err != nil {
		return nil, err
	}
	defer allocator.Free(body) // what it holds was decrypted into other memory
	sum := strings.TrimPrefix(string(canon.Sum(body)), "sha256:")
	if _, name, ok := strings.Cut(object[strings.LastIndexByte(object, '/')+1:], "-"); !ok || name != sum+".parquet" || len(sum) != hex.EncodedLen(32) {
		return nil, fmt.Errorf("object %s: %w: its SHA-256 is %s", object, ErrSealed, sum)
	}
	var batches []arrow.RecordBatch
	err = decode(ctx, body, key, schema, allocator, func(b arrow.RecordBatch) error {
		batches = append(batches, b)
		return nil
	})
	if err != nil {
		release(batches)
		return nil, fmt.Errorf("object %s: %w", object, err)
	}
	return batches, nil
}

// Next moves to the next batch.
func (r *Reader) Next() bool {
	if r.batch != nil {
		r.batch.Release()
		r.batch = nil
	}
	for r.err == nil {
		if r.current != nil && len(r.current.batches) > 0 {
			r.batch = r.current.batches[0]
			r.current.batches = r.current.batches[1:]
			return true
		}
		f, more := <-r.files
		if !more {
			r.err = r.ctx.Err()
			return false
		}
		<-f.done
		r.current, r.err = f, f.err
	}
	return false
}

// RecordBatch is the batch that Next moved to; it is valid until the next Next.
func (r *Reader) RecordBatch() arrow.RecordBatch { return r.batch }

// Record is the former name of RecordBatch, which the interface still asks for.
func (r *Reader) Record() arrow.RecordBatch { return r.batch }

// Schema is that of the policy.
func (r *Reader) Schema() *arrow.Schema { return r.schema }

// Err is what ended the reading, nil at the end of the rows.
func (r *Reader) Err() error { return r.err }

// Retain adds a reference.
func (r *Reader) Retain() { r.refs.Add(1) }

// Release takes a reference; the last one stops the goroutines and lets all batches go.
func (r *Reader) Release() {
	if r.refs.Add(-1) != 0 {
		return
	}
	r.cancel()
	r.work.Wait()
	if r.batch != nil {
		r.batch.Release()
		r.batch = nil
	}
	if r.current != nil {
		release(r.current.batches)
	}
	for f := range r.files {
		release(f.batches)
	}
}
