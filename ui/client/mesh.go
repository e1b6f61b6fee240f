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
	var previous *document.Manifest
	if m.Version > 1 {
		before, err := fetch(m.Version - 1)
		if err != nil {
			return Documents{}, fmt.Errorf("fetch version %d: %w", m.Version-1, err)
		}
		if previous, err = document.ParseManifestJSON(before.GetDocuments().GetManifest()); err != nil {
			return Documents{}, fmt.Errorf("check version %d: %w", m.Version-1, err)
		}
	}
	return CheckDocuments(status, previous)
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
