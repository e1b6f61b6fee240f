package change

import (
	"slices"
	"strings"
	"time"

	"concordat.dev/protocol/document"
)

func (l *list) manifest(before, after *document.Manifest) {
	before, after = before.WithDefaults(), after.WithDefaults()
	all := after.Collaboration
	differs(l, all, "", Weaker, "collaboration", before.Collaboration, after.Collaboration)
	if before.Purpose != after.Purpose {
		l.add(all, "", TextOnly, "purpose reads %q", after.Purpose)
	}
	if before.Expires != after.Expires {
		effect := Weaker
		if after.Expires < before.Expires { // both are YYYY-MM-DD
			effect = Tighter
		}
		l.add(all, "", effect, "expires %s → %s", before.Expires, after.Expires)
	}
	l.participants(before, after)
	l.people(before, after)
	l.namespaces(before, after)
	l.owners(before, after)
	if a, b := duration(before.Release.TimeGrid), duration(after.Release.TimeGrid); a != b {
		effect := Tighter
		if b < a {
			effect = Weaker
		}
		l.add(all, "", effect, "time_grid %s → %s", before.Release.TimeGrid, after.Release.TimeGrid)
	}
	more(l, all, "", "witnesses.quorum", before.Witnesses.Quorum, after.Witnesses.Quorum, Tighter)
	members(l, all, "", "witness", before.Witnesses.Keys, after.Witnesses.Keys, Neutral, Neutral)
	differs(l, all, "", Weaker, "receivers", before.Receivers.Default, after.Receivers.Default)
	l.amendments(before, after, all)
	l.review(before.Review, after.Review, all)
	l.mesh(before.Mesh, after.Mesh, all)
}

func (l *list) amendments(before, after *document.Manifest, all string) {
	values := func(m *document.Manifest) document.Amendments {
		if m.Amendments == nil {
			return document.Amendments{Tightening: document.ByAll, Recovery: document.ByAll}
		}
		return *m.Amendments
	}
	old, now := values(before), values(after)
	differs(l, all, "", Neutral, "amendments.tightening", old.Tightening, now.Tightening)
	if old.Recovery != now.Recovery {
		effect := Tighter
		if after.Recovery() {
			effect = Weaker
		}
		l.add(all, "", effect, "amendments.recovery %s → %s", old.Recovery, now.Recovery)
	}
	if old == now && (before.Amendments == nil) != (after.Amendments == nil) {
		l.add(all, "", TextOnly, "amendments says %s and %s, which holds without it too", now.Tightening, now.Recovery)
	}
}

func (l *list) review(before, after, all string) {
	switch {
	case before == after:
	case after == document.ReviewPlan:
		l.add(all, "", Tighter, "review none → plan: owners approve every query's plan")
	case before == document.ReviewPlan:
		l.add(all, "", Weaker, "review plan → none: queries run without their plan being approved")
	default:
		l.add(all, "", TextOnly, "review none, which holds without it too")
	}
}

func duration(s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0
	}
	return d
}

func (l *list) participants(before, after *document.Manifest) {
	for _, p := range after.Participants {
		old, was := before.Participant(p.ID)
		if !was {
			l.add(p.ID, p.ID, Weaker, "new participant %s", p.Name)
			continue
		}
		if old.Name != p.Name {
			l.add(p.ID, p.ID, TextOnly, "name %q → %q", old.Name, p.Name)
		}
		members(l, p.ID, p.ID, "key", old.Keys, p.Keys, Neutral, Neutral)
		more(l, p.ID, p.ID, "threshold", old.Threshold, p.Threshold, Tighter)
		members(l, p.ID, p.ID, "signer", old.Signers, p.Signers, Neutral, Neutral)
		if (old.OIDC == nil) != (p.OIDC == nil) || old.OIDC != nil && *old.OIDC != *p.OIDC {
			l.add(p.ID, p.ID, Weaker, "another issuer signs its people in")
		}
	}
	for _, p := range before.Participants {
		if _, is := after.Participant(p.ID); !is {
			l.add(p.ID, p.ID, Tighter, "participant leaves")
		}
	}
}

func (l *list) people(before, after *document.Manifest) {
	for _, p := range after.People {
		old, was := before.Person(p.ID)
		if !was {
			effect := Neutral
			if slices.Contains(p.Roles, "analyst") {
				effect = Weaker
			}
			l.add(p.ID, p.Participant, effect, "new %s of %s", strings.Join(p.Roles, " and "), p.Participant)
			continue
		}
		differs(l, p.ID, p.Participant, Weaker, "participant", old.Participant, p.Participant)
		members(l, p.ID, p.Participant, "role", old.Roles, p.Roles, Weaker, Tighter)
		members(l, p.ID, p.Participant, "key", old.Keys, p.Keys, Neutral, Neutral)
		differs(l, p.ID, p.Participant, Neutral, "subject", old.Subject, p.Subject)
	}
	for _, p := range before.People {
		if _, is := after.Person(p.ID); !is {
			l.add(p.ID, p.Participant, Tighter, "leaves")
		}
	}
}

func (l *list) namespaces(before, after *document.Manifest) {
	var names []string
	for n := range before.Namespaces {
		names = append(names, n)
	}
	for n := range after.Namespaces {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range slices.Compact(names) {
		old, was := before.Namespaces[n]
		now, is := after.Namespaces[n]
		switch {
		case !was:
			l.add("namespace "+n, "", Neutral, "new")
		case !is:
			l.add("namespace "+n, "", Neutral, "leaves")
		default: // other identifiers become one unit, or one becomes several
			l.rules("namespace "+n, old.First().Explicit(), now.First().Explicit())
			l.then("namespace "+n, old.Then, now.Then)
		}
	}
}

// rules are those of one identifier: with any other, every token of it is another.
func (l *list) rules(subject string, old, now document.Namespace) {
	before := len(l.changes)
	differs(l, subject, "", Weaker, "normalize", old.Normalize, now.Normalize)
	differs(l, subject, "", Weaker, "version", old.Version, now.Version)
	differs(l, subject, "", Weaker, "options", joined(old.Options), joined(now.Options))
	differs(l, subject, "", Weaker, "region", orNone(old.Region), orNone(now.Region))
	differs(l, subject, "", Weaker, "prehashed", orNone(old.Prehashed), orNone(now.Prehashed))
	if len(l.changes) > before {
		l.add(subject, "", Neutral, "its tokens become others: its datasets must be uploaded again, and fail in queries until then")
	}
}

func (l *list) then(subject string, old, now *document.Further) {
	switch {
	case old == nil && now == nil:
	case old == nil || now == nil:
		name := func(f *document.Further) string {
			if f == nil {
				return "none"
			}
			return f.Name
		}
		l.add(subject, "", Weaker, "second identifier %s → %s", name(old), name(now))
	default:
		differs(l, subject, "", Weaker, "second identifier", old.Name, now.Name)
		l.rules(subject+": "+now.Name, old.Rules().Explicit(), now.Rules().Explicit())
	}
}

func (l *list) owners(before, after *document.Manifest) {
	for _, d := range after.Datasets {
		if old, was := before.Dataset(d.ID); was {
			differs(l, d.ID, d.Owner, Weaker, "owner", old.Owner, d.Owner)
		}
	}
}

func (l *list) mesh(before, after *document.Mesh, all string) {
	if before == nil || after == nil {
		if before != after {
			l.add(all, "", Weaker, "the mesh is pinned in one version only")
		}
		return
	}
	if before.Mode != after.Mode {
		effect := Weaker
		if after.Mode == "sgx" {
			effect = Tighter
		}
		l.add(all, "", effect, "mesh.mode %s → %s", before.Mode, after.Mode)
	}
	if len(after.Inherits) > len(before.Inherits) {
		l.add(all, "", Weaker, "the mesh hands over: state and keys of this collaboration go to another mesh, whose programs can then read its data")
	} else if !slices.Equal(before.Inherits, after.Inherits) {
		l.add(all, "", Weaker, "mesh.inherits %v → %v", before.Inherits, after.Inherits)
	}
	for _, f := range []struct{ name, before, after string }{
		{"marblerun_manifest", before.MarbleRunManifest, after.MarbleRunManifest},
		{"root_certificate", before.RootCertificate, after.RootCertificate},
		{"coordinator", before.Coordinator, after.Coordinator},
		{"ledger", before.Ledger, after.Ledger},
	} {
		if f.before != f.after {
			l.add(all, "", Weaker, "mesh.%s %s → %s: another mesh, whose programs have to be looked at", f.name, f.before, f.after)
		}
	}
	members(l, all, "", "voter", before.Voters, after.Voters, Neutral, Neutral)
}
