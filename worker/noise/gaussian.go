package noise

import (
	"fmt"
	"math/big"
)

// Gaussian samples the discrete Gaussian on the integers, P[x] proportional to exp(-x^2 / (2 sigma^2)), exactly: by Algorithms 1 to 3 of
// Canonne, Kamath, Steinke, "The Discrete Gaussian for Differential Privacy" (2020), in rational arithmetic.
type Gaussian struct {
	zero        bool
	n, d        *big.Int // sigma^2 = n / d
	t           *big.Int // scale of the discrete Laplace proposals: floor(sigma) + 1
	step        *big.Int // d t
	denominator *big.Int // 2 n d t^2
	small       *small   // the same in machine words, where it fits
}

// NewGaussian prepares samples with variance parameter sigma2 >= 0; with 0 every sample is 0.
func NewGaussian(sigma2 *big.Rat) (*Gaussian, error) {
	if sigma2.Sign() < 0 {
		return nil, fmt.Errorf("discrete Gaussian: sigma^2 is %s, below 0", sigma2.RatString())
	}
	if sigma2.Sign() == 0 {
		return &Gaussian{zero: true}, nil
	}
	g := &Gaussian{n: new(big.Int).Set(sigma2.Num()), d: new(big.Int).Set(sigma2.Denom())}
	g.t = new(big.Int).Div(g.n, g.d)
	g.t.Add(g.t.Sqrt(g.t), big.NewInt(1)) // floor(sqrt(floor(x))) = floor(sqrt(x))
	g.step = new(big.Int).Mul(g.d, g.t)
	g.denominator = new(big.Int).Mul(g.n, g.step)
	g.denominator.Mul(g.denominator, g.t).Lsh(g.denominator, 1)
	g.small = newSmall(g)
	return g, nil
}

// Draw is the next sample from the stream.
func (g *Gaussian) Draw(s *Stream) *big.Int {
	switch {
	case g.zero:
		return new(big.Int)
	case g.small != nil:
		return g.small.draw(s)
	default:
		return g.draw(s)
	}
}

// Algorithm 3: propose y from the discrete Laplace distribution of scale t, accept with probability exp(-(|y| - sigma^2/t)^2 / (2 sigma^2)).
func (g *Gaussian) draw(s *Stream) *big.Int {
	for {
		if y := laplace(s, g.t); bernoulliExp(s, g.exponent(new(big.Int).Abs(y)), g.denominator) {
			return y
		}
	}
}

// Exponent is the numerator (|y| d t - n)^2 of the acceptance exponent over the denominator 2 n d t^2.
func (g *Gaussian) exponent(magnitude *big.Int) *big.Int {
	x := new(big.Int).Mul(magnitude, g.step)
	x.Sub(x, g.n)
	return x.Mul(x, x)
}

// Algorithm 2 with s = 1: P[y] proportional to exp(-|y| / t).
func laplace(s *Stream, t *big.Int) *big.Int {
	one := big.NewInt(1)
	for {
		y := s.belowBig(t)
		if !bernoulliExp(s, y, t) {
			continue
		}
		for bernoulliExp(s, one, one) {
			y.Add(y, t)
		}
		negative := s.Word()&1 == 1
		if negative && y.Sign() == 0 {
			continue
		}
		if negative {
			y.Neg(y)
		}
		return y
	}
}

// Algorithm 1: true with probability exp(-a/b), for a >= 0 and b > 0.
func bernoulliExp(s *Stream, a, b *big.Int) bool {
	one := big.NewInt(1)
	rest := new(big.Int).Set(a)
	for ; rest.Cmp(b) > 0; rest.Sub(rest, b) {
		if !bernoulliExp(s, one, one) {
			return false
		}
	}
	for k := uint64(1); ; k++ {
		if s.belowBig(b).Cmp(rest) >= 0 || s.below(k) != 0 {
			return k%2 == 1
		}
	}
}
