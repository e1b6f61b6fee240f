package document

import (
	"errors"
	"maps"
	"slices"
)

// Drafts of the two documents, as somebody is writing them.
type Drafts struct {
	Manifest []byte   // YAML or JSON; empty: that of the version in force with the next number, or a minimal one around the policies
	Policies [][]byte // YAML or JSON; policies in force that are not among them stay
}

// draftManifest is what messages call a manifest that came without a file.
const draftManifest = "manifest"

// Open reads drafts as LoadFS reads a directory. InForce may be nil. Problems are of form, and make the bundle nil; meaning is for
// Bundle.Validate. The files in messages are "manifest" and the ids of datasets.
func (d Drafts) Open(inForce *Bundle) (*Bundle, []Problem) {
	b := &Bundle{Policies: map[string]*Policy{}, policies: map[string]Source{}, manifest: Source{File: draftManifest}}
	var problems []Problem
	written := map[string]*Policy{}
	for _, raw := range d.Policies {
		p, src, err := ParsePolicy("policy", raw)
		if err != nil {
			problems = append(problems, problemOf("policy", err))
			continue
		}
		src.File = p.Dataset
		if written[p.Dataset] != nil {
			problems = append(problems, Problem{File: p.Dataset, Path: "dataset", Message: "the draft has two policies of this dataset", Fix: "remove one"})
			continue
		}
		written[p.Dataset] = p
		b.Policies[p.Dataset], b.policies[p.Dataset] = p.WithDefaults(), src
	}
	switch {
	case len(d.Manifest) > 0:
		m, src, err := ParseManifest(draftManifest, d.Manifest)
		if err != nil {
			return nil, append(problems, problemOf(draftManifest, err))
		}
		b.Manifest, b.manifest = m.WithDefaults(), src
	case inForce != nil:
		b.Manifest = nextOf(inForce.Manifest)
	default:
		b.Manifest = around(written)
	}
	if len(problems) > 0 {
		return nil, problems
	}
	b.complete(written, inForce, len(d.Manifest) == 0)
	return b, nil
}

// complete gives each dataset of the manifest its policy, and where the manifest was not written, each policy its dataset.
func (b *Bundle) complete(written map[string]*Policy, inForce *Bundle, extend bool) {
	for _, id := range slices.Sorted(maps.Keys(written)) {
		if _, ok := b.Manifest.Dataset(id); !ok && extend {
			b.Manifest.Datasets = append(b.Manifest.Datasets, Dataset{ID: id, Owner: written[id].Owner})
		}
	}
	for i, d := range b.Manifest.Datasets {
		b.Manifest.Datasets[i].Policy, b.Manifest.Datasets[i].PolicyDigest = "policies/"+d.ID+".yaml", ""
		if b.Policies[d.ID] == nil && inForce != nil && inForce.Policies[d.ID] != nil {
			b.Policies[d.ID], b.policies[d.ID] = inForce.Policies[d.ID], Source{File: d.ID}
		}
	}
}

func nextOf(m *Manifest) *Manifest {
	next := *m
	next.Version++
	next.Datasets = slices.Clone(m.Datasets)
	return &next
}

// around is the least manifest that policies can be judged under: it can be tried, never signed.
func around(policies map[string]*Policy) *Manifest {
	m := &Manifest{
		APIVersion: APIVersion, Kind: "Manifest", Collaboration: "draft", Version: 1, Purpose: "a draft", Expires: "9999-12-31", Namespaces: map[string]Namespace{},
	}
	for _, id := range slices.Sorted(maps.Keys(policies)) {
		p := policies[id]
		if _, ok := m.Participant(p.Owner); !ok && p.Owner != "" {
			m.Participants = append(m.Participants, Participant{ID: p.Owner, Name: p.Owner})
		}
		if !p.Unit.None && p.Unit.Namespace != "" {
			m.Namespaces[p.Unit.Namespace] = Namespace{}
		}
	}
	return m.WithDefaults()
}

func problemOf(file string, err error) Problem {
	if s := (*SyntaxError)(nil); errors.As(err, &s) {
		return Problem{File: file, Position: s.Position, Message: s.Message}
	}
	return Problem{File: file, Message: err.Error()}
}
