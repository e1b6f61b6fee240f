package budget_test

import (
	"errors"
	"testing"

	"concordat.dev/policies/budget"
	"concordat.dev/policies/mechanism"
	"concordat.dev/protocol/document"
)

func shared(person string, rho float64) []budget.Charge {
	l := limits(1, 2, "30d")
	l[0].Share = 0.25
	c := charge(patient, l, rho)
	c[0].Person = person
	return c
}

func TestOnePersonCannotDrainABudget(t *testing.T) {
	l := budget.New()
	reserve := func(id, person string, rho float64) *budget.Shortage {
		t.Helper()
		var short *budget.Shortage
		if err := l.Reserve(id, shared(person, rho), start); err != nil && !errors.As(err, &short) {
			t.Fatal(err)
		}
		return short
	}
	if short := reserve("a", "ann", 0.2); short != nil {
		t.Fatal(short)
	}
	if short := reserve("b", "ann", 0.06); short == nil || short.Person != "ann" || short.Left.Rho != mechanism.FromFloat(0.05) {
		t.Fatalf("more than a quarter: %v", short)
	}
	if short := reserve("c", "bob", 0.25); short != nil {
		t.Fatalf("bob has a share of his own: %v", short)
	}
	for i, who := range []string{"cleo", "dan"} {
		if short := reserve(string(rune('d'+i)), who, 0.25); short != nil {
			t.Fatal(short)
		}
	}
	if short := reserve("f", "eve", 0.06); short == nil || short.Person != "" || short.Owner != "clinic" {
		t.Fatalf("shares add up to no more than the budget: %v", short)
	}
	if l.Total(patient) != l.Account(patient).Spent {
		t.Error("shares changed what was spent")
	}
}

// A share that a later policy brings sees what was spent before it, in either of two namespaces that turned out to be one.
func TestSharesSeeThePast(t *testing.T) {
	l := budget.New()
	person := budget.Key{Owner: owner, Namespace: "person"}
	l.Declare(owner, "d", "patient")
	for id, k := range map[string]budget.Key{"a": patient, "b": person} {
		c := charge(k, limits(1, 2, "30d"), 0.2)
		c[0].Person = "ann"
		if err := l.Reserve(id, c, start); err != nil {
			t.Fatal(err)
		}
	}
	l.Declare(owner, "d", "person")
	share := limits(1, 2, "30d")
	share[0].Share = 0.5
	if left := l.Account(person).Share("ann", share, start); left.Rho != mechanism.FromFloat(0.1) {
		t.Errorf("left %v", left)
	}
}

func TestShareOfAQuota(t *testing.T) {
	limit, _, err := budget.LimitOf(&document.Policy{
		Release: &document.Release{Mechanism: document.Threshold}, Budget: &document.Budget{Queries: 8, Period: "1d", PerPersonShare: 0.25},
	})
	if err != nil {
		t.Fatal(err)
	}
	var a budget.Account
	if left := a.Share("ann", []budget.Limit{limit}, start); left.Queries != 2 {
		t.Errorf("%d of 8", left.Queries)
	}
}

func TestLevels(t *testing.T) {
	for _, c := range []struct{ before, after, level float64 }{
		{0, 0.49, 0}, {0.49, 0.5, 0.5}, {0.5, 0.6, 0}, {0.4, 0.96, 0.95}, {0.79, 0.8, 0.8}, {0.96, 1, 0},
	} {
		if level, ok := budget.Crossed(c.before, c.after); level != c.level || ok != (c.level > 0) {
			t.Errorf("%v → %v: %v", c.before, c.after, level)
		}
	}
	l := budget.New()
	if err := l.Reserve("a", charge(patient, limits(1, 1.25, "30d"), 0.5), start); err != nil {
		t.Fatal(err)
	}
	for days, want := range map[int]float64{0: 0.5, 40: 0.4} { // of the period, then for good
		if used := l.Account(patient).Used(limits(1, 1.25, "30d"), start.AddDate(0, 0, days)); used != want {
			t.Errorf("after %d days %v, want %v", days, used, want)
		}
	}
}
