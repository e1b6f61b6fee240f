//go:build soak

package integration_test

import "testing"

// TestSoakHandover is TestHandover with all of our binaries linked anew.
func TestSoakHandover(t *testing.T) { handOver(t, true) }
