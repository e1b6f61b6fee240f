// Package budget is the arithmetic of privacy budgets: accounts by owner and namespace, what the policies still allow at a time, and
// reservations that stay spent whatever becomes of the query (PRIVACY.md section 7).
//
// Invariant: what was spent never shrinks. Accounts belong to the owner's first key; a new name of the owner, another
// collaboration, or a dataset that moves to another namespace does not start afresh. Amounts are integers and add up exactly.
//
// Sees: metadata
package budget

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// ErrNegative says that a price would give back what was spent.
var ErrNegative = errors.New("negative price")

// Ledger holds all accounts and reservations. Its JSON form is the whole of it.
type Ledger struct {
	Accounts     map[string]*Account     `json:"accounts"` // by Key.String of the lineage's first namespace
	Lineage      map[string]string       `json:"lineage"`  // Key of a namespace → Key of the account it was merged into
	Datasets     map[string]string       `json:"datasets"` // owner key and dataset id → Key of its namespace
	Owners       map[string]string       `json:"owners"`   // every key that an owner ever had → the first one
	Reservations map[string]*Reservation `json:"reservations"`
}

// Key names an account by the owner's first key ("ed25519:…") and a namespace.
type Key struct {
	Owner     string
	Namespace string
}

func (k Key) String() string { return k.Owner + " " + k.Namespace }

// Status is how a reservation stands. Whatever it is, the amount is spent.
type Status string

// The states of a reservation.
const (
	Reserved     Status = "reserved"     // paid, the outcome not yet known
	Acknowledged Status = "acknowledged" // its receipt is in the log
	Unclear      Status = "unclear"      // failed or lost
)

// Reservation is the price of one query, paid by every owner that it touches.
type Reservation struct {
	Charges []Charge  `json:"charges"`
	Status  Status    `json:"status"`
	At      time.Time `json:"at"`
}

// Charge is one owner's part of a price. Owner is the participant's id, for people; Key is who pays, Person who spends.
type Charge struct {
	Owner  string  `json:"owner"`
	Person string  `json:"person,omitempty"`
	Key    string  `json:"key"`
	Limits []Limit `json:"-"`
	Amount Amount  `json:"amount"`
}

// Shortage says which owner's budget cannot pay, and what it still has. With a person it is their share of it that is used up.
type Shortage struct {
	Owner  string
	Person string
	Price  Amount
	Left   Amount
}

func (s *Shortage) Error() string {
	if s.Person != "" && s.Price.Rho > s.Left.Rho {
		return fmt.Sprintf("the share that %s has of the budget of %s cannot pay rho %g: %g remain", s.Person, s.Owner, s.Price.Rho.Float(), s.Left.Rho.Float())
	}
	if s.Person != "" {
		return fmt.Sprintf("the share that %s has of the quota of %s is used up: %d of %d queries needed remain", s.Person, s.Owner, s.Left.Queries, s.Price.Queries)
	}
	if s.Price.Rho > s.Left.Rho {
		return fmt.Sprintf("the budget of %s cannot pay rho %g: %g remain", s.Owner, s.Price.Rho.Float(), s.Left.Rho.Float())
	}
	return fmt.Sprintf("the quota of %s is used up: %d of %d queries needed remain", s.Owner, s.Left.Queries, s.Price.Queries)
}

// New is an empty ledger.
func New() *Ledger {
	return &Ledger{
		Accounts: map[string]*Account{}, Lineage: map[string]string{},
		Datasets: map[string]string{}, Owners: map[string]string{}, Reservations: map[string]*Reservation{},
	}
}

// Owner is the first key under which an owner was ever known who has these keys now and had those before; it notes the new ones.
// Keys that two owners claim stay with the first.
func (l *Ledger) Owner(keys, before []string) string {
	first := ""
	for _, k := range slices.Concat(before, keys) {
		if first = l.Owners[k]; first != "" {
			break
		}
	}
	if first == "" && len(keys) > 0 {
		first = keys[0]
	}
	for _, k := range keys {
		if l.Owners[k] == "" {
			l.Owners[k] = first
		}
	}
	return first
}

// Declare notes that a dataset of the owner with this first key lies in a namespace. A dataset that was in another one takes its
// account along: from then on both namespaces share it.
func (l *Ledger) Declare(owner, dataset, namespace string) {
	id := owner + " " + dataset
	here := Key{owner, namespace}.String()
	before, known := l.Datasets[id]
	l.Datasets[id] = here
	if !known {
		return
	}
	from, to := l.root(here), l.root(before)
	if from == to {
		return
	}
	l.Lineage[from] = to
	if a := l.Accounts[from]; a != nil {
		l.account(to).merge(a)
		delete(l.Accounts, from)
	}
}

// Account is the account of a key, empty where nothing was spent. The caller must not change it.
func (l *Ledger) Account(k Key) *Account {
	if a := l.Accounts[l.root(k.String())]; a != nil {
		return a
	}
	return &Account{}
}

// Reserve spends a price under the id of a query, from all accounts or from none: a *Shortage names the first owner that cannot
// pay. It panics on an id that is taken: the caller looks first.
func (l *Ledger) Reserve(id string, charges []Charge, now time.Time) error {
	if l.Reservations[id] != nil {
		panic("budget: reservation " + id + " exists")
	}
	due := map[string]Amount{} // two owners may share a key only by mistake, but then they share the account too
	for _, c := range charges {
		if c.Amount.Rho < 0 || c.Amount.Queries < 0 {
			return fmt.Errorf("reserve %s: %w of %s", id, ErrNegative, c.Owner)
		}
		k := l.root(c.Key)
		due[k] = due[k].plus(c.Amount)
		a := l.Accounts[k]
		if a == nil {
			a = &Account{}
		}
		if left := a.Remaining(c.Limits, now); !left.Allows(due[k]) {
			return &Shortage{Owner: c.Owner, Price: c.Amount, Left: left}
		}
		if left := a.Share(c.Person, c.Limits, now); !left.Allows(due[k]) {
			return &Shortage{Owner: c.Owner, Person: c.Person, Price: c.Amount, Left: left}
		}
	}
	for _, c := range charges {
		l.account(l.root(c.Key)).chargeFor(c.Person, c.Amount, now)
	}
	kept := slices.Clone(charges)
	for i := range kept {
		kept[i].Limits = nil // they were what the policies allowed then
	}
	l.Reservations[id] = &Reservation{Charges: kept, Status: Reserved, At: now.UTC()}
	return nil
}

// Settle notes the outcome of a reservation. An acknowledged one stays acknowledged.
func (l *Ledger) Settle(id string, s Status) {
	if r := l.Reservations[id]; r != nil && r.Status != Acknowledged {
		settled := *r // whoever holds the old one may be writing it to disk
		settled.Status = s
		l.Reservations[id] = &settled
	}
}

// Total is what all reservations of an owner's key in a namespace sum up to: always what its account says it spent.
func (l *Ledger) Total(k Key) Amount {
	var sum Amount
	root := l.root(k.String())
	for _, r := range l.Reservations {
		for _, c := range r.Charges {
			if l.root(c.Key) == root {
				sum = sum.plus(c.Amount)
			}
		}
	}
	return sum
}

func (l *Ledger) account(root string) *Account {
	a := l.Accounts[root]
	if a == nil {
		a = &Account{}
		l.Accounts[root] = a
	}
	return a
}

func (l *Ledger) root(k string) string {
	for l.Lineage[k] != "" {
		k = l.Lineage[k]
	}
	return k
}
