// Package admit verifies, inside the enclave, everything that a coordinator says before anything is decided or executed: that the
// documents are the ones all participants signed for this mesh, and that a grant pays for exactly this query over exactly these data.
//
// Invariant: a worker trusts coordinators with nothing that a signature can show.
//
// Sees: metadata
package admit

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"

	"concordat.dev/policies/approval"
	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/dsse"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/grant"
	"concordat.dev/protocol/key"
)

// The reasons to refuse.
var (
	ErrDocuments = errors.New("documents not admitted")
	ErrGrant     = errors.New("grant not admitted")
)

// Mesh is what this worker knows of the mesh that it runs in.
type Mesh struct {
	Mode              string
	MarbleRunManifest string // digest
	Coordinator       string // measurement of MarbleRun's coordinator
	Root              *x509.Certificate
}

// RootDigest is what manifests pin as mesh.root_certificate.
func (m Mesh) RootDigest() canon.Digest { return canon.Sum(m.Root.Raw) }

// Documents are a manifest and its policies that all participants signed.
type Documents struct {
	Bundle *document.Bundle
	Digest canon.Digest // of the manifest
	// Founding is the digest of the collaboration's first manifest, to which all its keys belong. Later versions take the coordinators' word for
	// it: who lets them say another one has other keys.
	Founding canon.Digest
}

// Documents opens and verifies signed documents: policy digests, the rules of PRIVACY.md section 2, the pins of this mesh, and the approval
// of every participant over the same bytes. Whether the manifest is in force now is the ledger's to say, in the grant.
//
// A version that an owner alone brought into force, since it only tightens the owner's policies, comes with the version before it, up to
// one that all signed.
func (m Mesh) Documents(d *concordatv1.Documents) (*Documents, error) {
	return m.documents(d, maxTightenings)
}

// founded is d, documents as they were admitted, with the digest of the first manifest.
func founded(d, before *Documents, said string) (*Documents, error) {
	switch d.Founding = canon.Digest(said); {
	case d.Bundle.Manifest.Version == 1 && said == "":
		d.Founding = d.Digest
	case d.Bundle.Manifest.Version == 1 && d.Founding != d.Digest, before != nil && said != "" && d.Founding != before.Founding:
		return nil, fmt.Errorf("%w: the collaboration was not founded by %.80q", ErrDocuments, said)
	case before != nil && said == "":
		d.Founding = before.Founding
	case !d.Founding.Valid():
		return nil, fmt.Errorf("%w: the digest of the collaboration's first manifest is missing", ErrDocuments)
	}
	return d, nil
}

// maxTightenings is how many versions in a row may have come into force by one owner each.
const maxTightenings = 64

func (m Mesh) documents(d *concordatv1.Documents, left int) (*Documents, error) {
	bundle, err := document.OpenSigned(d.GetManifest(), d.GetPolicies())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDocuments, err)
	}
	if problems := bundle.Validate(document.Signed); len(problems) > 0 {
		return nil, fmt.Errorf("%w: %s", ErrDocuments, problems[0])
	}
	if err := m.pins(bundle.Manifest.Mesh); err != nil {
		return nil, err
	}
	digest := canon.Sum(d.GetManifest())
	var before *Documents
	var previous *document.Manifest
	if d.GetPrevious() != nil {
		if left == 0 {
			return nil, fmt.Errorf("%w: more than %d versions in a row that one owner each signed: have all sign one", ErrDocuments, maxTightenings)
		}
		if before, err = m.documents(d.GetPrevious(), left-1); err != nil {
			return nil, fmt.Errorf("version before: %w", err)
		}
		previous = before.Bundle.Manifest
	}
	var signers []key.Public
	for _, raw := range d.GetApprovals() {
		envelope, err := dsse.Parse(raw)
		if err != nil {
			return nil, fmt.Errorf("%w: approval: %w", ErrDocuments, err)
		}
		keys, err := approval.Approve(envelope, bundle.Manifest, previous, digest)
		if err != nil {
			continue // of a key that only the version before names: the coordinators check those
		}
		signers = append(signers, keys...)
	}
	if status := approval.StatusOf(bundle.Manifest, nil, signers); !status.Complete() {
		if before != nil {
			if _, tightens := approval.Tightens(bundle, before.Bundle, signers); tightens {
				return founded(&Documents{Bundle: bundle, Digest: digest}, before, d.GetFounding())
			}
		}
		return nil, fmt.Errorf("%w: not signed by %s", ErrDocuments, strings.Join(status.Missing, ", "))
	}
	return founded(&Documents{Bundle: bundle, Digest: digest}, before, d.GetFounding())
}

func (m Mesh) pins(pinned *document.Mesh) error {
	for _, p := range []struct{ name, pinned, runs string }{
		{"mode", pinned.Mode, m.Mode},
		{"marblerun_manifest", pinned.MarbleRunManifest, m.MarbleRunManifest},
		{"coordinator", pinned.Coordinator, m.Coordinator},
		{"root_certificate", pinned.RootCertificate, m.RootDigest().String()},
	} {
		if p.pinned != p.runs {
			return fmt.Errorf("%w: the manifest pins mesh.%s %s, this mesh has %s", ErrDocuments, p.name, p.pinned, p.runs)
		}
	}
	return nil
}

// Owner is the participant that owns a dataset; its first key is what wraps are bound to.
func (d *Documents) Owner(dataset string) (document.Participant, error) {
	entry, ok := d.Bundle.Manifest.Dataset(dataset)
	if !ok {
		return document.Participant{}, fmt.Errorf("%w: the manifest has no dataset %s", ErrDocuments, dataset)
	}
	p, ok := d.Bundle.Manifest.Participant(entry.Owner)
	if !ok || len(p.Keys) == 0 {
		return document.Participant{}, fmt.Errorf("%w: the owner of %s has no key", ErrDocuments, dataset)
	}
	return p, nil
}

// Stewards are the keys that may sign uploads of a dataset: those of the owner's stewards, and of the owner itself.
func (d *Documents) Stewards(dataset string) ([]key.Public, error) {
	owner, err := d.Owner(dataset)
	if err != nil {
		return nil, err
	}
	texts := slices.Clone(owner.Keys)
	for _, p := range d.Bundle.Manifest.People {
		if p.Participant == owner.ID && slices.Contains(p.Roles, "steward") {
			texts = append(texts, p.Keys...)
		}
	}
	var out []key.Public
	for _, t := range texts {
		if k, err := key.ParsePublic(t); err == nil {
			out = append(out, k)
		}
	}
	return out, nil
}

// Claim is what a grant has to say about an execution.
type Claim struct {
	SQL      string
	Plan     string
	Question canon.Digest
	Datasets []*concordatv1.SealedDataset
	Price    map[string]grant.Price // by owner and namespace (PriceKey): what this worker computed
}

// PriceKey names a price.
func PriceKey(owner, namespace string) string { return owner + " " + namespace }

// Granted is a grant that was verified.
type Granted struct {
	grant.Grant
	Digest canon.Digest // of its canonical JSON
	Log    key.Public   // signs the checkpoints of its ledger
}

// Grant verifies a grant: signed by the grant key of the ledger that the manifest pins, which a coordinator of this mesh endorsed, for this
// manifest, text, plan and data, and paying what the plan costs.
func (m Mesh) Grant(raw []byte, documents *Documents, claim Claim) (Granted, error) {
	signed, err := grant.Parse(raw)
	if err != nil {
		return Granted{}, fmt.Errorf("%w: %w", ErrGrant, err)
	}
	manifest := documents.Bundle.Manifest
	g, keys, err := signed.Verify(m.RootDigest(), m.Root, manifest.Mesh.Ledger)
	if err != nil {
		return Granted{}, fmt.Errorf("%w: %w", ErrGrant, err)
	}
	for _, c := range []struct {
		what string
		same bool
	}{
		{"collaboration", g.Collaboration == manifest.Collaboration},
		{"manifest", g.Manifest == documents.Digest && g.Version == manifest.Version},
		{"text", g.SQL == canon.Sum([]byte(claim.SQL))},
		{"plan", g.Plan.String() == claim.Plan && g.Question == claim.Question},
		{"data", sameData(g.Datasets, claim.Datasets)},
		{"price", pays(g.Price, claim.Price)},
	} {
		if !c.same {
			return Granted{}, fmt.Errorf("%w: it is for another %s", ErrGrant, c.what)
		}
	}
	return Granted{Grant: g, Digest: canon.Sum(signed.Grant.Payload), Log: keys.Log}, nil
}

func sameData(granted []grant.Dataset, given []*concordatv1.SealedDataset) bool {
	if len(granted) != len(given) {
		return false
	}
	for _, d := range given {
		want := grant.Dataset{ID: d.GetDataset(), Version: d.GetVersion(), Sealed: canon.Digest(d.GetDigest())}
		if !slices.Contains(granted, want) {
			return false
		}
	}
	return true
}

// pays says that the reservation covers what this worker computed, for every owner and no other.
func pays(granted []grant.Price, due map[string]grant.Price) bool {
	if len(granted) != len(due) {
		return false
	}
	for _, p := range granted {
		d, ok := due[PriceKey(p.Owner, p.Namespace)]
		if !ok || p.Rho < d.Rho || p.Queries < d.Queries {
			return false
		}
	}
	return true
}
