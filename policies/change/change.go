// Package change says what a new version of a manifest means: for each difference from the version before, who or what it touches and
// whether it protects less or more. It is what people read before they sign; the bytes they sign are compared elsewhere.
//
// Invariant: pure, and complete: two bundles with no Change between them have the same signed form.
//
// Sees: metadata
package change

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"concordat.dev/protocol/document"
)

// Effect is what a difference does to the protection of units.
type Effect string

// The effects. Neutral differences change precision or organisation, not protection; Text changes words only.
const (
	Weaker   Effect = "weaker"
	Tighter  Effect = "tighter"
	Neutral  Effect = "neutral"
	TextOnly Effect = "text"
)

// Change is one difference.
type Change struct {
	Subject string // the collaboration, a participant, a person, a dataset
	Owner   string // of the dataset, or the participant concerned; empty: everybody
	What    string // such as "min_units 50 → 20"
	Effect  Effect
}

// String is the change as a line.
func (c Change) String() string {
	s := c.What
	if c.Subject != "" {
		s = c.Subject + ": " + s
	}
	return s + ": " + string(c.Effect)
}

// TightensOnly says that all changes concern policies of one owner and none protects less: what that owner may bring into force alone where
// the manifest says so.
func TightensOnly(list []Change, owner string) bool {
	for _, c := range list {
		if c.Owner != owner || c.Effect != Tighter && c.Effect != TextOnly {
			return false
		}
	}
	return len(list) > 0
}

// Between lists the changes from one bundle to the next, weaker ones first, then in the order of the documents.
func Between(before, after *document.Bundle) []Change {
	l := &list{}
	l.manifest(before.Manifest, after.Manifest)
	for _, id := range union(datasetIDs(before.Manifest), datasetIDs(after.Manifest)) {
		old, was := before.Policies[id]
		now, is := after.Policies[id]
		switch {
		case !was:
			l.add(id, now.Owner, Neutral, "new dataset")
		case !is:
			l.add(id, old.Owner, Tighter, "dataset leaves")
		default:
			l.policy(id, old.WithDefaults(), now.WithDefaults())
		}
	}
	return l.sorted()
}

// Policies lists the changes from one policy to the next, in the same order.
func Policies(before, after *document.Policy) []Change {
	l := &list{}
	l.policy(after.Dataset, before.WithDefaults(), after.WithDefaults())
	return l.sorted()
}

func (l *list) sorted() []Change {
	order := map[Effect]int{Weaker: 0, Neutral: 1, Tighter: 2, TextOnly: 3}
	sort.SliceStable(l.changes, func(i, j int) bool { return order[l.changes[i].Effect] < order[l.changes[j].Effect] })
	return l.changes
}

type list struct{ changes []Change }

func (l *list) add(subject, owner string, e Effect, format string, args ...any) {
	l.changes = append(l.changes, Change{Subject: subject, Owner: owner, What: fmt.Sprintf(format, args...), Effect: e})
}

// differs adds a change when two values are not the same.
func differs[T comparable](l *list, subject, owner string, e Effect, name string, before, after T) {
	if before != after {
		l.add(subject, owner, e, "%s %v → %v", name, before, after)
	}
}

// more adds a change whose effect depends on the direction: raising it is the effect up, lowering it the opposite.
func more[T int | int64 | float64](l *list, subject, owner, name string, before, after T, up Effect) {
	down := map[Effect]Effect{Weaker: Tighter, Tighter: Weaker, Neutral: Neutral}[up]
	switch {
	case after > before:
		l.add(subject, owner, up, "%s %v → %v", name, before, after)
	case after < before:
		l.add(subject, owner, down, "%s %v → %v", name, before, after)
	}
}

// members adds what came into a list and what went.
func members(l *list, subject, owner, name string, before, after []string, joined, left Effect) {
	for _, x := range after {
		if !slices.Contains(before, x) {
			l.add(subject, owner, joined, "new %s %s", name, x)
		}
	}
	for _, x := range before {
		if !slices.Contains(after, x) {
			l.add(subject, owner, left, "%s %s leaves", name, x)
		}
	}
}

func union(a, b []string) []string {
	out := slices.Clone(a)
	for _, x := range b {
		if !slices.Contains(out, x) {
			out = append(out, x)
		}
	}
	return out
}

func datasetIDs(m *document.Manifest) []string {
	var out []string
	for _, d := range m.Datasets {
		out = append(out, d.ID)
	}
	return out
}

func joined(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}
