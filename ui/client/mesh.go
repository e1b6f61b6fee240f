package client

import (
	"context"
	"errors"
	"fmt"

	"concordat.dev/protocol/document"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
)

// Status asks what the mesh is. The answer came over the pinned channel; what it says about itself is compared by CheckPins.
func (c *Client) Status(ctx context.Context) (*concordatv1.StatusResponse, error) {
	return Unary(ctx, c, &concordatv1.StatusRequest{}, Services.Status)
}

// Documents fetches one version of a manifest (0: the newest) with its policies and checks digests and approvals here.
func (c *Client) Documents(ctx context.Context, collaboration string, version int) (Documents, error) {
	fetch := func(version int) (*concordatv1.ManifestStatus, error) {
		return Unary(ctx, c, &concordatv1.GetManifestRequest{Collaboration: collaboration, Version: int32(version)}, Services.GetManifest)
	}
	status, err := fetch(version)
	if err != nil {
		return Documents{}, err
	}
	m, err := document.ParseManifestJSON(status.GetDocuments().GetManifest())
	if err != nil {
		return Documents{}, fmt.Errorf("check the manifest: %w", err)
	}
	if m.Collaboration != collaboration {
		return Documents{}, fmt.Errorf("check the manifest: it is of collaboration %q", m.Collaboration)
	}
	if m.Version == 1 {
		return CheckDocuments(status, nil)
	}
	last, err := fetch(m.Version - 1)
	if err != nil {
		return Documents{}, fmt.Errorf("fetch version %d: %w", m.Version-1, err)
	}
	before, err := CheckDocuments(last, nil)
	if err != nil {
		return Documents{}, fmt.Errorf("version %d: %w", m.Version-1, err)
	}
	return CheckDocuments(status, &before)
}

// Descends follows the versions from documents back to the anchored one, which was signed from here: each came about as the one before it
// allows. Documents of the anchored version itself are for Anchor.Check.
func (c *Client) Descends(ctx context.Context, a Anchor, d Documents) error {
	if a.Digest == "" {
		return nil
	}
	for waits := d.State == proposed || d.State == "rejected"; d.Manifest.Version > a.Version; waits = false {
		if !waits && !d.Complete() {
			return fmt.Errorf("version %d: %w: %v", d.Manifest.Version, ErrNotSigned, d.Missing)
		}
		n := d.Manifest.Version - 1
		if n == a.Version {
			if d.Before != a.Digest {
				return fmt.Errorf("%w: version %d was signed as %s, and version %d follows %s", ErrReplaced, n, a.Digest, d.Manifest.Version, d.Before)
			}
			return nil
		}
		before, err := c.Documents(ctx, d.Manifest.Collaboration, n)
		if err != nil {
			return err
		}
		if before.Digest != d.Before {
			return fmt.Errorf("%w: version %d is %s, and version %d follows %s", ErrReplaced, n, before.Digest, d.Manifest.Version, d.Before)
		}
		d = before
	}
	return nil
}

// InForce fetches the version of a manifest that holds now: the newest that came into force, whether or not a later one is proposed.
func (c *Client) InForce(ctx context.Context, collaboration string) (Documents, error) {
	d, err := c.Documents(ctx, collaboration, 0)
	if err == nil && (d.State == "proposed" || d.State == "rejected") && d.Manifest.Version > 1 {
		return c.Documents(ctx, collaboration, d.Manifest.Version-1)
	}
	return d, err
}

// ErrNoCollaboration says that a collaboration has to be named.
var ErrNoCollaboration = errors.New("which collaboration?")

// OnlyCollaboration is the collaboration of a mesh that has one.
func (c *Client) OnlyCollaboration(ctx context.Context) (string, error) {
	s, err := c.Status(ctx)
	if err != nil {
		return "", err
	}
	switch all := s.GetCollaborations(); len(all) {
	case 0:
		return "", fmt.Errorf("%w the mesh has none yet: 'concordat manifest propose'", ErrNoCollaboration)
	case 1:
		return all[0], nil
	default:
		return "", fmt.Errorf("%w the mesh has %v: name one with --collaboration", ErrNoCollaboration, all)
	}
}
