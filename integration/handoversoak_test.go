//go:build soak

package integration_test

import "testing"

// TestSoakHandover is TestHandover with all of our binaries linked anew, and a second handover after it: keys of three meshes.
func TestSoakHandover(t *testing.T) {
	h := handOver(t, true)
	again := &handing{
		t: t, old: h.next, room: h.room, second: h.second, founder: h.founder,
		question: "SELECT c.male, count(DISTINCT c.id) AS patients FROM clinic.patients c WHERE c.age >= 40 GROUP BY c.male",
	}
	again.remember()
	again.next = h.next.Beside(h.next.Bin(), 1, 1)
	again.agree()
	again.runs(0)
	again.same()
	if n := len(h.room.Documents.Manifest.Mesh.Inherits); n != 2 {
		t.Errorf("the manifest names %d meshes before", n)
	}
	h.room.Verified(h.room.Released(handoverJoin + " ORDER BY 1").Receipt)
}
