// Package decidetest makes random rooms (schemas, policies and rows) and random queries over them that the language accepts, so that
// tests can compare decisions, engine and reference evaluation on questions that nobody thought of.
//
// Invariant: the same seed gives the same room and the same queries; every query is one that PRIVACY.md accepts.
//
// Sees: made-up rows only
package decidetest

// Choice is a source of decisions: a small deterministic generator (splitmix64, Steele, Lea, Flood 2014).
type Choice struct{ state uint64 }

// Seed starts a source.
func Seed(seed uint64) *Choice { return &Choice{seed} }

// Next is the next 64 bits.
func (c *Choice) Next() uint64 {
	c.state += 0x9e3779b97f4a7c15
	z := c.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// Below is a number in [0, n).
func (c *Choice) Below(n int) int {
	if n <= 1 {
		return 0
	}
	return int(c.Next() % uint64(n))
}

// Percent is true p times in a hundred.
func (c *Choice) Percent(p int) bool { return c.Below(100) < p }

func pick[T any](c *Choice, list ...T) T { return list[c.Below(len(list))] }
