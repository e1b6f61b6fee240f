//go:build soak

package integration_test

import (
	"path/filepath"
	"strings"
	"testing"

	"concordat.dev/integration/harness"
	"concordat.dev/protocol/checkpoint"
	"concordat.dev/protocol/document"
	"concordat.dev/ui/mesh"
	"concordat.dev/ui/witness"
)

// TestSoakHandoverWitnessed hands a ledger over whose manifest demands a witness, after a change of its coordinators, and changes those of the
// new mesh: the same witness goes on cosigning one log.
func TestSoakHandoverWitnessed(t *testing.T) {
	m := harness.Up(t)
	ledger, public, err := m.Client(m.Founder).LogKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	log, err := checkpoint.LogKey(ledger, public)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "witness")
	if err := witness.Create(dir, "clinic.example/witness"); err != nil {
		t.Fatal(err)
	}
	vkey, url, stop := runWitness(t, dir, log)
	defer stop()
	if err := m.Down(); err != nil {
		t.Fatal(err)
	}
	m.Witnesses = []mesh.Witness{{Key: vkey, URL: url}}
	m.Again()
	r := m.Agree(harness.StudyRoom(), func(b *document.Bundle) {
		harness.Generous(b)
		b.Manifest.Witnesses = &document.Witnesses{Keys: []string{vkey}, Quorum: 1}
	})
	waitCosigned(t, m)
	r.UploadStudy("clinic.patients", "registry.events")
	first := m.Leader()
	r.Grow()
	r.Shrink(first)
	heardOf(t, m)

	h := &handing{t: t, old: m, room: r, question: handoverQuestion, founder: filepath.Join(t.TempDir(), "founder.key")}
	if err := m.Founder.Save(h.founder); err != nil {
		t.Fatal(err)
	}
	h.remember()
	h.next = m.Beside(harness.NextBuild(t, false), 3, 2)
	h.sign(r, true)
	h.runs(0)
	h.same()
	h.goesOn()
	cosigned(t, r.Verified(r.Released(handoverJoin).Receipt).Checkpoint)

	there := *r
	there.Mesh = h.next
	first = h.next.Leader()
	there.Grow()
	there.Shrink(first)
	heardOf(t, h.next)
	cosigned(t, r.Verified(r.Released("SELECT c.male, count(DISTINCT c.id) AS patients FROM clinic.patients c WHERE c.age >= 50 GROUP BY c.male").Receipt).Checkpoint)
	h.log = r.Checkpoint(h.log)
	h.oldRefuses()
}

func cosigned(t *testing.T, text string) {
	t.Helper()
	if !strings.Contains(text, "— clinic.example/witness ") {
		t.Errorf("the receipt's checkpoint is not cosigned:\n%s", text)
	}
}
