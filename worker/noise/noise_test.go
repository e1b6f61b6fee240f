package noise

import (
	"encoding/hex"
	"fmt"
	"math"
	"math/big"
	"strings"
	"testing"
)

func testKey(name string) Key { return Key{}.Derive([]byte(name)) }

// Golden vectors: noise that was released once must never be drawn anew with other values. If one of these changes, so must Version.
func TestGoldenVectors(t *testing.T) {
	var zero Key
	k := zero.Derive([]byte("context"))
	if got := hex.EncodeToString(k[:]); got != goldenKey {
		t.Errorf("derived key %s", got)
	}
	s := k.Stream([]byte("a"), nil)
	var words []string
	for range 4 {
		words = append(words, fmt.Sprintf("%016x", s.Word()))
	}
	if got := strings.Join(words, " "); got != goldenWords {
		t.Errorf("words %s", got)
	}
	for sigma2, want := range goldenSamples {
		v, _ := new(big.Rat).SetString(sigma2)
		g, err := NewGaussian(v)
		if err != nil {
			t.Fatal(err)
		}
		s := k.Stream([]byte(sigma2))
		var samples []string
		for range 8 {
			samples = append(samples, g.Draw(s).String())
		}
		if got := strings.Join(samples, " "); got != want {
			t.Errorf("sigma^2 %s: %s", sigma2, got)
		}
	}
}

func TestContextsAreInjective(t *testing.T) {
	k := testKey("injective")
	seen := map[Key]string{}
	add := func(name string, key Key) {
		if other, twice := seen[key]; twice {
			t.Errorf("%s and %s are one context", name, other)
		}
		seen[key] = name
	}
	for _, fields := range [][]string{{}, {""}, {"", ""}, {"ab"}, {"a", "b"}, {"", "ab"}, {"ab", ""}, {"a\x00b"}, {"\x00\x00\x00\x00\x00\x00\x00\x00"}} {
		var raw [][]byte
		for _, f := range fields {
			raw = append(raw, []byte(f))
		}
		add(fmt.Sprintf("key %q", fields), k.prf("key", raw))
		add(fmt.Sprintf("stream %q", fields), k.prf("stream", raw))
		add(fmt.Sprintf("other key %q", fields), testKey("other").prf("key", raw))
	}
}

// The two arithmetics read the stream alike, so they must agree sample for sample, and leave the stream at the same place.
func TestSmallAgreesWithBig(t *testing.T) {
	for _, sigma2 := range []string{"1/100", "1/3", "1", "4", "9", "300", "400", "1000000007/4999999", "7500", "123456789", "4800000000", "1000000000000", "36893488147419103/7"} {
		v, _ := new(big.Rat).SetString(sigma2)
		g, err := NewGaussian(v)
		if err != nil {
			t.Fatal(err)
		}
		if g.small == nil {
			t.Fatalf("sigma^2 %s does not take the fast path", sigma2)
		}
		a, b := testKey("agree").Stream([]byte(sigma2)), testKey("agree").Stream([]byte(sigma2))
		for i := range 1000 {
			if x, y := g.small.draw(a), g.draw(b); x.Cmp(y) != 0 {
				t.Fatalf("sigma^2 %s, sample %d: %s and %s", sigma2, i, x, y)
			}
		}
		if a.Word() != b.Word() {
			t.Errorf("sigma^2 %s: the streams are at different places", sigma2)
		}
	}
}

// Where the small arithmetic hands an extreme proposal to the big one, it decides as the big one does.
func TestSmallHandsOver(t *testing.T) {
	g, err := NewGaussian(big.NewRat(1<<58, 1))
	if err != nil || g.small == nil {
		t.Fatal("sigma 2^29 does not take the fast path", err)
	}
	for i, magnitude := range []uint64{1 << 30, 1 << 33, 1 << 34, 1 << 35, 1 << 40, 1<<63 - 1} {
		name := []byte{byte(i)}
		a, b := testKey("over").Stream(name), testKey("over").Stream(name)
		want := bernoulliExp(b, g.exponent(new(big.Int).SetUint64(magnitude)), g.denominator)
		if got := g.small.accept(a, magnitude); got != want || a.Word() != b.Word() {
			t.Errorf("proposal %d: %v, not %v", magnitude, got, want)
		}
	}
}

func TestHugeSigma(t *testing.T) {
	sigma := new(big.Int).Lsh(big.NewInt(1), 80)
	g, err := NewGaussian(new(big.Rat).SetInt(new(big.Int).Mul(sigma, sigma)))
	if err != nil || g.small != nil {
		t.Fatal("sigma 2^80 takes the fast path", err)
	}
	s := testKey("huge").Stream()
	const n = 4000
	var sum, squares float64
	for range n {
		x, _ := new(big.Rat).SetFrac(g.Draw(s), sigma).Float64()
		sum += x
		squares += x * x
	}
	// 5 standard errors: 1/sqrt(n) of the mean, sqrt(2/n) of the variance.
	if math.Abs(sum/n) > 5/math.Sqrt(n) || math.Abs(squares/n-1) > 5*math.Sqrt(2.0/n) {
		t.Errorf("mean %g and variance %g of the unit Gaussian", sum/n, squares/n)
	}
}

func TestSigmaAtTheEdges(t *testing.T) {
	g, err := NewGaussian(new(big.Rat))
	if err != nil || g.Draw(testKey("zero").Stream()).Sign() != 0 {
		t.Error("sigma 0 has noise", err)
	}
	if _, err := NewGaussian(big.NewRat(-1, 2)); err == nil {
		t.Error("a negative variance is accepted")
	}
}

func BenchmarkDraw(b *testing.B) {
	for _, sigma := range []int64{1, 20, 1 << 20, 1 << 40} {
		b.Run(fmt.Sprintf("sigma=%d", sigma), func(b *testing.B) {
			v := new(big.Int).Mul(big.NewInt(sigma), big.NewInt(sigma))
			g, err := NewGaussian(new(big.Rat).SetInt(v))
			if err != nil {
				b.Fatal(err)
			}
			s := testKey("bench").Stream()
			for b.Loop() {
				g.Draw(s)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "samples/s")
		})
	}
}

func BenchmarkStream(b *testing.B) {
	k := testKey("bench")
	for b.Loop() {
		k.Stream([]byte("group"), []byte("column")).Word()
	}
}
