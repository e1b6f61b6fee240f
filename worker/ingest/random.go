package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"concordat.dev/protocol/upload"
)

const (
	// keptPlain is how much of a Parquet file is in memory at once, decrypted.
	keptPlain = 8 * upload.MaxPart
	// besides is how many parts more are kept than hold what is read at once: one that this begins in, one with the file's end, and the next one.
	besides = 3
)

// randomParts reads the parts of one file at any place, as Parquet wants it, for several goroutines. A part is fetched whole and authenticated to its end
// before a byte of it is given out. While one is read, the next one is fetched.
type randomParts struct {
	ctx      context.Context // io.ReaderAt has no place for one
	cancel   context.CancelFunc
	parts    Parts
	first, n int
	spare    chan []byte // memory of parts that were decrypted
	plains   chan []byte // memory of parts that nobody reads any more
	work     sync.WaitGroup

	mu     sync.Mutex
	most   int         // parts to keep
	starts []int64     // where each part begins in the file, and the file's end
	kept   []*keptPart // the one used last is the last
	err    error       // the first failure: what reads Parquet doesn't keep errors as they are
}

// keptPart is a part that is there, or on its way; done is closed once plain and err stand.
type keptPart struct {
	i     int
	plain []byte
	err   error
	done  chan struct{}

	readers int  // that copy from it, or wait for it
	gone    bool // it made room: its memory is free once nobody reads it
}

func newRandomParts(ctx context.Context, parts Parts, first, n int) *randomParts {
	ctx, cancel := context.WithCancel(ctx)
	return &randomParts{ctx: ctx, cancel: cancel, parts: parts, first: first, n: n, most: besides, spare: make(chan []byte, 1), plains: make(chan []byte, 1)}
}

// Together says how much of the file is read at once, so that it is kept until it was read.
func (r *randomParts) Together(bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	part := int64(1)
	for _, p := range r.parts.Statement.Parts[r.first : r.first+r.n] {
		part = max(part, p.Plain)
	}
	r.most = besides + int(min(max(bytes, 0), keptPlain-besides*upload.MaxPart)/part)
}

// Size is the size of the file.
func (r *randomParts) Size() (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.starts != nil {
		return r.starts[r.n], nil
	}
	starts := []int64{0}
	for i, part := range r.parts.Statement.Parts[r.first : r.first+r.n] {
		if part.Plain <= 0 {
			return 0, fmt.Errorf("%w: the statement doesn't say how much part %d holds, which Parquet needs; upload with a newer client", ErrPart, r.first+i+1)
		}
		starts = append(starts, starts[i]+part.Plain)
	}
	r.starts = starts
	return starts[r.n], nil
}

// ReadAt reads across parts.
func (r *randomParts) ReadAt(b []byte, offset int64) (n int, err error) {
	size, err := r.Size()
	if err != nil {
		return 0, err
	}
	for n < len(b) {
		if offset < 0 || offset >= size {
			return n, io.EOF
		}
		i, found := slices.BinarySearch(r.starts, offset)
		if !found {
			i--
		}
		m, err := r.copy(b[n:], i, offset-r.starts[i])
		if err != nil {
			return n, err
		}
		n, offset = n+m, offset+int64(m)
	}
	return n, nil
}

// copy gives the plaintext of a part from a place on.
func (r *randomParts) copy(b []byte, i int, from int64) (int, error) {
	k, err := r.wanted(i)
	if err != nil {
		return 0, err
	}
	<-k.done // the goroutine ends with the context
	n := 0
	if k.err == nil {
		n = copy(b, k.plain[from:])
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	k.readers--
	r.reuse(k)
	if k.err == nil {
		return n, nil
	}
	if r.err == nil {
		r.err = k.err
	}
	return 0, r.err
}

// reuse keeps the memory of a part for another one, once it made room and the last one who read it is done.
func (r *randomParts) reuse(k *keptPart) {
	if !k.gone || k.readers > 0 {
		return
	}
	select {
	case <-k.done:
		spared(r.plains, k.plain)
		k.plain = nil
	default: // nobody waits for it
	}
}

// wanted has a part fetched that isn't there, and the next one.
func (r *randomParts) wanted(i int) (*keptPart, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return nil, r.err
	}
	if i+1 < r.n {
		r.keep(i + 1)
	}
	k := r.keep(i)
	k.readers++
	return k, nil
}

// keep notes that a part was used; the one used longest ago makes room for a new one.
func (r *randomParts) keep(i int) *keptPart {
	if at := slices.IndexFunc(r.kept, func(k *keptPart) bool { return k.i == i }); at >= 0 {
		k := r.kept[at]
		r.kept = append(slices.Delete(r.kept, at, at+1), k)
		return k
	}
	if len(r.kept) >= r.most {
		oldest := r.kept[0]
		r.kept = slices.Delete(r.kept, 0, 1)
		oldest.gone = true
		r.reuse(oldest)
	}
	k := &keptPart{i: i, done: make(chan struct{})}
	r.kept = append(r.kept, k)
	r.work.Go(func() {
		defer close(k.done)
		k.err = guarded(func() (err error) {
			k.plain, err = r.fetched(i)
			return err
		})
	})
	return k
}

func (r *randomParts) fetched(i int) ([]byte, error) {
	body, err := r.parts.get(r.ctx, r.first+i, func(n int) []byte { return room(r.spare, n) })
	if err != nil {
		return nil, err
	}
	number := r.first + i + 1
	in, err := r.parts.decrypt(number, body)
	if err != nil {
		return nil, r.parts.blame(number, body, err)
	}
	plain := room(r.plains, int(r.parts.Statement.Parts[number-1].Plain))
	if _, err = io.ReadFull(in, plain); err == nil {
		var end [1]byte
		if _, err = io.ReadFull(in, end[:]); errors.Is(err, io.EOF) {
			err = nil
		} else if err == nil {
			err = fmt.Errorf("%w: it holds more than the statement says", ErrPart)
		}
	}
	if err != nil {
		return nil, r.parts.blame(number, body, err)
	}
	spared(r.spare, body)
	return plain, nil
}

// Failed is why a part could not be read, nil if all could.
func (r *randomParts) Failed() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// Read is not how Parquet is read.
func (*randomParts) Read([]byte) (int, error) {
	return 0, errors.New("these parts are read at places, not as a stream")
}

// Close lets the parts go.
func (r *randomParts) Close() error {
	r.cancel()
	r.work.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept = nil
	return nil
}
