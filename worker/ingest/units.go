package ingest

import (
	"cmp"
	"encoding/binary"
	"slices"

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

// histogram counts units by their rows, at most limit.
func (u *units) histogram(limit int64) map[int64]int64 {
	h := map[int64]int64{}
	for i := range u.slots {
		if v := int64(u.slots[i].value); v != 0 {
			h[min(v, limit)]++
		}
	}
	return h
}

// chosen holds which rows of a unit above the cap stay: their ordinals, ascending.
type chosen struct {
	keep []uint32
	seen uint32
}

// next says whether the unit's next row stays.
func (c *chosen) next() bool {
	ordinal := c.seen
	c.seen++
	if len(c.keep) == 0 || c.keep[0] != ordinal {
		return false
	}
	c.keep = c.keep[1:]
	return true
}

// excess chooses for each unit above the cap the rows of lowest rank.
func (u *units) excess(limit int64, tokenizer *token.Tokenizer) map[token.Token]*chosen {
	type ranked struct {
		rank    uint64
		ordinal uint32
	}
	order := func(a, b ranked) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.ordinal, b.ordinal))
	}
	out := map[token.Token]*chosen{}
	for i := range u.slots {
		s := &u.slots[i]
		if int64(s.value) <= limit {
			continue
		}
		best := make([]ranked, 0, min(2*limit, int64(s.value))) // cut back to the cap whenever full, so that memory doesn't grow with the unit
		for ordinal := range s.value {
			if int64(len(best)) == 2*limit {
				slices.SortFunc(best, order)
				best = best[:limit]
			}
			best = append(best, ranked{tokenizer.Rank(s.key, ordinal), ordinal})
		}
		slices.SortFunc(best, order)
		c := &chosen{}
		for _, r := range best[:min(limit, int64(len(best)))] {
			c.keep = append(c.keep, r.ordinal)
		}
		slices.Sort(c.keep)
		out[s.key] = c
	}
	return out
}
