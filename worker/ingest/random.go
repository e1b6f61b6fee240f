package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
)

// keptParts is how many decrypted parts of a Parquet file are in memory at once, 64 MiB each.
const keptParts = 8

// randomParts reads the parts of one file at any place, as Parquet wants it, for several goroutines. A part is fetched whole and authenticated to its end
// before a byte of it is given out.
type randomParts struct {
	mu       sync.Mutex
	ctx      context.Context // io.ReaderAt has no place for one
	parts    Parts
	first, n int
	starts   []int64 // where each part begins in the file, and the file's end
	kept     []keptPart
	body     []byte // of the part fetched last; memory for the next
	err      error  // the first failure: what reads Parquet doesn't keep errors as they are
}

type keptPart struct {
	i     int
	plain []byte
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
		plain, err := r.part(i)
		if err != nil {
			return n, err
		}
		m := copy(b[n:], plain[offset-r.starts[i]:])
		n, offset = n+m, offset+int64(m)
	}
	return n, nil
}

// part gives the plaintext of a part; the one used longest ago makes room.
func (r *randomParts) part(i int) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return nil, r.err
	}
	plain, err := r.fetched(i)
	r.err = err
	return plain, err
}

func (r *randomParts) fetched(i int) ([]byte, error) {
	if at := slices.IndexFunc(r.kept, func(k keptPart) bool { return k.i == i }); at >= 0 {
		k := r.kept[at]
		r.kept = append(slices.Delete(r.kept, at, at+1), k)
		return k.plain, nil
	}
	body, err := r.parts.get(r.ctx, r.first+i, r.room)
	if err != nil {
		return nil, err
	}
	r.body = body
	number := r.first + i + 1
	in, err := r.parts.decrypt(number, body)
	if err != nil {
		return nil, r.parts.blame(number, body, err)
	}
	plain := make([]byte, r.parts.Statement.Parts[number-1].Plain)
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
	if len(r.kept) >= keptParts {
		r.kept = slices.Delete(r.kept, 0, 1)
	}
	r.kept = append(r.kept, keptPart{i, plain})
	return plain, nil
}

func (r *randomParts) room(n int) []byte {
	if cap(r.body) >= n {
		return r.body[:n]
	}
	return make([]byte, n)
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
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept, r.body = nil, nil
	return nil
}
