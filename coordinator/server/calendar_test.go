package server_test

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"connectrpc.com/connect"

	"concordat.dev/coordinator/server"
	"concordat.dev/policies/approval"
	"concordat.dev/protocol/document"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/key"
	"concordat.dev/protocol/statement"
)

// pass has all clocks show a later time, and waits until the ledger's own is there.
func (m *mesh) pass(d time.Duration) {
	m.t.Helper()
	from := m.now()
	m.passed.Add(int64(d))
	for ctx := m.ctx(); ; {
		must(m.t, m.nodes[0].Sync(ctx))
		if slices.IndexFunc(m.nodes, func(n *server.Server) bool { return n.Time().Sub(from) < d }) < 0 {
			return
		}
	}
}

// third adds a third organisation, lab, to the manifest, and lets others recover lost keys.
func (m *mesh) third(holds string) func(*document.Bundle) {
	return func(b *document.Bundle) {
		b.Manifest.Amendments = &document.Amendments{Recovery: "others"}
		b.Manifest.Participants = append(b.Manifest.Participants, document.Participant{ID: "lab", Name: "Lab", Keys: []string{m.public(holds)}})
	}
}

// TestLostKeyIsRecovered has two organisations give a third one, which lost its key, another: after 72 hours, unless somebody holds the key and objects.
func TestLostKeyIsRecovered(t *testing.T) {
	m := newMesh(t, 1)
	for _, who := range []string{"lost", "found", "thief"} {
		k, err := key.Generate()
		must(t, err)
		m.keys[who] = k
	}
	first := m.manifest(1, m.third("lost"))
	m.activate(1, first)
	status, err := m.sign("lost", 0, 1, first.Digest())
	must(t, err)
	if status.GetState() != "active" {
		t.Fatalf("signed by all three: %+v", status)
	}
	if !m.upload("dana", "clinic.patients", first.Digest()) || !m.upload("rita", "registry.events", first.Digest()) {
		t.Fatal("an upload was rejected")
	}

	next := m.manifest(2, m.third("found"))
	_, err = m.propose("clinic", 2, next)
	must(t, err)
	signs := func(who string) *concordatv1.ManifestStatus {
		t.Helper()
		status, err := m.sign(who, 1, 2, next.Digest())
		must(t, err)
		return status
	}
	signs("clinic")
	if s := signs("registry"); s.GetState() != "proposed" || s.GetNotBefore() != "" {
		t.Errorf("before the new key signed: %+v", s)
	}
	s := signs("found")
	if s.GetState() != "proposed" || s.GetNotBefore() == "" || !slices.Equal(s.GetMissing(), []string{"lab"}) {
		t.Errorf("all others signed: %+v", s)
	}
	m.pass(approval.RecoveryWait - time.Hour)
	if s := signs("clinic"); s.GetState() != "proposed" {
		t.Errorf("an hour too early: %+v", s)
	}
	if got, err := m.as("ann", 0).query("SELECT 1", nil); err != nil || len(got.receipt) == 0 {
		t.Errorf("meanwhile: %v %+v", err, got.Answer)
	}
	m.pass(time.Hour)
	if s := signs("clinic"); s.GetState() != "active" || len(s.GetMissing()) != 0 {
		t.Fatalf("after 72 hours: %+v", s)
	}
	second := func(s *statement.Statement) { s.Version = 2 }
	if err := m.tell("lost", next, statement.Pause, second); connect.CodeOf(err) != connect.CodePermissionDenied && connect.CodeOf(err) != connect.CodeUnauthenticated {
		t.Errorf("the lost key pauses: %v", err)
	}
	must(t, m.tell("found", next, statement.Pause, second))
	must(t, m.tell("found", next, statement.Resume, second))
	if got, err := m.as("ann", 2).query("SELECT 2", nil); err != nil || len(got.receipt) == 0 {
		t.Errorf("after the recovery: %v %+v", err, got.Answer)
	}

	theft := m.manifest(3, m.third("thief")) // the key was not lost: who holds it objects, and time makes nothing of it
	_, err = m.propose("clinic", 3, theft)
	must(t, err)
	for _, who := range []string{"clinic", "registry", "thief"} {
		_, err := m.sign(who, 0, 3, theft.Digest())
		must(t, err)
	}
	must(t, m.tell("found", theft, statement.Reject, func(s *statement.Statement) {
		s.Version, s.Reason = 3, "lab still holds its key"
	}))
	m.pass(approval.RecoveryWait)
	if s, err := m.sign("clinic", 0, 3, theft.Digest()); err == nil {
		t.Errorf("a recovery that was objected to: %+v", s)
	}
}

// TestExpiredDataIsOnNoDisk lets the last day of one dataset's policy pass: its wrap and its sealed bytes are in no file, the other's stay.
func TestExpiredDataIsOnNoDisk(t *testing.T) {
	last := time.Now().AddDate(0, 0, 2).UTC().Format(time.DateOnly)
	m := ready(t, 1, func(b *document.Bundle) { b.Policies["clinic.patients"].Expires = last })
	wraps, sealed := map[string]string{}, map[string]string{}
	for _, id := range []string{"clinic.patients", "registry.events"} {
		v := m.nodes[0].State().Dataset(room, id).Versions[0]
		wraps[id], sealed[id] = base64.StdEncoding.EncodeToString(v.Wrap), filepath.Join(m.dir, "objects", v.Objects[0])
		must(t, os.MkdirAll(filepath.Dir(sealed[id]), 0o700))
		must(t, os.WriteFile(sealed[id], []byte("sealed "+id), 0o600))
	}
	m.pass(36 * time.Hour)
	if v, ok := m.nodes[0].State().Dataset(room, "clinic.patients").Current(); !ok || len(v.Wrap) == 0 {
		t.Error("data went before its last day passed")
	}
	before := m.nodes[0].State().Destructions()
	m.pass(36 * time.Hour)
	for i, n := range m.nodes {
		for ctx := m.ctx(); n.State().Destructions() == before; {
			must(t, n.Sync(ctx))
		}
		m.compacted(i, n)
		write, err := n.State().Snapshot()
		must(t, err)
		var snapshot bytes.Buffer
		must(t, write(&snapshot))
		if bytes.Contains(snapshot.Bytes(), []byte(wraps["clinic.patients"])) || !bytes.Contains(snapshot.Bytes(), []byte(wraps["registry.events"])) {
			t.Errorf("coordinator %d keeps the wrap that expired, or not the other", i)
		}
	}
	for ctx := m.ctx(); ctx.Err() == nil; { // the object goes after its key
		if _, err := os.Stat(sealed["clinic.patients"]); os.IsNotExist(err) {
			break
		}
	}
	m.nowhere("sealed clinic.patients", wraps["clinic.patients"])
	if kept, err := os.ReadFile(sealed["registry.events"]); err != nil || string(kept) != "sealed registry.events" {
		t.Errorf("the other dataset's object: %q %v", kept, err)
	}
	if got, err := m.as("ann", 1).query("SELECT 1", nil); err == nil && len(got.receipt) > 0 {
		t.Errorf("an answer from data that expired: %+v", got.Answer)
	}
}
