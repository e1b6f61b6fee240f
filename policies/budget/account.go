package budget

import (
	"math"
	"slices"
	"time"

	"concordat.dev/policies/mechanism"
)

// Amount is what one query costs one account, or what an account has left.
type Amount struct {
	Rho     mechanism.Rho `json:"rho,omitempty"`
	Queries int64         `json:"queries,omitempty"`
}

// Account is what was spent of one owner's namespace. Spending is kept by the hour, so that limits with any period, also one that
// a later policy brings, see all that was spent before.
type Account struct {
	Spent Amount `json:"spent"`
	Hours []Hour `json:"hours,omitempty"` // ascending, none empty

	// People is what each person spent of it; theirs have none in turn.
	People map[string]*Account `json:"people,omitempty"`
}

// Hour is what was spent in one hour since 1970, UTC.
type Hour struct {
	Hour  int64  `json:"hour"`
	Spent Amount `json:"spent"`
}

// chargeFor spends amount at now in the name of a person. It does not look at limits.
func (a *Account) chargeFor(person string, amount Amount, now time.Time) {
	a.Charge(amount, now)
	if person != "" {
		a.of(person).Charge(amount, now)
	}
}

func (a *Account) of(person string) *Account {
	if a.People[person] == nil {
		if a.People == nil {
			a.People = map[string]*Account{}
		}
		a.People[person] = &Account{}
	}
	return a.People[person]
}

// Share is what a person may still spend of the account: as much as each limit's share allows, whatever others left.
func (a *Account) Share(person string, limits []Limit, now time.Time) Amount {
	var shares []Limit
	for _, l := range limits {
		if l.Share > 0 && l.Share < 1 {
			shares = append(shares, l.share())
		}
	}
	spent := a.People[person]
	if spent == nil {
		spent = &Account{}
	}
	return spent.Remaining(shares, now)
}

// Charge spends amount at now. It does not look at limits.
func (a *Account) Charge(amount Amount, now time.Time) {
	a.Spent = a.Spent.plus(amount)
	a.add(Hour{Hour: hourOf(now), Spent: amount})
}

func (a *Account) add(h Hour) {
	i, found := slices.BinarySearchFunc(a.Hours, h.Hour, func(have Hour, want int64) int { return int(have.Hour - want) })
	if found {
		a.Hours[i].Spent = a.Hours[i].Spent.plus(h.Spent)
		return
	}
	a.Hours = slices.Insert(a.Hours, i, h)
}

// merge takes over all that other has spent.
func (a *Account) merge(other *Account) {
	a.Spent = a.Spent.plus(other.Spent)
	for _, h := range other.Hours {
		a.add(h)
	}
	for person, spent := range other.People {
		a.of(person).merge(spent)
	}
}

// Within is what was spent in the window of length period that ends at now. An hour that the window touches counts whole.
func (a *Account) Within(period time.Duration, now time.Time) Amount {
	var sum Amount
	since := now.Add(-period).Unix()
	for _, h := range slices.Backward(a.Hours) {
		if (h.Hour+1)*3600 <= since {
			break
		}
		sum = sum.plus(h.Spent)
	}
	return sum
}

// Remaining is what every limit still allows at now; math.MaxInt64 where no limit speaks of it.
func (a *Account) Remaining(limits []Limit, now time.Time) Amount {
	left := Amount{Rho: math.MaxInt64, Queries: math.MaxInt64}
	for _, l := range limits {
		spent := a.Within(l.Period, now)
		if l.Mechanism == mechanism.DifferentialPrivacy {
			left.Rho = max(0, min(left.Rho, l.Rho-spent.Rho, l.Lifetime-a.Spent.Rho))
		}
		if l.Queries > 0 {
			left.Queries = max(0, min(left.Queries, l.Queries-spent.Queries))
		}
	}
	return left
}

// Used is the fullest of the limits at now, from 0 to 1.
func (a *Account) Used(limits []Limit, now time.Time) float64 {
	used := 0.0
	fill := func(spent, allowed int64) {
		if allowed > 0 && allowed < math.MaxInt64 {
			used = max(used, float64(spent)/float64(allowed))
		}
	}
	for _, l := range limits {
		spent := a.Within(l.Period, now)
		if l.Mechanism == mechanism.DifferentialPrivacy {
			fill(int64(spent.Rho), int64(l.Rho))
			fill(int64(a.Spent.Rho), int64(l.Lifetime))
		}
		fill(spent.Queries, l.Queries)
	}
	return used
}

// Levels are the parts of a budget at which its owner is told.
var Levels = []float64{0.5, 0.8, 0.95}

// Crossed is the highest level that lies above before and not above after; false if none does.
func Crossed(before, after float64) (float64, bool) {
	for _, level := range slices.Backward(Levels) {
		if before < level && level <= after {
			return level, true
		}
	}
	return 0, false
}

// Allows says whether the amount fits into what remains.
func (left Amount) Allows(price Amount) bool {
	return price.Rho <= left.Rho && price.Queries <= left.Queries
}

// Least is the smaller of two remainders in each part.
func (left Amount) Least(b Amount) Amount {
	return Amount{Rho: min(left.Rho, b.Rho), Queries: min(left.Queries, b.Queries)}
}

// More is how many further queries of this price fit into what remains: "about N more such queries".
func (left Amount) More(price Amount) int64 {
	n := int64(math.MaxInt64)
	if price.Rho > 0 {
		n = min(n, int64(left.Rho/price.Rho))
	}
	if price.Queries > 0 {
		n = min(n, left.Queries/price.Queries)
	}
	return n
}

func (left Amount) plus(b Amount) Amount {
	return Amount{Rho: left.Rho + b.Rho, Queries: left.Queries + b.Queries}
}

func hourOf(t time.Time) int64 { return t.Unix() / 3600 }
