package approval_test

import (
	"slices"
	"testing"
	"time"

	"concordat.dev/policies/approval"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/key"
)

// three is a room of three owners whose manifest lets one tighten alone and others recover lost keys.
func three(version int, a, b, c []key.Private, edit func(*document.Bundle)) *document.Bundle {
	m := manifest(version, participant("a", 1, a...), participant("b", 1, b...), participant("c", 1, c...))
	m.Amendments = &document.Amendments{Tightening: "owner", Recovery: "others"}
	m.Namespaces = map[string]document.Namespace{"patient": {Normalize: "trim"}}
	bundle := &document.Bundle{Manifest: m, Policies: map[string]*document.Policy{}}
	for _, owner := range []string{"a", "b", "c"} {
		id := owner + ".d"
		m.Datasets = append(m.Datasets, document.Dataset{ID: id, Owner: owner, PolicyDigest: "sha256:" + owner})
		bundle.Policies[id] = &document.Policy{
			Dataset: id, Owner: owner, Unit: document.Unit{Column: "id", Namespace: "patient"},
			Release: &document.Release{Mechanism: "differential_privacy", MinUnits: 10}, Budget: &document.Budget{Rho: 1, LifetimeRho: 3, Delta: 1e-6, Period: "30d"},
		}
	}
	if edit != nil {
		edit(bundle)
	}
	return bundle
}

func raise(owners ...string) func(*document.Bundle) {
	return func(b *document.Bundle) {
		for i, d := range b.Manifest.Datasets {
			if slices.Contains(owners, d.Owner) {
				b.Policies[d.ID].Release.MinUnits = 20
				b.Manifest.Datasets[i].PolicyDigest += "2"
			}
		}
	}
}

func TestTightening(t *testing.T) {
	ka, kb, kc := keypair(t), keypair(t), keypair(t)
	a, b, c := []key.Private{ka}, []key.Private{kb}, []key.Private{kc}
	previous := three(1, a, b, c, nil)
	silent := three(1, a, b, c, func(x *document.Bundle) { x.Manifest.Amendments = nil })
	both := func(edits ...func(*document.Bundle)) func(*document.Bundle) {
		return func(x *document.Bundle) {
			for _, e := range edits {
				e(x)
			}
		}
	}
	for name, x := range map[string]struct {
		next, previous *document.Bundle
		by             key.Private
		alone          bool
	}{
		"own policy":           {three(2, a, b, c, raise("a")), previous, ka, true},
		"another's policy":     {three(2, a, b, c, raise("b")), previous, ka, false},
		"policies of two":      {three(2, a, b, c, raise("a", "b")), previous, ka, false},
		"weaker too":           {three(2, a, b, c, both(raise("a"), func(x *document.Bundle) { x.Policies["a.d"].Budget.Rho = 2 })), previous, ka, false},
		"a person too":         {three(2, a, b, c, both(raise("a"), func(x *document.Bundle) { x.Manifest.People = []document.Person{{ID: "ann", Participant: "a"}} })), previous, ka, false},
		"the purpose too":      {three(2, a, b, c, both(raise("a"), func(x *document.Bundle) { x.Manifest.Purpose = "another" })), previous, ka, false},
		"a dataset leaves":     {three(2, a, b, c, func(x *document.Bundle) { x.Manifest.Datasets = x.Manifest.Datasets[1:]; delete(x.Policies, "a.d") }), previous, ka, false},
		"new keys too":         {three(2, []key.Private{ka, kc}, b, nil, raise("a")), previous, ka, false},
		"nothing":              {three(2, a, b, c, nil), previous, ka, false},
		"not the next version": {three(3, a, b, c, raise("a")), previous, ka, false},
		"not allowed":          {three(2, a, b, c, both(raise("a"), func(x *document.Bundle) { x.Manifest.Amendments = nil })), silent, ka, false},
		"allows itself":        {three(2, a, b, c, raise("a")), silent, ka, false},
	} {
		s := approval.Version{Next: x.next, Previous: x.previous, Signers: []key.Public{x.by.Public()}}.Status()
		if s.Complete() != x.alone || x.alone && s.By != "a" {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

func TestRecovery(t *testing.T) {
	ka, kb, lost, found := keypair(t), keypair(t), keypair(t), keypair(t)
	a, b := []key.Private{ka}, []key.Private{kb}
	previous := three(1, a, b, []key.Private{lost}, nil)
	silent := three(1, a, b, []key.Private{lost}, func(x *document.Bundle) { x.Manifest.Amendments = nil })
	next := three(2, a, b, []key.Private{found}, nil)
	for name, x := range map[string]struct {
		next, previous *document.Bundle
		by             []key.Private
		after          time.Duration
		complete       bool
	}{
		"all others and the new key":  {next, previous, []key.Private{ka, kb, found}, approval.RecoveryWait, true},
		"too early":                   {next, previous, []key.Private{ka, kb, found}, approval.RecoveryWait - time.Second, false},
		"one other is missing":        {next, previous, []key.Private{ka, found}, approval.RecoveryWait, false},
		"the new key has not signed":  {next, previous, []key.Private{ka, kb}, approval.RecoveryWait, false},
		"a policy with it":            {three(2, a, b, []key.Private{found}, raise("c")), previous, []key.Private{ka, kb, found}, approval.RecoveryWait, false},
		"an old key stays":            {three(2, a, b, []key.Private{lost, found}, nil), previous, []key.Private{ka, kb, found}, approval.RecoveryWait, false},
		"not allowed":                 {three(2, a, b, []key.Private{found}, func(x *document.Bundle) { x.Manifest.Amendments = nil }), silent, []key.Private{ka, kb, found}, approval.RecoveryWait, false},
		"by the old keys: a rotation": {next, previous, []key.Private{ka, kb, lost, found}, 0, true},
	} {
		v := approval.Version{Next: x.next, Previous: x.previous, Proposed: now, Now: now.Add(x.after)}
		for _, k := range x.by {
			v.Signers = append(v.Signers, k.Public())
		}
		if s := v.Status(); s.Complete() != x.complete {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// Who signed that it leaves need not sign the version without it; nobody else may leave it out.
func TestLeaving(t *testing.T) {
	ka, kb, kc := keypair(t), keypair(t), keypair(t)
	previous := three(1, []key.Private{ka}, []key.Private{kb}, []key.Private{kc}, nil)
	without := three(2, []key.Private{ka}, []key.Private{kb}, nil, func(x *document.Bundle) {
		x.Manifest.Participants, x.Manifest.Datasets = x.Manifest.Participants[:2], x.Manifest.Datasets[:2]
		delete(x.Policies, "c.d")
	})
	v := approval.Version{Next: without, Previous: previous, Signers: []key.Public{ka.Public(), kb.Public()}}
	if s := v.Status(); !slices.Equal(s.Missing, []string{"c"}) {
		t.Errorf("left out: %+v", s)
	}
	if v.Left = []string{"c"}; !v.Status().Complete() {
		t.Errorf("left: %+v", v.Status())
	}
	v.Next = three(2, []key.Private{ka}, []key.Private{kb}, []key.Private{kc}, nil)
	if v.Status().Complete() {
		t.Error("who left is taken in again without its signature")
	}
	if v.Next = three(2, []key.Private{ka}, []key.Private{kb}, []key.Private{kc}, raise("a")); v.Status().Complete() {
		t.Error("who left is taken in again by an owner who tightens")
	}
	found := keypair(t)
	v.Next, v.Now = three(2, []key.Private{ka}, []key.Private{kb}, []key.Private{found}, nil), v.Proposed.Add(approval.RecoveryWait)
	if v.Signers = append(v.Signers, found.Public()); v.Status().Complete() {
		t.Error("who left is taken in again by the others, with another key")
	}
}
