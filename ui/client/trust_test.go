package client_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"concordat.dev/protocol/document"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/key"
	"concordat.dev/protocol/statement"
	"concordat.dev/ui/client"
)

// agreement makes versions of a manifest of three participants, and what they sign.
type agreement struct {
	t    *testing.T
	keys map[string]key.Private
}

func newAgreement(t *testing.T) *agreement {
	a := &agreement{t: t, keys: map[string]key.Private{}}
	for _, who := range []string{"a", "b", "c", "c2", "stranger"} {
		a.keys[who] = newKey(t)
	}
	return a
}

// version is a manifest of participants, each with the key of its name; c=c2 has c hold the key c2.
func (a *agreement) version(n int, recovery string, participants ...string) client.Documents {
	a.t.Helper()
	m := &document.Manifest{
		APIVersion: document.APIVersion, Kind: "Manifest", Collaboration: "room", Version: n, Purpose: "test", Expires: "2099-12-31",
		Namespaces: map[string]document.Namespace{"patient": {}}, Mesh: &document.Mesh{Ledger: strings.Repeat("ab", 16)},
	}
	if recovery != "" {
		m.Amendments = &document.Amendments{Recovery: recovery}
	}
	for _, p := range participants {
		id, k, other := strings.Cut(p, "=")
		if !other {
			k = id
		}
		m.Participants = append(m.Participants, document.Participant{ID: id, Name: id, Keys: []string{a.keys[k].Public().String()}})
	}
	form, err := (&document.Bundle{Manifest: m, Policies: map[string]*document.Policy{}}).Signable()
	if err != nil {
		a.t.Fatal(err)
	}
	d, err := client.CheckDocuments(&concordatv1.ManifestStatus{Documents: &concordatv1.Documents{Manifest: form.Manifest}}, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	return d
}

func (a *agreement) says(d client.Documents, action statement.Action, who string) []byte {
	a.t.Helper()
	s := d.Statement(action)
	if action != statement.Approve {
		s.Nonce, s.Issued, s.Reason = strings.Repeat("0", 32), "2026-05-01T00:00:00Z", "because"
	}
	e, err := statement.Sign(s, a.keys[who])
	if err != nil {
		a.t.Fatal(err)
	}
	raw, err := e.Marshal()
	if err != nil {
		a.t.Fatal(err)
	}
	return raw
}

// sent is what a coordinator sends of a version that these keys signed.
func (a *agreement) sent(d client.Documents, state string, by ...string) *concordatv1.ManifestStatus {
	out := &concordatv1.ManifestStatus{State: state, Digest: d.Digest.String(), Documents: &concordatv1.Documents{Manifest: d.Raw.Manifest}}
	for _, who := range by {
		out.Documents.Approvals = append(out.Documents.Approvals, a.says(d, statement.Approve, who))
	}
	return out
}

// TestWhoDidNotSign has a coordinator show versions in force that not all participants of the version before signed: each has to come with
// what allowed it.
func TestWhoDidNotSign(t *testing.T) {
	a := newAgreement(t)
	all := []string{"a", "b", "c"}
	for name, c := range map[string]struct {
		recovery string // of the version before
		next     []string
		state    string
		by       []string
		leaves   func(before, next client.Documents) [][]byte
		missing  []string
		refused  bool
	}{
		"all signed":           {next: all, by: all},
		"without one":          {next: []string{"a", "b"}, by: []string{"a", "b"}, missing: []string{"c"}},
		"without one who left": {next: []string{"a", "b"}, by: []string{"a", "b"}, leaves: func(before, _ client.Documents) [][]byte { return [][]byte{a.says(before, statement.Leave, "c")} }},
		"left by another's word": {next: []string{"a", "b"}, by: []string{"a", "b"}, missing: []string{"c"},
			leaves: func(before, _ client.Documents) [][]byte { return [][]byte{a.says(before, statement.Leave, "b")} }},
		"left by a stranger's word": {next: []string{"a", "b"}, by: []string{"a", "b"}, refused: true,
			leaves: func(before, _ client.Documents) [][]byte {
				return [][]byte{a.says(before, statement.Leave, "stranger")}
			}},
		"paused, not left": {next: []string{"a", "b"}, by: []string{"a", "b"}, refused: true,
			leaves: func(before, _ client.Documents) [][]byte { return [][]byte{a.says(before, statement.Pause, "c")} }},
		"left another version": {next: []string{"a", "b"}, by: []string{"a", "b"}, refused: true,
			leaves: func(_, next client.Documents) [][]byte { return [][]byte{a.says(next, statement.Leave, "c")} }},
		"left, and there again": {next: all, by: []string{"a", "b"}, missing: []string{"c"},
			leaves: func(before, _ client.Documents) [][]byte { return [][]byte{a.says(before, statement.Leave, "c")} }},
		"keys recovered":                         {recovery: "others", next: []string{"a", "b", "c=c2"}, by: []string{"a", "b", "c2"}},
		"keys recovered, waits":                  {recovery: "others", next: []string{"a", "b", "c=c2"}, by: []string{"a", "b", "c2"}, state: "proposed", missing: []string{"c"}},
		"keys recovered without another":         {recovery: "others", next: []string{"a", "b", "c=c2"}, by: []string{"a", "c2"}, missing: []string{"b", "c"}},
		"keys recovered where nothing allows it": {next: []string{"a", "b", "c=c2"}, by: []string{"a", "b", "c2"}, missing: []string{"c"}},
	} {
		first := a.version(1, c.recovery, all...)
		before, err := client.CheckDocuments(a.sent(first, "superseded", all...), nil)
		if err != nil || !before.Complete() {
			t.Fatal(err, before.Missing)
		}
		next := a.version(2, c.recovery, c.next...)
		if c.state == "" {
			c.state = "active"
		}
		sent := a.sent(next, c.state, c.by...)
		if c.leaves != nil {
			sent.Documents.Leaves = c.leaves(before, next)
		}
		got, err := client.CheckDocuments(sent, &before)
		slices.Sort(got.Missing)
		if (err != nil) != c.refused || err == nil && (!slices.Equal(got.Missing, c.missing) || got.Before != before.Digest) {
			t.Errorf("%s: missing %v, want %v: %v", name, got.Missing, c.missing, err)
		}
	}
	unsigned, err := client.CheckDocuments(a.sent(a.version(1, "", all...), "superseded", "a", "b"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.CheckDocuments(a.sent(a.version(2, "", "a", "b"), "active", "a", "b"), &unsigned); !errors.Is(err, client.ErrNotSigned) {
		t.Errorf("after a version that not all signed: %v", err)
	}
	signed, err := client.CheckDocuments(a.sent(a.version(1, "", all...), "superseded", all...), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.CheckDocuments(a.sent(a.version(3, "", all...), "active", all...), &signed); err == nil {
		t.Error("version 3 follows version 1")
	}
}
