package approval_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"concordat.dev/policies/approval"
	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/dsse"
	"concordat.dev/protocol/key"
	"concordat.dev/protocol/statement"
)

var (
	ledger = strings.Repeat("ab", 16)
	mesh   = approval.Mesh{Mode: "simulation", MarbleRunManifest: "m", RootCertificate: "r", Coordinator: "c", Ledger: ledger}
	now    = time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
)

func keypair(t *testing.T) key.Private {
	t.Helper()
	k, err := key.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func participant(id string, threshold int, keys ...key.Private) document.Participant {
	p := document.Participant{ID: id, Threshold: threshold}
	for _, k := range keys {
		p.Keys = append(p.Keys, k.Public().String())
	}
	return p
}

func manifest(version int, parts ...document.Participant) *document.Manifest {
	m := mesh
	return &document.Manifest{Collaboration: "c", Version: version, Expires: "2026-12-31", Participants: parts, Mesh: &m}
}

func digest(t *testing.T, m *document.Manifest) canon.Digest {
	t.Helper()
	d, err := canon.SumValue(m)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func says(t *testing.T, action statement.Action, m *document.Manifest, keys ...key.Private) dsse.Envelope {
	t.Helper()
	s := statement.Statement{
		Action: action, Ledger: m.Mesh.Ledger, Collaboration: m.Collaboration, Version: m.Version, Subject: digest(t, m),
	}
	if action != statement.Propose && action != statement.Approve {
		s.Nonce, s.Issued, s.Reason = strings.Repeat("0", 16), "2026-05-01T00:00:00Z", "because"
	}
	e, err := statement.Sign(s, keys...)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestProposal(t *testing.T) {
	founder, a, b := keypair(t), keypair(t), keypair(t)
	first := manifest(1, participant("a", 1, a))
	second := manifest(2, participant("a", 1, a), participant("b", 1, b))
	check := func(m, previous *document.Manifest, by key.Private) error {
		p := approval.Proposal{
			Bundle: &document.Bundle{Manifest: m}, Digest: digest(t, m), Previous: previous, Mesh: mesh,
			Founders: []string{founder.Public().String()}, Now: now,
		}
		_, err := p.Check(says(t, statement.Propose, m, by))
		return err
	}
	with := func(m *document.Manifest, change func(*document.Manifest)) *document.Manifest {
		c := *m
		pins := *m.Mesh
		c.Mesh = &pins
		change(&c)
		return &c
	}
	for name, c := range map[string]struct {
		m, previous *document.Manifest
		by          key.Private
		want        error
	}{
		"founder, first":            {first, nil, founder, nil},
		"participant, first":        {first, nil, a, approval.ErrSigner},
		"participant, second":       {second, first, a, nil},
		"founder, second":           {second, first, founder, approval.ErrSigner},
		"only added, second":        {second, first, b, approval.ErrSigner},
		"version skipped":           {with(second, func(m *document.Manifest) { m.Version = 3 }), first, a, approval.ErrVersion},
		"version repeated":          {first, first, a, approval.ErrVersion},
		"starts at two":             {second, nil, founder, approval.ErrVersion},
		"other collaboration":       {with(second, func(m *document.Manifest) { m.Collaboration = "d" }), first, a, approval.ErrSubject},
		"expired":                   {with(first, func(m *document.Manifest) { m.Expires = "2026-04-30" }), nil, founder, approval.ErrExpired},
		"no pins":                   {with(first, func(m *document.Manifest) { *m.Mesh = document.Mesh{Ledger: ledger} }), nil, founder, approval.ErrMesh},
		"another mode":              {with(first, func(m *document.Manifest) { m.Mesh.Mode = "sgx" }), nil, founder, approval.ErrMesh},
		"another root":              {with(first, func(m *document.Manifest) { m.Mesh.RootCertificate = "x" }), nil, founder, approval.ErrMesh},
		"another measurement":       {with(first, func(m *document.Manifest) { m.Mesh.Coordinator = "x" }), nil, founder, approval.ErrMesh},
		"another MarbleRun":         {with(first, func(m *document.Manifest) { m.Mesh.MarbleRunManifest = "x" }), nil, founder, approval.ErrMesh},
		"another ledger":            {with(first, func(m *document.Manifest) { m.Mesh.Ledger = strings.Repeat("cd", 16) }), nil, founder, approval.ErrMesh},
		"voters that are not":       {with(first, func(m *document.Manifest) { m.Mesh.Voters = []string{"v"} }), nil, founder, approval.ErrMesh},
		"participant without a key": {with(first, func(m *document.Manifest) { m.Participants = []document.Participant{{ID: "x"}} }), nil, founder, approval.ErrSigner},
	} {
		if err := check(c.m, c.previous, c.by); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	p := approval.Proposal{Bundle: &document.Bundle{Manifest: first}, Digest: digest(t, first), Mesh: mesh, Founders: []string{founder.Public().String()}, Now: now}
	for name, e := range map[string]dsse.Envelope{
		"statement about other bytes": says(t, statement.Propose, with(first, func(m *document.Manifest) { m.Purpose = "x" }), founder),
		"approval as a proposal":      says(t, statement.Approve, first, founder),
	} {
		if _, err := p.Check(e); !errors.Is(err, approval.ErrSubject) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestApproveRefuses(t *testing.T) {
	a, b, stranger := keypair(t), keypair(t), keypair(t)
	m := manifest(1, participant("a", 1, a), participant("b", 1, b))
	other := manifest(1, participant("a", 1, a))
	later := manifest(2, m.Participants...)
	for name, c := range map[string]struct {
		e    dsse.Envelope
		want error
	}{
		"good":            {says(t, statement.Approve, m, a), nil},
		"stranger":        {says(t, statement.Approve, m, stranger), approval.ErrSigner},
		"other bytes":     {says(t, statement.Approve, other, a), approval.ErrSubject},
		"other version":   {says(t, statement.Approve, later, a), approval.ErrSubject},
		"only a proposal": {says(t, statement.Propose, m, a), approval.ErrSubject},
	} {
		if _, err := approval.Approve(c.e, m, nil, digest(t, m)); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	forged := says(t, statement.Approve, m, a)
	forged.Signatures[0].Sig[0] ^= 1
	if _, err := approval.Approve(forged, m, nil, digest(t, m)); !errors.Is(err, approval.ErrSigner) {
		t.Errorf("forged: %v", err)
	}
}

func TestStatus(t *testing.T) {
	a1, a2, a3, b, c := keypair(t), keypair(t), keypair(t), keypair(t), keypair(t)
	v1 := manifest(1, participant("a", 2, a1, a2, a3), participant("b", 1, b))
	for name, x := range map[string]struct {
		m, previous *document.Manifest
		signers     []key.Private
		missing     []string
	}{
		"nobody":                        {v1, nil, nil, []string{"a", "b"}},
		"below the threshold":           {v1, nil, []key.Private{a1, b}, []string{"a"}},
		"one key twice":                 {v1, nil, []key.Private{a1, a1, b}, []string{"a"}},
		"all":                           {v1, nil, []key.Private{a1, a3, b}, nil},
		"one who joins signs":           {manifest(2, append(slices.Clone(v1.Participants), participant("c", 1, c))...), v1, []key.Private{a1, a2, b}, []string{"c"}},
		"one who leaves signs":          {manifest(2, v1.Participants[0]), v1, []key.Private{a1, a2}, []string{"b"}},
		"a lower threshold, old rule":   {manifest(2, participant("a", 1, a1), participant("b", 1, b)), v1, []key.Private{a1, b}, []string{"a"}},
		"a higher threshold, new rule":  {manifest(2, participant("a", 3, a1, a2, a3), participant("b", 1, b)), v1, []key.Private{a1, a2, b}, []string{"a"}},
		"rotation, old key only":        {manifest(2, v1.Participants[0], participant("b", 1, b, c)), v1, []key.Private{a1, a2, b}, []string{"b"}},
		"rotation, new key only":        {manifest(2, v1.Participants[0], participant("b", 1, c)), v1, []key.Private{a1, a2, c}, []string{"b"}},
		"rotation, both":                {manifest(2, v1.Participants[0], participant("b", 1, c)), v1, []key.Private{a1, a2, b, c}, nil},
		"another takes over the name b": {manifest(2, v1.Participants[0], participant("b", 1, c)), v1, []key.Private{a1, a2, a3, c}, []string{"b"}},
	} {
		var signers []key.Public
		for _, k := range x.signers {
			signers = append(signers, k.Public())
		}
		s := approval.StatusOf(x.m, x.previous, signers)
		if !slices.Equal(s.Missing, x.missing) || s.Complete() != (len(x.missing) == 0) {
			t.Errorf("%s: missing %v, want %v", name, s.Missing, x.missing)
		}
	}
}

func TestParticipant(t *testing.T) {
	a1, a2, b := keypair(t), keypair(t), keypair(t)
	m := manifest(1, participant("a", 2, a1, a2), participant("b", 1, b))
	for name, c := range map[string]struct {
		action statement.Action
		by     []key.Private
		who    string
		want   error
	}{
		"pause with one key":          {statement.Pause, []key.Private{a2}, "a", nil},
		"resume with one of two":      {statement.Resume, []key.Private{a2}, "", approval.ErrThreshold},
		"resume with both":            {statement.Resume, []key.Private{a1, a2}, "a", nil},
		"revoke":                      {statement.Revoke, []key.Private{b}, "b", nil},
		"reject, keys of two parties": {statement.Reject, []key.Private{a1, b}, "", approval.ErrThreshold},
	} {
		_, who, err := approval.Participant(says(t, c.action, m, c.by...), m, nil, digest(t, m))
		if who != c.who || !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %q %v, want %q %v", name, who, err, c.who, c.want)
		}
	}
}

func TestSteward(t *testing.T) {
	a, dana, ann := keypair(t), keypair(t), keypair(t)
	m := manifest(1, participant("a", 1, a))
	m.People = []document.Person{
		{ID: "dana", Participant: "a", Roles: []string{"steward"}, Keys: []string{dana.Public().String()}},
		{ID: "ann", Participant: "a", Roles: []string{"analyst"}, Keys: []string{ann.Public().String()}},
	}
	if s, who, err := approval.Steward(says(t, statement.Delete, m, dana), m, digest(t, m)); err != nil || who.ID != "dana" || s.Action != statement.Delete {
		t.Errorf("steward: %q %v", who.ID, err)
	}
	for name, k := range map[string]key.Private{"analyst": ann, "organisation": a} {
		if _, _, err := approval.Steward(says(t, statement.Delete, m, k), m, digest(t, m)); !errors.Is(err, approval.ErrSigner) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestExpiry(t *testing.T) {
	m := manifest(1)
	last := time.Date(2026, 12, 31, 23, 59, 59, 0, time.UTC)
	if approval.Expired(m, last) || !approval.Expired(m, last.Add(time.Second)) {
		t.Error("active through the last day, and no longer")
	}
	m.Expires = "soon"
	if !approval.Expired(m, now) {
		t.Error("a date that nobody can read must not keep a manifest active")
	}
}
