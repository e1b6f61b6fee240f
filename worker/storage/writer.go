// Package storage keeps sealed datasets in an object store that isn't trusted: the house format (Parquet Modular Encryption, a
// random key a file), the wraps of those keys, and the store itself.
//
// Invariant: what leaves for the store is ciphertext; what comes back is read only after its whole SHA-256 matched
// the registered one, and from the memory that was hashed.
//
// Sees: plaintext rows | ciphertext
package storage

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/util"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/upload"
)

// A file holds up to this much; a dataset of several files is written and read by several goroutines.
const (
	fileRows  = 1 << 19
	fileBytes = 64 << 20
	// runBytes is how much of a dataset is put in order at once, in memory; a larger one lies in several runs.
	runBytes = 640 << 20
)

// Sealed is a dataset version at rest. Keys names its objects in order, each with the SHA-256 of the object in its name; Digest
// is that of the canonical JSON of this list, so that one digest in the registry binds every byte.
type Sealed struct {
	Digest  canon.Digest
	Objects []string
	Wrap    []byte
	Rows    int64
}

// DigestOf gives the digest that the registry holds for a list of objects.
func DigestOf(objects []string) (canon.Digest, error) {
	b, err := canon.Marshal(objects)
	if err != nil {
		return "", err
	}
	return canon.Sum(b), nil
}

// folder is where the objects of a dataset version lie.
func folder(b Binding) (string, error) {
	for _, name := range []string{b.Collaboration, b.Dataset} {
		if name == "" || strings.ContainsAny(name, "/\\") || strings.Trim(name, ".") == "" {
			return "", fmt.Errorf("%q can't be part of an object's key", name)
		}
	}
	return upload.Folder(b.Collaboration, b.Dataset, b.Version), nil
}

// Writer seals record batches as files of the house format. It is a sink of ingest. Files are encoded and stored by
// several goroutines while batches still come in; after an error, or without Seal, Abort removes what was stored.
type Writer struct {
	ctx     context.Context // a sink's Write has no context of its own
	store   *Store
	wrapper *Wrapper
	binding Binding
	folder  string
	schema  *arrow.Schema
	unit    int           // the column that orders rows, -1 for none
	run     int64         // bytes that are put in order at once
	slots   chan *scratch // one a file in work

	pending []arrow.RecordBatch
	rows    int64
	bytes   int64
	total   int64
	work    *sync.WaitGroup

	mu    sync.Mutex
	files []sealedFile // by order of rows
	err   error
	count bool // rows of units are counted
}

type sealedFile struct {
	object string
	key    Key
	first  uint64 // where it begins in the order of units
	units  []Unit // its units, where rows are counted
}

// NewWriter begins a dataset version.
func NewWriter(ctx context.Context, store *Store, wrapper *Wrapper, binding Binding, schema *arrow.Schema) (*Writer, error) {
	dir, err := folder(binding)
	if err != nil {
		return nil, err
	}
	slots := make(chan *scratch, runtime.GOMAXPROCS(0))
	for range cap(slots) {
		slots <- &scratch{}
	}
	return &Writer{ctx: ctx, store: store, wrapper: wrapper, binding: binding, folder: dir, schema: schema, unit: unitColumn(schema), run: runBytes,
		slots: slots, work: &sync.WaitGroup{}}, nil
}

// Write takes a batch over and stores files whenever enough rows are there.
func (w *Writer) Write(batch arrow.RecordBatch) error {
	w.pending = append(w.pending, batch)
	w.rows += batch.NumRows()
	w.total += batch.NumRows()
	w.bytes += util.TotalRecordSize(batch)
	if w.unit >= 0 && w.bytes < w.run || w.unit < 0 && w.rows < fileRows && w.bytes < fileBytes {
		return nil
	}
	return w.flush()
}

// flush makes files of the pending batches: of a dataset with units many, in their order; of another one, as they came.
func (w *Writer) flush() error {
	if w.unit >= 0 {
		return w.sorted()
	}
	batches := w.pending
	w.pending, w.rows, w.bytes = nil, 0, 0
	err := w.begin(func(*scratch) []arrow.RecordBatch { return batches }, 0)
	if err != nil {
		release(batches)
	}
	return err
}

// begin has a goroutine make a file, once one of the slots is free. First is where it begins in the order of units.
func (w *Writer) begin(rows func(*scratch) []arrow.RecordBatch, first uint64) error {
	var slot *scratch
	select {
	case slot = <-w.slots:
	case <-w.ctx.Done():
		return w.ctx.Err()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		w.slots <- slot
		return w.err
	}
	n := len(w.files)
	w.files = append(w.files, sealedFile{})
	w.work.Go(func() {
		defer func() { w.slots <- slot }()
		f, err := w.file(n, rows, slot)
		f.first = first
		w.mu.Lock()
		defer w.mu.Unlock()
		w.files[n] = f
		if w.err == nil {
			w.err = err
		}
	})
	return nil
}

// file encodes, hashes and stores one file.
func (w *Writer) file(n int, rows func(*scratch) []arrow.RecordBatch, s *scratch) (f sealedFile, err error) {
	s.reset()
	batches := rows(s)
	defer release(batches)
	if w.count {
		f.units = unitsOf(batches[0].Column(w.unit))
	}
	if _, err := rand.Read(f.key[:]); err != nil {
		return f, fmt.Errorf("seal file %d of %s: %w", n, w.binding.Dataset, err)
	}
	schema := w.schema
	if len(batches) > 0 {
		schema = batches[0].Schema() // repeating texts may be numbers in it
	}
	out := &s.file
	if w.store.remote { // a connection that was given up may still hold what it was to send
		out = &bytes.Buffer{}
	}
	if err := encode(out, schema, batches, f.key); err != nil {
		return f, fmt.Errorf("seal file %d of %s: %w", n, w.binding.Dataset, err)
	}
	body := out.Bytes()
	if len(body) > maxFile {
		return f, fmt.Errorf("seal file %d of %s: %w", n, w.binding.Dataset, ErrTooLarge)
	}
	f.object = path.Join(w.folder, fmt.Sprintf("%05d-%s.parquet", n, strings.TrimPrefix(string(canon.Sum(body)), "sha256:")))
	return f, w.store.Put(w.ctx, f.object, body) // with its name, so that Abort also removes what was stored and reported failed
}

// Reset drops all rows and stored files.
func (w *Writer) Reset() error {
	err := w.Abort()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.files, w.err, w.total, w.count = nil, nil, 0, false
	return err
}

// Abort removes what was stored, also when the writer's context has ended.
func (w *Writer) Abort() error {
	w.work.Wait()
	release(w.pending)
	w.pending, w.rows, w.bytes = nil, 0, 0
	w.mu.Lock()
	defer w.mu.Unlock()
	var stored []string
	for _, f := range w.files {
		if f.object != "" {
			stored = append(stored, f.object)
		}
	}
	if err := w.store.Delete(context.WithoutCancel(w.ctx), stored...); err != nil {
		return fmt.Errorf("remove the unfinished version %d of %s: %w", w.binding.Version, w.binding.Dataset, err)
	}
	return nil
}

// Seal stores the last rows and wraps the keys. A dataset without rows is one empty file. On an error nothing stays stored.
func (w *Writer) Seal() (Sealed, error) {
	if len(w.pending) > 0 || w.total == 0 {
		if err := w.flush(); err != nil {
			return Sealed{}, errors.Join(err, w.Abort())
		}
	}
	w.work.Wait()
	sealed, err := w.seal()
	if err != nil {
		return Sealed{}, errors.Join(err, w.Abort())
	}
	return sealed, nil
}

func (w *Writer) seal() (Sealed, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return Sealed{}, w.err
	}
	s := Sealed{Rows: w.total}
	slices.SortStableFunc(w.files, func(a, b sealedFile) int { return cmp.Compare(a.first, b.first) }) // runs side by side
	var keys []byte
	for _, f := range w.files {
		s.Objects = append(s.Objects, f.object)
		keys = append(keys, f.key[:]...)
	}
	var err error
	if s.Wrap, err = w.wrapper.Wrap(FileKeys, w.binding, keys); err != nil {
		return Sealed{}, err
	}
	clear(keys)
	if s.Digest, err = DigestOf(s.Objects); err != nil {
		return Sealed{}, err
	}
	return s, nil
}

func release(batches []arrow.RecordBatch) {
	for _, b := range batches {
		b.Release()
	}
}
