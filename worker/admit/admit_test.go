package admit_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/endorse/endorsetest"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/key"
	"concordat.dev/protocol/statement"
	"concordat.dev/worker/admit"
)

// room signs manifests of two owners for one mesh.
type room struct {
	t     *testing.T
	mesh  admit.Mesh
	keys  map[string]key.Private
	alone bool // owners may tighten alone
}

func newRoom(t *testing.T) *room {
	t.Helper()
	r := &room{t: t, keys: map[string]key.Private{}, alone: true, mesh: admit.Mesh{
		Mode: "simulation", MarbleRunManifest: canon.Sum([]byte("m")).String(), Coordinator: canon.Sum([]byte("c")).String(), Root: endorsetest.New(t).Root,
	}}
	for _, who := range []string{"clinic", "registry", "dana"} {
		k, err := key.Generate()
		if err != nil {
			t.Fatal(err)
		}
		r.keys[who] = k
	}
	return r
}

// documents are those of a version with the min_units of both owners, signed by some.
func (r *room) documents(version, clinic, registry int, previous *concordatv1.Documents, by ...string) *concordatv1.Documents {
	r.t.Helper()
	amendments := ""
	if r.alone {
		amendments = "amendments: {tightening: owner},"
	}
	policy := func(owner string, k int) *fstest.MapFile {
		return &fstest.MapFile{Data: fmt.Appendf(nil, `{apiVersion: concordat.dev/v1, kind: Policy, dataset: %s.d, owner: %s,
unit: {column: id, namespace: patient}, columns: {id: {type: varchar, role: identifier}}, aggregates: [count],
release: {mechanism: differential_privacy, min_units: %d}, budget: {rho: 1, delta: 1e-6, period: 30d, lifetime_rho: 3}}`, owner, owner, k)}
	}
	b, err := document.LoadFS(fstest.MapFS{
		"manifest.yaml": &fstest.MapFile{Data: fmt.Appendf(nil, `{apiVersion: concordat.dev/v1, kind: Manifest, collaboration: room, version: %d, purpose: p,
expires: 2999-12-31, participants: [{id: clinic, name: C, keys: [%q]}, {id: registry, name: R, keys: [%q]}],
people: [{id: dana, participant: clinic, roles: [steward], keys: [%q]}], namespaces: {patient: {normalize: trim}}, %s
datasets: [{id: clinic.d, owner: clinic, policy: c.yaml}, {id: registry.d, owner: registry, policy: r.yaml}],
mesh: {mode: simulation, marblerun_manifest: %q, root_certificate: %q, coordinator: %q, ledger: %q}}`,
			version, r.keys["clinic"].Public(), r.keys["registry"].Public(), r.keys["dana"].Public(), amendments,
			r.mesh.MarbleRunManifest, r.mesh.RootDigest(), r.mesh.Coordinator, strings.Repeat("ab", 16))},
		"c.yaml": policy("clinic", clinic), "r.yaml": policy("registry", registry),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	form, err := b.Signable()
	if err != nil {
		r.t.Fatal(err)
	}
	out := &concordatv1.Documents{Manifest: form.Manifest, Policies: form.Policies, Previous: previous}
	for _, who := range by {
		e, err := statement.Sign(statement.Statement{
			Action: statement.Approve, Ledger: strings.Repeat("ab", 16), Collaboration: "room", Version: version, Subject: form.Digest(),
		}, r.keys[who])
		if err != nil {
			r.t.Fatal(err)
		}
		raw, err := e.Marshal()
		if err != nil {
			r.t.Fatal(err)
		}
		out.Approvals = append(out.Approvals, raw)
	}
	return out
}

// A version that one owner signed alone is admitted only over one that all signed, that allows it, and only if it tightens this owner's policy.
func TestDocumentsOfAnOwnerAlone(t *testing.T) {
	r, silent := newRoom(t), newRoom(t)
	silent.alone = false
	all := r.documents(1, 10, 10, nil, "clinic", "registry")
	byOne := r.documents(2, 20, 10, all, "clinic")
	for name, c := range map[string]struct {
		room      *room
		documents *concordatv1.Documents
		admitted  bool
	}{
		"all signed":                 {r, all, true},
		"one did not":                {r, r.documents(1, 10, 10, nil, "clinic"), false},
		"tighter, by its owner":      {r, byOne, true},
		"and the other one after it": {r, r.documents(3, 20, 30, byOne, "registry"), true},
		"without the version before": {r, r.documents(2, 20, 10, nil, "clinic"), false},
		"by the other one":           {r, r.documents(2, 20, 10, all, "registry"), false},
		"weaker":                     {r, r.documents(2, 5, 10, all, "clinic"), false},
		"a person signs":             {r, r.documents(2, 20, 10, all, "dana"), false},
		"over what not all signed":   {r, r.documents(2, 20, 10, r.documents(1, 10, 10, nil, "clinic"), "clinic"), false},
		"a version is left out":      {r, r.documents(3, 20, 10, all, "clinic"), false},
		"not allowed":                {silent, silent.documents(2, 20, 10, silent.documents(1, 10, 10, nil, "clinic", "registry"), "clinic"), false},
	} {
		d, err := c.room.mesh.Documents(c.documents)
		if c.admitted && (err != nil || d.Digest != canon.Sum(c.documents.GetManifest())) || !c.admitted && !errors.Is(err, admit.ErrDocuments) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
