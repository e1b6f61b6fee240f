package budget_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"concordat.dev/policies/budget"
	"concordat.dev/policies/mechanism"
	"concordat.dev/protocol/document"
)

const owner = "ed25519:AAAA"

var (
	start   = time.Date(2026, 3, 1, 10, 30, 0, 0, time.UTC)
	patient = budget.Key{Owner: owner, Namespace: "patient"}
)

func limits(rho, lifetime float64, period string) []budget.Limit {
	l, ok, err := budget.LimitOf(&document.Policy{
		Dataset: "clinic.patients", Budget: &document.Budget{Rho: rho, LifetimeRho: lifetime, Period: period, Delta: 1e-6},
	})
	if err != nil || !ok {
		panic(fmt.Sprint(ok, err))
	}
	return []budget.Limit{l}
}

func charge(key budget.Key, l []budget.Limit, rho float64) []budget.Charge {
	return []budget.Charge{{
		Owner: "clinic", Key: key.String(), Limits: l, Amount: budget.Amount{Rho: mechanism.FromFloat(rho)},
	}}
}

func TestExhaustionByPeriodAndForGood(t *testing.T) {
	l := budget.New()
	lim := limits(0.5, 0.8, "30d")
	now := start
	step := func(id string, rho float64, want bool) {
		t.Helper()
		err := l.Reserve(id, charge(patient, lim, rho), now)
		var short *budget.Shortage
		if want && err != nil || !want && !errors.As(err, &short) {
			t.Fatalf("%s: %v", id, err)
		}
		if !want && short.Owner != "clinic" {
			t.Fatalf("%s names %q", id, short.Owner)
		}
	}
	step("a", 0.3, true)
	step("b", 0.200000001, false)
	step("c", 0.2, true)
	step("d", 0.000000001, false)
	now = now.Add(30*24*time.Hour + time.Hour) // the hour of the spending has left the window whole
	step("e", 0.300000001, false)              // lifetime
	step("f", 0.3, true)
	now = now.Add(365 * 24 * time.Hour)
	step("g", 0.000000001, false)
	if got, want := l.Total(patient), l.Account(patient).Spent; got != want || got.Rho != mechanism.FromFloat(0.8) {
		t.Fatalf("reservations sum to %v, the account says %v", got, want)
	}
}

func TestHourThatTheWindowTouchesCountsWhole(t *testing.T) {
	var a budget.Account
	a.Charge(budget.Amount{Rho: 5}, start.Truncate(time.Hour))
	end := start.Truncate(time.Hour).Add(time.Hour)
	if got := a.Within(2*time.Hour, end.Add(2*time.Hour-time.Second)).Rho; got != 5 {
		t.Errorf("one second before the window leaves the hour: %d", got)
	}
	if got := a.Within(2*time.Hour, end.Add(2*time.Hour)).Rho; got != 0 {
		t.Errorf("after the window left the hour: %d", got)
	}
}

func TestAllOwnersOrNone(t *testing.T) {
	l := budget.New()
	other := budget.Key{Owner: "ed25519:BBBB", Namespace: "patient"}
	both := append(charge(patient, limits(1, 1, "1d"), 0.1), charge(other, limits(0.05, 1, "1d"), 0.1)...)
	both[1].Owner = "registry"
	var short *budget.Shortage
	if err := l.Reserve("a", both, start); !errors.As(err, &short) || short.Owner != "registry" {
		t.Fatalf("want a shortage of registry: %v", err)
	}
	if l.Account(patient).Spent.Rho != 0 || len(l.Reservations) != 0 {
		t.Fatal("a refused reservation charged somebody")
	}
}

func TestSmallestOfSeveralLimits(t *testing.T) {
	lim := append(limits(1, 5, "30d"), limits(0.2, 5, "1d")...)
	var a budget.Account
	if got := a.Remaining(lim, start).Rho; got != mechanism.FromFloat(0.2) {
		t.Fatalf("remaining %v", got.Float())
	}
	a.Charge(budget.Amount{Rho: mechanism.FromFloat(0.9)}, start)
	if got := a.Remaining(lim, start.Add(48*time.Hour)).Rho; got != mechanism.FromFloat(0.1) {
		t.Fatalf("remaining after two days %v", got.Float())
	}
}

func TestQuota(t *testing.T) {
	l, ok, err := budget.LimitOf(&document.Policy{Release: &document.Release{Mechanism: "threshold"}})
	if !ok || err != nil || l.Queries != 200 || l.Period != 24*time.Hour {
		t.Fatalf("default quota: %+v %v %v", l, ok, err)
	}
	var a budget.Account
	for range 200 {
		if !a.Remaining([]budget.Limit{l}, start).Allows(budget.Amount{Queries: 1}) {
			t.Fatal("refused within the quota")
		}
		a.Charge(budget.Amount{Queries: 1}, start)
	}
	left := a.Remaining([]budget.Limit{l}, start)
	if left.Allows(budget.Amount{Queries: 1}) || left.Queries != 0 || left.Rho != math.MaxInt64 {
		t.Fatalf("after 200 queries: %+v", left)
	}
}

func TestLineage(t *testing.T) {
	l := budget.New()
	person := budget.Key{Owner: owner, Namespace: "person"}
	lim := limits(1, 1, "1d")
	l.Declare(owner, "clinic.patients", "patient")
	must(t, l.Reserve("a", charge(patient, lim, 0.6), start))
	l.Declare(owner, "clinic.visits", "person")
	must(t, l.Reserve("b", charge(person, lim, 0.1), start))
	if got := l.Account(person).Spent.Rho; got != mechanism.FromFloat(0.1) {
		t.Fatalf("namespaces share before any dataset moved: %v", got)
	}
	l.Declare(owner, "clinic.patients", "person") // moved: what patient spent comes along, and both share
	for _, k := range []budget.Key{patient, person} {
		if got := l.Account(k).Spent.Rho; got != mechanism.FromFloat(0.7) {
			t.Fatalf("%v after the move: %v", k, got.Float())
		}
		if got := l.Total(k); got != l.Account(k).Spent {
			t.Fatalf("%v: reservations %v, account %v", k, got, l.Account(k).Spent)
		}
	}
	l.Declare(owner, "clinic.patients", "patient") // and back
	l.Declare(owner, "clinic.patients", "person")
	if err := l.Reserve("c", charge(patient, lim, 0.4), start); err == nil {
		t.Fatal("moving to and fro gave budget back")
	}
}

func TestOwnerKeepsItsFirstKey(t *testing.T) {
	l := budget.New()
	for i, step := range []struct {
		keys, before []string
		want         string
	}{
		{[]string{"a"}, nil, "a"},
		{[]string{"b"}, []string{"a"}, "a"},      // rotated
		{[]string{"c", "d"}, []string{"b"}, "a"}, // and again
		{[]string{"x", "d"}, nil, "a"},           // known by one of its keys in another collaboration
		{[]string{"y"}, nil, "y"},
	} {
		if got := l.Owner(step.keys, step.before); got != step.want {
			t.Errorf("step %d: %q, want %q", i, got, step.want)
		}
	}
}

func TestSettledStaysSpent(t *testing.T) {
	l := budget.New()
	must(t, l.Reserve("a", charge(patient, limits(1, 1, "1d"), 0.6), start))
	l.Settle("a", budget.Unclear)
	if got := l.Account(patient).Spent.Rho; got != mechanism.FromFloat(0.6) {
		t.Fatalf("an unclear query was refunded: %v", got)
	}
	l.Settle("a", budget.Acknowledged)
	l.Settle("a", budget.Unclear)
	if got := l.Reservations["a"].Status; got != budget.Acknowledged {
		t.Fatalf("an acknowledged reservation became %s", got)
	}
	neg := charge(patient, limits(1, 1, "1d"), 0.1)
	neg[0].Amount.Rho = -5
	if err := l.Reserve("b", neg, start); !errors.Is(err, budget.ErrNegative) {
		t.Fatalf("a negative price: %v", err)
	}
}

func TestMore(t *testing.T) {
	left := budget.Amount{Rho: 100, Queries: 3}
	if got := left.More(budget.Amount{Rho: 30}); got != 3 {
		t.Errorf("by rho: %d", got)
	}
	if got := left.More(budget.Amount{Rho: 1, Queries: 2}); got != 1 {
		t.Errorf("by queries: %d", got)
	}
	if got := left.More(budget.Amount{}); got != math.MaxInt64 {
		t.Errorf("for free: %d", got)
	}
}

// However reservations, moves and clocks interleave, no account ever spends more than a limit in a window or shrinks, and
// the reservations sum up to the accounts.
func TestNeverAboveTheLimit(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a repeatable walk
	l := budget.New()
	lim := limits(0.5, 3, "2d")
	now := start
	spaces := []string{"patient", "person", "device"}
	var last mechanism.Rho
	for i := range 3000 {
		now = now.Add(time.Duration(r.IntN(7200)) * time.Second)
		k := budget.Key{Owner: owner, Namespace: spaces[r.IntN(3)]}
		if r.IntN(200) == 0 {
			l.Declare(owner, "d", k.Namespace)
		}
		before := l.Account(k).Remaining(lim, now)
		price := r.Float64() / 10
		err := l.Reserve(fmt.Sprint(i), charge(k, lim, price), now)
		if (err == nil) != (mechanism.FromFloat(price) <= before.Rho) {
			t.Fatalf("step %d: price %v of remaining %v: %v", i, price, before.Rho.Float(), err)
		}
		var sum mechanism.Rho
		for _, a := range l.Accounts {
			sum += a.Spent.Rho
		}
		if sum < last {
			t.Fatalf("step %d: spending shrank", i)
		}
		last = sum
		if got := l.Total(k); got != l.Account(k).Spent {
			t.Fatalf("step %d: %v and %v differ", i, got, l.Account(k).Spent)
		}
	}
	blob, err := json.Marshal(l)
	must(t, err)
	again := budget.New()
	must(t, json.Unmarshal(blob, again))
	twice, err := json.Marshal(again)
	must(t, err)
	if string(blob) != string(twice) {
		t.Fatal("the JSON form loses something")
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
