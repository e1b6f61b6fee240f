package noise

import (
	"math/big"
	"math/bits"
)

// Small is a Gaussian whose parameters fit machine words; it draws what Gaussian.draw would, word for word.
type small struct {
	whole       *Gaussian
	n, t, step  uint64
	denominator wide
}

func newSmall(g *Gaussian) *small {
	if g.n.BitLen() > 62 || g.step.BitLen() > 62 || g.denominator.BitLen() > 127 {
		return nil
	}
	low := new(big.Int).And(g.denominator, new(big.Int).SetUint64(^uint64(0)))
	return &small{
		whole: g, n: g.n.Uint64(), t: g.t.Uint64(), step: g.step.Uint64(),
		denominator: wide{high: new(big.Int).Rsh(g.denominator, 64).Uint64(), low: low.Uint64()},
	}
}

func (g *small) draw(s *Stream) *big.Int {
	for {
		magnitude, negative := g.laplace(s)
		if !g.accept(s, magnitude) {
			continue
		}
		y := new(big.Int).SetUint64(magnitude)
		if negative {
			y.Neg(y)
		}
		return y
	}
}

func (g *small) accept(s *Stream, magnitude uint64) bool {
	over, x := bits.Mul64(magnitude, g.step)
	if over != 0 || x >= 1<<63 { // some 2^60 / n standard deviations away, but possible
		return bernoulliExp(s, g.whole.exponent(new(big.Int).SetUint64(magnitude)), g.whole.denominator)
	}
	if x < g.n {
		x = g.n - x
	} else {
		x -= g.n
	}
	var square wide
	square.high, square.low = bits.Mul64(x, x)
	return g.bernoulliExp(s, square)
}

// As laplace. The magnitude can't overflow: each further t has probability 1/e, so that reaching 2^64 / t of them is beyond any computation's length.
func (g *small) laplace(s *Stream) (magnitude uint64, negative bool) {
	for {
		y := s.below(g.t)
		if !bernoulliExpWord(s, y, g.t) {
			continue
		}
		for bernoulliExpWord(s, 1, 1) {
			y += g.t
		}
		negative = s.Word()&1 == 1
		if negative && y == 0 {
			continue
		}
		return y, negative
	}
}

// As bernoulliExp with b = denominator.
func (g *small) bernoulliExp(s *Stream, a wide) bool {
	for ; g.denominator.less(a); a = a.minus(g.denominator) {
		if !bernoulliExpWord(s, 1, 1) {
			return false
		}
	}
	for k := uint64(1); ; k++ {
		if !s.below128(g.denominator).less(a) || s.below(k) != 0 {
			return k%2 == 1
		}
	}
}

// As bernoulliExp for a <= b.
func bernoulliExpWord(s *Stream, a, b uint64) bool {
	for k := uint64(1); ; k++ {
		if s.below(b) >= a || s.below(k) != 0 {
			return k%2 == 1
		}
	}
}

// Wide is an unsigned integer of 128 bits.
type wide struct{ high, low uint64 }

func (a wide) less(b wide) bool {
	return a.high < b.high || a.high == b.high && a.low < b.low
}

// Minus is a - b for a >= b.
func (a wide) minus(b wide) wide {
	low, borrow := bits.Sub64(a.low, b.low, 0)
	high, _ := bits.Sub64(a.high, b.high, borrow)
	return wide{high, low}
}
