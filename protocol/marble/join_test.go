package marble

import (
	"errors"
	"testing"

	"concordat.dev/protocol/canon"
)

func TestTheConfiguredManifestIsTheOneThatRuns(t *testing.T) {
	id := &Identity{Manifest: []byte(`{"Marbles":{}}`)}
	for want, ok := range map[string]bool{
		"":                              true,
		canon.Sum(id.Manifest).String(): true,
		canon.Sum([]byte(`{"Marbles":{} }`)).String(): false,
		"sha256:": false,
	} {
		if err := id.checkManifest(want); (err == nil) != ok || (!ok && !errors.Is(err, ErrOtherManifest)) {
			t.Errorf("configured %q: %v", want, err)
		}
	}
}
