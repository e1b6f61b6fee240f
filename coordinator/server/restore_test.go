package server_test

import (
	"strings"
	"testing"

	"connectrpc.com/connect"

	"concordat.dev/protocol/answer"
	"concordat.dev/protocol/checkpoint"
	"concordat.dev/protocol/document"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/statement"
)

// TestWitnessesRefuseWhatARestoreGaveUp restores a backup, signed by all, under a manifest that demands a witness which saw more: it refuses, which
// is told, and nothing leaves.
func TestWitnessesRefuseWhatARestoreGaveUp(t *testing.T) {
	m, _ := witnessed(t, 1, 1)
	header, sealed := m.backup("clinic", 0)
	got, err := m.persist("ann", 0, "SELECT 1")
	must(t, err)
	if got.Verdict != answer.Released {
		t.Fatalf("%+v", got.Answer)
	}
	form := document.SignedForm{Manifest: m.manifestBytes()}
	m.stopAll()
	for i := range 3 {
		m.empty(i)
		m.configs[i].Join = true
	}
	m.start(1)
	m.start(2)
	await := m.recovering(0)
	m.self(0, "recovering")
	said := m.recovery(&concordatv1.SelfResponse{Size: uint64(header.Size), Root: header.Root}, 1, 0, 1, 2)
	stalled := m.node("", 0).Recover(m.ctx()) // a stranger who says the like and sends nothing more keeps nobody waiting
	must(t, stalled.Send(&concordatv1.RecoverChunk{Statement: m.signedNodes(said)}))
	m.self(0, "recovering")
	must(t, m.recover(0, m.signedNodes(said, "clinic", "registry"), sealed))
	if _, err := stalled.CloseAndReceive(); err == nil {
		t.Error("a recovery without a backup was taken")
	}
	await()
	m.self(1, "serving")
	for _, who := range []string{"clinic", "registry"} {
		must(t, m.tell(who, form, statement.Resume, nil))
	}
	if got, err := m.as("ann", 1).query("SELECT 22", nil); connect.CodeOf(err) != connect.CodeUnavailable || len(got.Rows) > 0 {
		t.Errorf("released without the witness: %v %+v", err, got.Answer)
	}
	for ctx := m.ctx(); ; {
		w := m.status(m.leader(0)).GetWitnesses()[0]
		if fault := w.GetFault(); strings.Contains(fault, checkpoint.ErrRolledBack.Error()) || strings.Contains(fault, checkpoint.ErrForked.Error()) {
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("the witness says %q", w.GetFault())
		}
	}
}
