// Package marbletest makes activated marbles for tests that need no MarbleRun: endorsetest's certificates, and a secret a type.
//
// Invariant: an Identity from here differs from a real one only in who signed it.
//
// Sees: nothing real
package marbletest

import (
	"crypto/sha256"
	"strings"
	"testing"

	"concordat.dev/protocol/endorse/endorsetest"
	"concordat.dev/protocol/marble"
)

// Mesh stands for one MarbleRun.
type Mesh struct{ *endorsetest.Mesh }

// New makes a mesh with keys of its own.
func New(t testing.TB) Mesh {
	t.Helper()
	return Mesh{endorsetest.New(t)}
}

// Identity activates a marble. All of one type share the secret, as under a real MarbleRun.
func (m Mesh) Identity(t testing.TB, marbleType string) *marble.Identity {
	t.Helper()
	secret := sha256.Sum256(append([]byte(marbleType), m.Root.Raw...))
	manifest, err := marble.Manifest(marble.Measurements{Coordinator: strings.Repeat("c0", 32), Worker: strings.Repeat("e0", 32)})
	if err != nil {
		t.Fatal(err)
	}
	return &marble.Identity{
		Type: marbleType, UUID: "00000000-0000-4000-8000-000000000000",
		Certificate: m.Marble(t, marbleType), Root: m.Root, Secret: secret[:], Manifest: manifest,
	}
}
