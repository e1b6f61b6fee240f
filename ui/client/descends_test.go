package client_test

import (
	"errors"
	"slices"
	"testing"

	"concordat.dev/protocol/canon"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/ui/client"
	"concordat.dev/ui/client/clienttest"
)

// TestDescends has a coordinator show histories of a manifest to somebody who signed one of its versions: only those count that grew out of it
// by what each version allows.
func TestDescends(t *testing.T) {
	a := newAgreement(t)
	all := []string{"a", "b", "c"}
	first, second, third := a.version(1, "", all...), a.version(2, "", all...), a.version(3, "", all...)
	otherSecond, without := a.version(2, "others", all...), a.version(3, "", "a", "b")
	c := clienttest.New(t)
	mesh := connected(t, c, c.Address())
	anchor := func(d client.Documents) client.Anchor {
		return client.Anchor{Collaboration: "room", Version: d.Manifest.Version, Digest: d.Digest}
	}
	superseded := func(d client.Documents, by ...string) *concordatv1.ManifestStatus {
		return a.sent(d, "superseded", by...)
	}
	for name, shown := range map[string]struct {
		signed   client.Anchor
		versions []*concordatv1.ManifestStatus // the first at 0; the newest is judged
		failure  error
	}{
		"nothing was signed here":        {client.Anchor{}, []*concordatv1.ManifestStatus{superseded(first, all...), a.sent(otherSecond, "active", all...)}, nil},
		"the one that was signed":        {anchor(first), []*concordatv1.ManifestStatus{a.sent(first, "active", all...)}, nil},
		"the next":                       {anchor(first), []*concordatv1.ManifestStatus{superseded(first, all...), a.sent(second, "active", all...)}, nil},
		"the one after":                  {anchor(first), []*concordatv1.ManifestStatus{superseded(first, all...), superseded(second, all...), a.sent(third, "active", all...)}, nil},
		"a proposal after it":            {anchor(first), []*concordatv1.ManifestStatus{superseded(first, all...), a.sent(second, "proposed", "a")}, nil},
		"a proposal after the next":      {anchor(first), []*concordatv1.ManifestStatus{superseded(first, all...), a.sent(second, "active", all...), a.sent(third, "proposed")}, nil},
		"follows another second":         {anchor(second), []*concordatv1.ManifestStatus{superseded(first, all...), superseded(otherSecond, all...), a.sent(third, "active", all...)}, client.ErrReplaced},
		"follows another first":          {client.Anchor{Version: 1, Digest: canon.Sum([]byte("another"))}, []*concordatv1.ManifestStatus{superseded(first, all...), superseded(second, all...), a.sent(third, "active", all...)}, client.ErrReplaced},
		"in force, not signed by all":    {anchor(first), []*concordatv1.ManifestStatus{superseded(first, all...), a.sent(second, "active", "a", "b")}, client.ErrNotSigned},
		"in force, without one":          {anchor(second), []*concordatv1.ManifestStatus{superseded(first, all...), superseded(second, all...), a.sent(without, "active", "a", "b")}, client.ErrNotSigned},
		"the one between not by all":     {anchor(first), []*concordatv1.ManifestStatus{superseded(first, all...), superseded(second, "a", "b"), a.sent(third, "active", all...)}, client.ErrNotSigned},
		"proposed after one not by all":  {anchor(first), []*concordatv1.ManifestStatus{superseded(first, all...), superseded(second, "a", "b"), a.sent(third, "proposed")}, client.ErrNotSigned},
		"the one between is proposed":    {anchor(first), []*concordatv1.ManifestStatus{superseded(first, all...), a.sent(second, "proposed", "a"), a.sent(third, "active", all...)}, client.ErrNotSigned},
		"the one between says it waits":  {anchor(first), []*concordatv1.ManifestStatus{superseded(first, all...), a.sent(second, "rejected", "a"), a.sent(third, "proposed")}, client.ErrNotSigned},
		"the one between under its name": {anchor(first), []*concordatv1.ManifestStatus{superseded(first, all...), a.sent(first, "superseded", all...), a.sent(third, "active", all...)}, errAny},
	} {
		c.Manifests = func(version int) *concordatv1.ManifestStatus {
			if version == 0 {
				return shown.versions[len(shown.versions)-1]
			}
			return shown.versions[version-1]
		}
		d, err := mesh.Documents(t.Context(), "room", 0)
		if err == nil {
			err = mesh.Descends(t.Context(), shown.signed, d)
		}
		if errors.Is(shown.failure, errAny) && err != nil {
			continue
		}
		if !errors.Is(err, shown.failure) {
			t.Errorf("%s: %v, want %v", name, err, shown.failure)
		}
	}
}

var errAny = errors.New("any")

// TestDescendsFromWhatWasAskedFor has a coordinator tell one second version to whoever fetches the newest, and another to whoever goes back.
func TestDescendsFromWhatWasAskedFor(t *testing.T) {
	a := newAgreement(t)
	all := []string{"a", "b", "c"}
	first, third := a.version(1, "", all...), a.version(3, "", all...)
	seconds := []client.Documents{a.version(2, "", all...), a.version(2, "others", all...)}
	c := clienttest.New(t)
	mesh, asked := connected(t, c, c.Address()), 0
	c.Manifests = func(version int) *concordatv1.ManifestStatus {
		switch version {
		case 1:
			return a.sent(first, "superseded", all...)
		case 2:
			asked++
			return a.sent(seconds[min(asked, 2)-1], "superseded", all...)
		default:
			return a.sent(third, "active", all...)
		}
	}
	d, err := mesh.Documents(t.Context(), "room", 0)
	if err != nil || !slices.Equal(d.Missing, nil) {
		t.Fatal(d.Missing, err)
	}
	if err := mesh.Descends(t.Context(), client.Anchor{Version: 1, Digest: first.Digest}, d); !errors.Is(err, client.ErrReplaced) {
		t.Error(err)
	}
}
