package marble

import (
	"context"
	"errors"
	"fmt"

	"concordat.dev/protocol/canon"
)

// ErrOtherManifest says that MarbleRun runs another manifest than this program was configured for.
var ErrOtherManifest = errors.New("MarbleRun runs another manifest than the configuration names")

// Join activates as the environment says (ConfigFromEnv) and then checks MarbleRun's manifest against the digest that the configuration
// names; an empty digest takes whatever manifest is in force.
func Join(ctx context.Context, getenv func(string) string, manifest string) (*Identity, error) {
	cfg, err := ConfigFromEnv(getenv)
	if err != nil {
		return nil, err
	}
	id, err := Activate(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := id.checkManifest(manifest); err != nil {
		return nil, err
	}
	return id, nil
}

// ManifestDigest is what a manifest pins as mesh.marblerun_manifest.
func (id *Identity) ManifestDigest() canon.Digest { return canon.Sum(id.Manifest) }

func (id *Identity) checkManifest(want string) error {
	if have := id.ManifestDigest().String(); want != "" && have != want {
		return fmt.Errorf("marble: %w: it runs %s, the configuration says %s; correct mesh.marblerun_manifest or join the mesh it belongs to", ErrOtherManifest, have, want)
	}
	return nil
}
