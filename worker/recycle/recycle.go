// Package recycle gives Arrow's readers memory that they gave back before. Memory that nobody touched yet has to be found and cleared by the
// kernel, page by page, which costs more than decoding the values into it.
//
// Invariant: a slice is handed out again only after it was freed, once, and holds zeros then.
//
// Sees: plaintext rows
package recycle

import (
	"math/bits"
	"sync"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow/memory"
)

// least is the smallest slice that is kept: Go finds smaller ones quickly, and uses them again soon.
const least = 32 << 10

// Allocator is an Arrow allocator for one file or dataset that is read. It is safe for concurrent use. What it keeps goes when it goes.
type Allocator struct {
	most int

	mu   sync.Mutex
	free map[int][][]byte // by size
	kept int              // bytes in free
	out  map[uintptr]struct{}
}

var _ memory.Allocator = (*Allocator)(nil)

// New makes an allocator that keeps at most so many freed bytes.
func New(most int) *Allocator {
	return &Allocator{most: most, free: map[int][][]byte{}, out: map[uintptr]struct{}{}}
}

// Allocate gives zeros, aligned to 64 bytes as Arrow wants it.
func (a *Allocator) Allocate(size int) []byte { return a.allocate(size, 0) }

// allocate gives zeros from a place on; before it may be anything.
func (a *Allocator) allocate(size, from int) []byte {
	if size < least {
		return memory.DefaultAllocator.Allocate(size)
	}
	b := a.kind(class(size))
	if b == nil {
		b = make([]byte, class(size)) // of this size it begins with a page
	} else {
		clear(b[from:size])
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.out[address(b)] = struct{}{}
	return b[:size]
}

// kind takes a freed slice of a size; nil if there is none.
func (a *Allocator) kind(size int) []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := a.free[size]
	if len(list) == 0 {
		return nil
	}
	b := list[len(list)-1]
	list[len(list)-1] = nil
	a.free[size] = list[:len(list)-1]
	a.kept -= size
	return b
}

// Reallocate gives a slice of another size with the same beginning.
func (a *Allocator) Reallocate(size int, b []byte) []byte {
	if size <= len(b) {
		return b[:size]
	}
	if size <= cap(b) {
		clear(b[len(b):size])
		return b[:size]
	}
	grown := a.allocate(size, len(b))
	copy(grown, b)
	a.Free(b)
	return grown
}

// Free takes a slice back that nobody reads any more. Slices that aren't from here, or were freed already, are left alone.
func (a *Allocator) Free(b []byte) {
	if cap(b) < least {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	at := address(b)
	if _, ours := a.out[at]; !ours {
		return
	}
	delete(a.out, at)
	size := cap(b)
	if size != class(size) || a.kept+size > a.most {
		return
	}
	a.free[size] = append(a.free[size], b[:size])
	a.kept += size
}

// address names a slice that is out; a number, so that a slice which is never freed can still be collected.
func address(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) } //nolint:gosec // only compared

// class rounds up to one of four sizes between a power of two and the next: slices are found again, and at most a quarter is in vain.
func class(size int) int {
	step := 1 << max(0, bits.Len(uint(size-1))-3) //nolint:gosec // positive
	return (size + step - 1) &^ (step - 1)
}
