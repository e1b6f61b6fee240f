package budget

import (
	"fmt"
	"math"
	"time"

	"concordat.dev/policies/mechanism"
	"concordat.dev/protocol/document"
)

// Limit is what the policy of one dataset allows to be spent from the account of its owner and namespace. Several limits on one
// account hold all at once, so that the smallest applies (PRIVACY.md R5).
type Limit struct {
	Dataset   string
	Mechanism mechanism.Kind
	Rho       mechanism.Rho // in any window of Period; differential privacy
	Lifetime  mechanism.Rho // for good; differential privacy
	Delta     float64
	Queries   int64 // in any window of Period; threshold
	Period    time.Duration
	Share     float64 // of all these that one person may spend; 0: all
}

// share is the limit as it holds for one person.
func (l Limit) share() Limit {
	l.Rho = floor(l.Rho.Float() * l.Share)
	if l.Bounded() {
		l.Lifetime = floor(l.Lifetime.Float() * l.Share)
	}
	if l.Queries > 0 { // 0 would be no limit
		l.Queries = max(1, int64(float64(l.Queries)*l.Share))
	}
	return l
}

const day = 24 * time.Hour

// LimitOf reads the limit of one policy. A policy that protects nobody has none: ok is false. One that says nothing of a budget has
// none to spend.
func LimitOf(p *document.Policy) (limit Limit, ok bool, err error) {
	if p.Unit.None {
		return Limit{}, false, nil
	}
	limit = Limit{Dataset: p.Dataset, Mechanism: mechanism.DifferentialPrivacy, Period: day}
	if p.Release != nil && p.Release.Mechanism == string(mechanism.Threshold) {
		limit.Mechanism = mechanism.Threshold
		limit.Queries = document.DefaultQueries
	}
	b := p.Budget
	if b == nil {
		return limit, true, nil
	}
	if b.Period != "" {
		if limit.Period, err = document.ParsePeriod(b.Period); err != nil {
			return Limit{}, false, fmt.Errorf("budget of %s: %w", p.Dataset, err)
		}
	}
	limit.Delta, limit.Share = b.Delta, b.PerPersonShare
	limit.Rho, limit.Lifetime = floor(b.Rho), floor(b.LifetimeRho)
	if b.LifetimeRho == 0 {
		limit.Lifetime = math.MaxInt64
	}
	if b.Queries > 0 {
		limit.Queries = b.Queries
	}
	return limit, true, nil
}

// Bounded says whether the policy limits what is spent for good.
func (l Limit) Bounded() bool { return l.Lifetime < math.MaxInt64 }

// floor rounds down to 1e-9, so that a budget is never overstated.
func floor(x float64) mechanism.Rho {
	r := mechanism.FromFloat(x)
	if r.Float() > x {
		r--
	}
	return r
}
