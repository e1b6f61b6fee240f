package storage

import "bytes"

// scratch is memory in which a file is made, and the next one after it: fresh memory has to be found and cleared by the kernel, and cleared by Go, which
// costs more than what is written into it.
type scratch struct {
	slabs [][]byte
	used  int // of the last slab
	file  bytes.Buffer
}

// slabBytes is how much memory is taken at once, at least.
const slabBytes = 1 << 20

// bytes gives n bytes that hold anything and are aligned for any value; they are valid until reset.
func (s *scratch) bytes(n int) []byte {
	const align = 64
	if last := len(s.slabs) - 1; last >= 0 && s.used+n <= len(s.slabs[last]) {
		from := s.used
		s.used += (n + align - 1) / align * align
		return s.slabs[last][from : from+n : from+n]
	}
	s.slabs = append(s.slabs, make([]byte, max(n, slabBytes)))
	s.used = 0
	return s.bytes(n)
}

// reset takes all memory back, as one slab that will do for as much again.
func (s *scratch) reset() {
	if len(s.slabs) > 1 {
		n := 0
		for _, slab := range s.slabs {
			n += len(slab)
		}
		s.slabs = [][]byte{make([]byte, n)}
	}
	s.used = 0
	s.file.Reset()
}
