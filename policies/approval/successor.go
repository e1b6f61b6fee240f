package approval

import (
	"fmt"
	"slices"

	"concordat.dev/protocol/document"
)

// Succeeds says that a manifest means a handover: what it pins is another mesh that inherits from the one that runs.
func Succeeds(pinned *document.Mesh, runs Mesh) bool {
	return pinned != nil && pinned.RootCertificate != runs.RootCertificate && len(pinned.Inherits) > 0 &&
		pinned.Inherits[len(pinned.Inherits)-1] == runs.RootCertificate
}

// checkSuccessor judges the pins of a mesh that takes the ledger over: same ledger, same mode, all meshes before it named.
func checkSuccessor(pinned *document.Mesh, runs Mesh) error {
	switch want := Lineage(runs); {
	case pinned.Ledger != runs.Ledger:
		return fmt.Errorf("%w: a handover keeps the ledger: mesh.ledger is %s, it pins %s", ErrMesh, runs.Ledger, pinned.Ledger)
	case pinned.Mode != runs.Mode:
		return fmt.Errorf("%w: a handover keeps the mode: mesh.mode is %s, it pins %s", ErrMesh, runs.Mode, pinned.Mode)
	case !slices.Equal(pinned.Inherits, want):
		return fmt.Errorf("%w: mesh.inherits has to be %v, it pins %v", ErrMesh, want, pinned.Inherits)
	}
	return nil
}

// Lineage is what a successor of a mesh has to pin as mesh.inherits.
func Lineage(runs Mesh) []string { return append(slices.Clone(runs.Inherits), runs.RootCertificate) }

// SameMesh compares all that two manifests pin, but the voters, which a manifest may leave out.
func SameMesh(a, b *document.Mesh) bool {
	return a != nil && b != nil && a.Mode == b.Mode && a.MarbleRunManifest == b.MarbleRunManifest && a.RootCertificate == b.RootCertificate &&
		a.Coordinator == b.Coordinator && a.Ledger == b.Ledger && slices.Equal(a.Inherits, b.Inherits)
}
