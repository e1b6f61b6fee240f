package document

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"concordat.dev/protocol/canon"
)

// ManifestFile is the name of the manifest in a directory.
const ManifestFile = "manifest.yaml"

// The reasons of OpenSigned.
var (
	ErrPolicyDigest = errors.New("policy does not have the digest that the manifest carries")
	ErrNotExplicit  = errors.New("signed documents write every default out")
)

// Bundle is a manifest with the policy of each of its datasets, defaults written out.
type Bundle struct {
	Manifest *Manifest
	Policies map[string]*Policy // by dataset id

	manifest Source
	policies map[string]Source // by dataset id
}

// SignedForm is the form in which a bundle is signed and sent: every dataset of the manifest has policy_digest instead of policy.
type SignedForm struct {
	Manifest []byte   // canonical JSON
	Policies [][]byte // canonical JSON, in the order of the manifest's datasets
}

// Digest is what participants sign: the digest of the manifest's bytes.
func (s SignedForm) Digest() canon.Digest { return canon.Sum(s.Manifest) }

// LoadDir reads manifest.yaml and the policies that it names from a directory. Nothing outside the directory is read, not by a path
// and not by a symbolic link. Messages name files with the directory before them.
func LoadDir(dir string) (*Bundle, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("load manifest directory: %w", err)
	}
	b, err := LoadFS(root.FS())
	if closeErr := root.Close(); err == nil && closeErr != nil {
		return nil, fmt.Errorf("load manifest directory: %w", closeErr)
	}
	if syntax := (*SyntaxError)(nil); errors.As(err, &syntax) {
		syntax.File = filepath.Join(dir, syntax.File)
		return nil, syntax
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	b.manifest.File = filepath.Join(dir, b.manifest.File)
	for id, src := range b.policies {
		src.File = filepath.Join(dir, src.File)
		b.policies[id] = src
	}
	return b, nil
}

// LoadFS reads a manifest directory from a file system. Unlike Validate it stops at the first file that cannot be read.
func LoadFS(fsys fs.FS) (*Bundle, error) {
	raw, err := readFile(fsys, ManifestFile)
	if err != nil {
		return nil, fmt.Errorf("load manifest: %w; 'concordat manifest new DIR' begins one", err)
	}
	m, src, err := ParseManifest(ManifestFile, raw)
	if err != nil {
		return nil, err
	}
	b := &Bundle{Manifest: m.WithDefaults(), Policies: map[string]*Policy{}, manifest: src, policies: map[string]Source{}}
	for i, d := range m.Datasets {
		at := src.Find(fmt.Sprintf("datasets[%d].policy", i))
		fail := func(format string, args ...any) error {
			return &SyntaxError{File: ManifestFile, Position: at, Message: fmt.Sprintf("datasets[%d].policy: ", i) + fmt.Sprintf(format, args...)}
		}
		if d.Policy == "" || d.PolicyDigest != "" {
			return nil, fail("dataset %q names no policy file; a directory has policy: policies/NAME.yaml (policy_digest is for the signed form)", d.ID)
		}
		if !fs.ValidPath(d.Policy) || strings.Contains(d.Policy, `\`) || path.Ext(d.Policy) != ".yaml" {
			return nil, fail("%.80q is not a relative path to a .yaml file inside the directory", d.Policy)
		}
		if _, twice := b.Policies[d.ID]; twice {
			return nil, fail("dataset %q is there twice; remove one", d.ID)
		}
		raw, err := readFile(fsys, d.Policy)
		if err != nil {
			return nil, fail("%v", err)
		}
		p, src, err := ParsePolicy(d.Policy, raw)
		if err != nil {
			return nil, err
		}
		b.Policies[d.ID], b.policies[d.ID] = p.WithDefaults(), src
	}
	return b, nil
}

func readFile(fsys fs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err == nil && len(b) > MaxSize {
		err = fmt.Errorf("%s is larger than %d bytes", name, MaxSize)
	}
	return b, err
}

// Signable writes the bundle in the form that is signed.
func (b *Bundle) Signable() (SignedForm, error) {
	m := b.Manifest.WithDefaults()
	m.Datasets = slices.Clone(m.Datasets)
	var s SignedForm
	for i, d := range m.Datasets {
		p, ok := b.Policies[d.ID]
		if !ok {
			return SignedForm{}, fmt.Errorf("write the signed form: dataset %q has no policy", d.ID)
		}
		raw, err := p.WithDefaults().Canonical()
		if err != nil {
			return SignedForm{}, fmt.Errorf("write the signed form: policy of %q: %w", d.ID, err)
		}
		m.Datasets[i].Policy, m.Datasets[i].PolicyDigest = "", canon.Sum(raw).String()
		s.Policies = append(s.Policies, raw)
	}
	var err error
	if s.Manifest, err = m.Canonical(); err != nil {
		return SignedForm{}, fmt.Errorf("write the signed form: manifest: %w", err)
	}
	return s, nil
}

// OpenSigned reads the signed form. Each dataset must have exactly one policy, with the digest that the manifest carries, in any order,
// and no policy may be left over. It checks form and digests; who signed is for statements, meaning for Validate.
func OpenSigned(manifest []byte, policies [][]byte) (*Bundle, error) {
	m, err := ParseManifestJSON(manifest)
	if err != nil {
		return nil, fmt.Errorf("open signed documents: %w", err)
	}
	if again, err := m.WithDefaults().Canonical(); err != nil || string(again) != string(manifest) {
		return nil, fmt.Errorf("open signed documents: manifest: %w", ErrNotExplicit)
	}
	byDigest := map[string][]byte{}
	for _, raw := range policies {
		byDigest[canon.Sum(raw).String()] = raw
	}
	if len(byDigest) != len(policies) || len(policies) != len(m.Datasets) {
		return nil, fmt.Errorf("open signed documents: %w: %d datasets, %d policies", ErrPolicyDigest, len(m.Datasets), len(policies))
	}
	b := &Bundle{
		Manifest: m, Policies: map[string]*Policy{}, policies: map[string]Source{},
		manifest: Source{File: fmt.Sprintf("manifest %s version %d", m.Collaboration, m.Version)},
	}
	for _, d := range m.Datasets {
		raw, ok := byDigest[d.PolicyDigest]
		if !ok || d.Policy != "" {
			return nil, fmt.Errorf("open signed documents: dataset %q: %w", d.ID, ErrPolicyDigest)
		}
		p, err := ParsePolicyJSON(raw)
		if err != nil {
			return nil, fmt.Errorf("open signed documents: dataset %q: %w", d.ID, err)
		}
		if again, err := p.WithDefaults().Canonical(); err != nil || string(again) != string(raw) {
			return nil, fmt.Errorf("open signed documents: policy of %q: %w", d.ID, ErrNotExplicit)
		}
		if _, twice := b.Policies[d.ID]; twice || p.Dataset != d.ID {
			return nil, fmt.Errorf("open signed documents: dataset %q: %w: the policy is for %q", d.ID, ErrPolicyDigest, p.Dataset)
		}
		b.Policies[d.ID], b.policies[d.ID] = p, Source{File: "policy of " + d.ID}
	}
	return b, nil
}

// Dataset returns the entry of a dataset id.
func (m *Manifest) Dataset(id string) (Dataset, bool) {
	i := slices.IndexFunc(m.Datasets, func(d Dataset) bool { return d.ID == id })
	if i < 0 {
		return Dataset{}, false
	}
	return m.Datasets[i], true
}

// Participant returns the participant of that id.
func (m *Manifest) Participant(id string) (Participant, bool) {
	i := slices.IndexFunc(m.Participants, func(p Participant) bool { return p.ID == id })
	if i < 0 {
		return Participant{}, false
	}
	return m.Participants[i], true
}

// Person returns the person of that id.
func (m *Manifest) Person(id string) (Person, bool) {
	i := slices.IndexFunc(m.People, func(p Person) bool { return p.ID == id })
	if i < 0 {
		return Person{}, false
	}
	return m.People[i], true
}

// PersonByKey returns the person who has a key ("ed25519:…").
func (m *Manifest) PersonByKey(key string) (Person, bool) {
	i := slices.IndexFunc(m.People, func(p Person) bool { return slices.Contains(p.Keys, key) })
	if i < 0 {
		return Person{}, false
	}
	return m.People[i], true
}

// PersonBySubject returns the person whom an issuer vouched for to a client: of a participant that names this issuer and client, and nobody
// else's. It is nobody where two could be meant.
func (m *Manifest) PersonBySubject(issuer, client, subject string) (Person, bool) {
	var found []Person
	for _, p := range m.People {
		of, ok := m.Participant(p.Participant)
		if subject != "" && p.Subject == subject && ok && of.OIDC != nil && of.OIDC.Issuer == issuer && of.OIDC.ClientID == client {
			found = append(found, p)
		}
	}
	if len(found) != 1 {
		return Person{}, false
	}
	return found[0], true
}
