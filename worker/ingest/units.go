package ingest

import (
	"encoding/binary"

	"concordat.dev/worker/token"
)

// units maps tokens to a number that isn't 0: how many rows a unit has, or the row in which it came first. Tokens are
// uniform, so their own bits are the hash; open addressing keeps it at 20 bytes a slot.
type units struct {
	slots   []slot
	n       int
	touched uint32 // what warm read; kept so that the reads stay
}

type slot struct {
	key   token.Token
	value uint32
}

func newUnits() *units { return &units{slots: make([]slot, 1<<12)} }

// at finds the place of a token, new ones with value 0; the caller gives it a value before the next call.
func (u *units) at(t token.Token) *uint32 {
	if u.n >= len(u.slots)/4*3 {
		u.grow()
	}
	mask := uint64(len(u.slots) - 1)
	for i := binary.LittleEndian.Uint64(t[8:]) & mask; ; i = (i + 1) & mask {
		s := &u.slots[i]
		if s.value == 0 {
			u.n++
			s.key = t
			return &s.value
		}
		if s.key == t {
			return &s.value
		}
	}
}

// warm reads the places of tokens that at will be asked for soon. The reads don't depend on one another, so that memory answers many at once:
// each token alone would be a cache miss that the next one waits for.
func (u *units) warm(tokens []token.Token) {
	mask := uint64(len(u.slots) - 1)
	for i := range tokens {
		s := &u.slots[binary.LittleEndian.Uint64(tokens[i][8:])&mask]
		u.touched += s.value + uint32(s.key[0]) // one in three slots lies in two cache lines
	}
}

func (u *units) grow() {
	old := u.slots
	u.slots = make([]slot, 2*len(old))
	u.n = 0
	for i := range old {
		if old[i].value != 0 {
			*u.at(old[i].key) = old[i].value
		}
	}
}

// all gives each token with its number.
func (u *units) all(yield func(token.Token, uint32) bool) {
	for i := range u.slots {
		if s := &u.slots[i]; s.value != 0 && !yield(s.key, s.value) {
			return
		}
	}
}
