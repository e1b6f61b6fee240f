//go:build soak

package integration_test

import (
	"testing"

	"concordat.dev/integration/harness"
)

// TestSoakUpload sends 2 GB to an object store that speaks S3, and kills twenty times.
func TestSoakUpload(t *testing.T) {
	interruptedUpload(t, harness.UpWith(t, func(m *harness.Mesh) { m.Store = harness.NewStore(t) }), 2<<30, 0, 20)
}
