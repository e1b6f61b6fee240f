package noise

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"math/big"
	"math/bits"
)

// Stream is a sequence of pseudorandom words: the key stream of AES-256 in counter mode from a zero counter, read as little-endian
// words. Every key is used for one stream only. Not safe for concurrent use.
type Stream struct {
	cipher cipher.Stream
	buffer [256]byte
	used   int
}

func newStream(k Key) *Stream {
	block, err := aes.NewCipher(k[:])
	if err != nil {
		panic(err) // 32 bytes are always a key
	}
	var zero [aes.BlockSize]byte
	s := &Stream{cipher: cipher.NewCTR(block, zero[:])}
	s.used = len(s.buffer)
	return s
}

// Word is the next 64 bits.
func (s *Stream) Word() uint64 {
	if s.used == len(s.buffer) {
		clear(s.buffer[:])
		s.cipher.XORKeyStream(s.buffer[:], s.buffer[:])
		s.used = 0
	}
	w := binary.LittleEndian.Uint64(s.buffer[s.used:])
	s.used += 8
	return w
}

// The three forms of below consume the stream alike: as many words as bound - 1 has, least significant first, the highest cut to its bits, again until
// the number is below the bound. So a sample does not depend on which arithmetic computed it.

func (s *Stream) below(bound uint64) uint64 {
	n := bits.Len64(bound - 1)
	if n == 0 {
		return 0
	}
	for {
		if x := s.Word() & (^uint64(0) >> (64 - n)); x < bound {
			return x
		}
	}
}

func (s *Stream) below128(bound wide) wide {
	if bound.high == 0 {
		return wide{low: s.below(bound.low)}
	}
	if bound == (wide{high: 1}) {
		return wide{low: s.Word()}
	}
	n := bits.Len64(bound.minus(wide{low: 1}).high)
	for {
		x := wide{low: s.Word()}
		x.high = s.Word() & (^uint64(0) >> (64 - n))
		if x.less(bound) {
			return x
		}
	}
}

func (s *Stream) belowBig(bound *big.Int) *big.Int {
	n := new(big.Int).Sub(bound, big.NewInt(1)).BitLen()
	words := make([]byte, (n+63)/64*8)
	mask := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), uint(n)), big.NewInt(1))
	x := new(big.Int)
	for {
		for at := len(words); at > 0; at -= 8 {
			binary.BigEndian.PutUint64(words[at-8:], s.Word())
		}
		if x.And(x.SetBytes(words), mask); x.Cmp(bound) < 0 {
			return x
		}
	}
}
