//go:build soak

package integration_test

import "testing"

// TestSoakUpload sends 2 GB and kills twenty times.
func TestSoakUpload(t *testing.T) {
	interruptedUpload(t, 2<<30, 0, 20)
}
