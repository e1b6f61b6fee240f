package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"concordat.dev/policies/approval"
	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/dsse"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/key"
	"concordat.dev/protocol/statement"
)

// Why documents that a coordinator sent are not trusted.
var (
	ErrNotSigned = errors.New("not signed by all participants")
	ErrNotPinned = errors.New("the manifest does not pin this mesh")
	ErrReplaced  = errors.New("not the manifest that was signed from here")
)

// Documents are a manifest and its policies, with the participants whose approvals were checked here, not by the coordinator.
type Documents struct {
	*document.Bundle
	Raw    document.SignedForm
	Digest canon.Digest
	Before canon.Digest // of the version before, against which it was judged; empty for the first
	approval.Status

	State    string // as the coordinator says, like all below
	PausedBy []string
	Off      []string // people who were off-boarded, or whose participant left
	Left     []string // participants who left
}

// CheckDocuments opens what a coordinator sent and checks digests and every approval by itself, and whether a version that lacks some was
// allowed by the version before: by an owner who tightens, by statements of those who left, by all others for one who lost its keys. Of that
// last one the coordinators alone tell that it lay open long enough. That the keys which a manifest names are the right ones, only someone who
// knows the participants can tell. before was checked already; it is nil for the first version, and where it is not at hand: then only those
// are asked whom the manifest names, with the keys that it names.
func CheckDocuments(status *concordatv1.ManifestStatus, before *Documents) (Documents, error) {
	sent := status.GetDocuments()
	d := Documents{
		State: status.GetState(), PausedBy: status.GetPausedBy(), Off: status.GetOff(), Left: status.GetLeft(),
		Raw: document.SignedForm{Manifest: sent.GetManifest(), Policies: sent.GetPolicies()},
	}
	var err error
	if d.Bundle, err = document.OpenSigned(d.Raw.Manifest, d.Raw.Policies); err != nil {
		return d, fmt.Errorf("check the manifest: %w", err)
	}
	d.Digest = d.Raw.Digest()
	if status.GetDigest() != "" && status.GetDigest() != d.Digest.String() {
		return d, fmt.Errorf("check the manifest: the coordinator says %s, its bytes are %s", status.GetDigest(), d.Digest)
	}
	if p := sent.GetPrevious(); p != nil {
		checked, err := CheckDocuments(&concordatv1.ManifestStatus{Documents: p}, nil)
		switch {
		case err != nil:
			return d, fmt.Errorf("version before: %w", err)
		case before != nil && before.Digest != checked.Digest:
			return d, fmt.Errorf("check the version before: it is %s, and came with %s", before.Digest, checked.Digest)
		}
		before = &checked
	}
	if before == nil {
		signers, err := d.signers(sent.GetApprovals(), nil)
		d.Status = approval.StatusOf(d.Manifest, nil, signers)
		return d, err
	}
	if !before.Complete() {
		return d, fmt.Errorf("check the version before: %w: %v", ErrNotSigned, before.Missing)
	}
	return d, d.follow(before, sent)
}

// follow judges who signed a version that came after another.
func (d *Documents) follow(before *Documents, sent *concordatv1.Documents) error {
	if before.Manifest.Version != d.Manifest.Version-1 || before.Manifest.Collaboration != d.Manifest.Collaboration {
		return fmt.Errorf("check the manifest: version %d of %q cannot follow version %d of %q",
			d.Manifest.Version, d.Manifest.Collaboration, before.Manifest.Version, before.Manifest.Collaboration)
	}
	d.Before = before.Digest
	v := approval.Version{Next: d.Bundle, Previous: before.Bundle}
	for i, raw := range sent.GetLeaves() {
		envelope, err := dsse.Parse(raw)
		if err != nil {
			return fmt.Errorf("check statement %d of who left: %w", i+1, err)
		}
		said, who, err := approval.Participant(envelope, before.Manifest, nil, before.Digest)
		if err != nil || said.Action != statement.Leave {
			return fmt.Errorf("check statement %d of who left: %w: %s", i+1, errors.Join(ErrNotSigned, err), said.Action)
		}
		v.Left = append(v.Left, who)
	}
	var err error
	if v.Signers, err = d.signers(sent.GetApprovals(), before.Manifest); err != nil {
		return err
	}
	if d.State != proposed {
		v.Now = v.Proposed.Add(approval.RecoveryWait)
	}
	d.Status = v.Status()
	if d.State != proposed {
		d.NotBefore = time.Time{}
	}
	return nil
}

const proposed = "proposed"

// signers are the keys that signed these documents.
func (d *Documents) signers(approvals [][]byte, previous *document.Manifest) ([]key.Public, error) {
	var signers []key.Public
	for i, raw := range approvals {
		envelope, err := dsse.Parse(raw)
		if err != nil {
			return nil, fmt.Errorf("check approval %d: %w", i+1, err)
		}
		keys, err := approval.Approve(envelope, d.Manifest, previous, d.Digest)
		if errors.Is(err, approval.ErrSigner) && previous == nil && d.Manifest.Version > 1 {
			continue // of a key that only the version before names, which is not at hand here
		}
		if err != nil {
			return nil, fmt.Errorf("check approval %d: %w", i+1, err)
		}
		signers = append(signers, keys...)
	}
	return signers, nil
}

// Statement is a statement about these documents, without reason, nonce and time.
func (d Documents) Statement(action statement.Action) statement.Statement {
	s := statement.Statement{Type: statement.Type, Action: action, Collaboration: d.Manifest.Collaboration, Version: d.Manifest.Version, Subject: d.Digest}
	if d.Manifest.Mesh != nil {
		s.Ledger = d.Manifest.Mesh.Ledger
	}
	return s
}

// CheckPins compares what the manifest pins with what a mesh is; the error names every field that differs.
func CheckPins(pinned *document.Mesh, running document.Mesh) error {
	if pinned == nil {
		return fmt.Errorf("%w: it has no mesh section", ErrNotPinned)
	}
	var all []error
	compare := func(field, pinned, running string) {
		if pinned != running {
			all = append(all, fmt.Errorf("mesh.%s: pinned %s, running %s", field, pinned, running))
		}
	}
	compare("mode", pinned.Mode, running.Mode)
	compare("marblerun_manifest", pinned.MarbleRunManifest, running.MarbleRunManifest)
	compare("root_certificate", pinned.RootCertificate, running.RootCertificate)
	compare("coordinator", pinned.Coordinator, running.Coordinator)
	compare("ledger", pinned.Ledger, running.Ledger)
	compare("inherits", strings.Join(pinned.Inherits, " "), strings.Join(running.Inherits, " "))
	if len(all) > 0 {
		return fmt.Errorf("%w: %w", ErrNotPinned, errors.Join(all...))
	}
	return nil
}

// Running is the mesh section that a manifest needs to pin the mesh that gave this status.
func Running(s *concordatv1.StatusResponse) document.Mesh {
	return document.Mesh{
		Mode: s.GetMode(), MarbleRunManifest: s.GetMarblerunManifest(), RootCertificate: s.GetRootCertificate(),
		Coordinator: s.GetCoordinator(), Ledger: s.GetLedger(), Inherits: s.GetInherits(),
	}
}

// Anchor is a manifest that was signed from this machine: later commands hold what coordinators send against it.
type Anchor struct {
	Collaboration string        `json:"collaboration"`
	Version       int           `json:"version"`
	Digest        canon.Digest  `json:"digest"`
	Mesh          document.Mesh `json:"mesh"`
}

func anchorFile(home, collaboration string) string {
	return filepath.Join(home, "manifests", filepath.Base(collaboration)+".json")
}

// Remember keeps documents as the anchor of their collaboration.
func (d Documents) Remember(home string) error {
	a := Anchor{Collaboration: d.Manifest.Collaboration, Version: d.Manifest.Version, Digest: d.Digest}
	if d.Manifest.Mesh != nil {
		a.Mesh = *d.Manifest.Mesh
	}
	b, err := json.MarshalIndent(a, "", "  ")
	if err != nil {
		return fmt.Errorf("remember the manifest: %w", err)
	}
	return writeFile(anchorFile(home, a.Collaboration), append(b, '\n'))
}

// LoadAnchor reads the anchor of a collaboration; the zero Anchor where none was kept.
func LoadAnchor(home, collaboration string) (Anchor, error) {
	var a Anchor
	b, err := os.ReadFile(anchorFile(home, collaboration))
	if errors.Is(err, fs.ErrNotExist) {
		return a, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &a)
	}
	if err != nil {
		return a, fmt.Errorf("read %s: %w", anchorFile(home, collaboration), err)
	}
	return a, nil
}

// Check refuses documents of the anchored version that are not the signed ones, and older ones.
func (a Anchor) Check(d Documents) error {
	switch {
	case a.Digest == "" || d.Manifest.Version > a.Version:
		return nil
	case d.Manifest.Version < a.Version:
		return fmt.Errorf("%w: version %d was signed, the mesh shows version %d", ErrReplaced, a.Version, d.Manifest.Version)
	case d.Digest != a.Digest:
		return fmt.Errorf("%w: version %d was signed as %s, the mesh shows %s", ErrReplaced, a.Version, a.Digest, d.Digest)
	}
	return nil
}

// writeFile replaces a file of the home, whole or not at all.
func writeFile(path string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.WriteFile(path+".new", b, 0o600); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
