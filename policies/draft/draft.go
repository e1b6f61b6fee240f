// Package draft says what drafts and versions of documents mean, for pages: whether a draft may be proposed, what its policies allow, what a
// version changes. A coordinator answers with it, and so does `concordat web` on a person's own machine.
//
// Invariant: pure; it judges as the command line does, by the same packages, and changes nothing.
//
// Sees: metadata
package draft

import (
	"fmt"
	"slices"

	"concordat.dev/policies/approval"
	"concordat.dev/policies/change"
	"concordat.dev/policies/explain"
	"concordat.dev/protocol/document"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
)

// Check reads a draft over what is in force (which may be nil) and lists everything that forbids to propose it. The canonical form is
// there once nothing does.
func Check(d *concordatv1.Draft, inForce *document.Bundle) (*concordatv1.CheckResponse, error) {
	b, problems := Open(d, inForce)
	if len(problems) > 0 {
		return &concordatv1.CheckResponse{Problems: problems}, nil
	}
	out := &concordatv1.CheckResponse{Problems: listed(b.Validate(document.Signed)), Warnings: listed(b.Warnings())}
	if len(out.Problems) > 0 {
		return out, nil
	}
	signed, err := b.Signable()
	if err != nil {
		return nil, fmt.Errorf("check the draft: %w", err)
	}
	out.Manifest, out.Policies, out.Digest = signed.Manifest, signed.Policies, signed.Digest().String()
	return out, nil
}

// Open reads a draft; problems of form are given instead of a bundle.
func Open(d *concordatv1.Draft, inForce *document.Bundle) (*document.Bundle, []*concordatv1.Problem) {
	b, problems := document.Drafts{Manifest: d.GetManifest(), Policies: d.GetPolicies()}.Open(inForce)
	return b, listed(problems)
}

// Problems lists what forbids to judge queries by a draft: less than what forbids to propose it, since keys and mesh may be missing.
func Problems(b *document.Bundle) []*concordatv1.Problem { return listed(b.Validate(document.Draft)) }

// Explain says what a policy allows, and beside it what is still wrong with it.
func Explain(r *concordatv1.ExplainRequest) *concordatv1.ExplainResponse {
	b, problems := Open(&concordatv1.Draft{Policies: [][]byte{r.GetPolicy()}}, nil)
	if len(problems) > 0 {
		return &concordatv1.ExplainResponse{Problems: problems}
	}
	id := b.Manifest.Datasets[0].ID
	e := explain.Policy(b.Policies[id])
	out := &concordatv1.ExplainResponse{Sentences: slices.Concat(e.Protects, e.Release)}
	for _, p := range listed(b.Validate(document.Draft)) {
		if p.GetDocument() == id {
			out.Problems = append(out.Problems, p)
		}
	}
	for _, c := range e.Columns {
		out.Columns = append(out.Columns, &concordatv1.ColumnUse{Column: c.Name, Type: c.Type, Role: c.Role, Use: c.Use})
	}
	return out
}

// Compare says what differs between two signed forms, in words and field by field.
func Compare(r *concordatv1.CompareRequest) (*concordatv1.CompareResponse, error) {
	before, err := document.OpenSigned(r.GetBefore().GetManifest(), r.GetBefore().GetPolicies())
	if err != nil {
		return nil, fmt.Errorf("version before: %w", err)
	}
	after, err := document.OpenSigned(r.GetAfter().GetManifest(), r.GetAfter().GetPolicies())
	if err != nil {
		return nil, fmt.Errorf("version after: %w", err)
	}
	out := &concordatv1.CompareResponse{}
	for _, c := range change.Between(before, after) {
		out.Meaning = append(out.Meaning, &concordatv1.MeaningfulChange{Subject: c.Subject, Owner: c.Owner, What: c.What, Effect: string(c.Effect)})
	}
	if owner, ok := approval.Tightening(after, before); ok {
		out.Alone = owner
	}
	return out, fields(out, before, after)
}

// fields adds the differences of the manifests, then of each policy.
func fields(out *concordatv1.CompareResponse, before, after *document.Bundle) error {
	old, err := before.Signable()
	if err != nil {
		return err
	}
	fresh, err := after.Signable()
	if err != nil {
		return err
	}
	if err := differences(out, "manifest", old.Manifest, fresh.Manifest); err != nil {
		return err
	}
	was, is := policiesOf(before, old), policiesOf(after, fresh)
	for _, d := range slices.Concat(after.Manifest.Datasets, before.Manifest.Datasets) {
		if err := differences(out, d.ID, was[d.ID], is[d.ID]); err != nil {
			return err
		}
		delete(was, d.ID)
		delete(is, d.ID)
	}
	return nil
}

func policiesOf(b *document.Bundle, s document.SignedForm) map[string][]byte {
	out := map[string][]byte{}
	for i, d := range b.Manifest.Datasets {
		out[d.ID] = s.Policies[i]
	}
	return out
}

func differences(out *concordatv1.CompareResponse, name string, before, after []byte) error {
	list, err := change.Fields(before, after)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	for _, f := range list {
		out.Fields = append(out.Fields, &concordatv1.FieldChange{Document: name, Path: f.Path, Before: f.Before, After: f.After})
	}
	return nil
}

func listed(problems []document.Problem) []*concordatv1.Problem {
	var out []*concordatv1.Problem
	for _, p := range problems {
		out = append(out, &concordatv1.Problem{
			Document: p.File, Path: p.Path, Message: p.Message, Fix: p.Fix, Line: int32(p.Line), Column: int32(p.Column), //nolint:gosec // a document has at most MaxSize bytes
		})
	}
	return out
}
