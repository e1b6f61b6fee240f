package tlog_test

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/rs/zerolog"

	"concordat.dev/coordinator/log"
	"concordat.dev/coordinator/state"
	"concordat.dev/coordinator/witness"
	"concordat.dev/policies/approval"
	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/key"
	"concordat.dev/protocol/statement"
)

const ledgerID = "00112233445566778899aabbccddeeff"

// ledger is a state machine with its log, without replicas, whose manifest demands witnesses.
type ledger struct {
	t      *testing.T
	state  *state.Machine
	signer *log.Signer
	owner  key.Private
	digest canon.Digest

	mu      sync.Mutex
	index   uint64
	uploads uint32
}

func (l *ledger) Apply(_ context.Context, command []byte) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.index++
	return l.state.Apply(l.index, [][]byte{command})[0](), nil
}

func (l *ledger) Sync(context.Context) error { return nil }
func (l *ledger) IsLeader() bool             { return true }

func submit[R any](l *ledger, body state.Body[R]) {
	l.t.Helper()
	_, _, err := state.Submit(l.t.Context(), l, time.Now(), body)
	must(l.t, err)
}

func seeded(t *testing.T, b byte) key.Private {
	t.Helper()
	k, err := key.FromSeed(bytes.Repeat([]byte{b}, 32))
	must(t, err)
	return k
}

// newLedger has a manifest in force that demands all these witnesses.
func newLedger(t *testing.T, witnesses ...string) *ledger {
	t.Helper()
	l := &ledger{t: t, state: state.New(), owner: seeded(t, 1)}
	var err error
	l.signer, err = log.NewSigner(ledgerID, seeded(t, 2))
	must(t, err)
	pin := canon.Sum([]byte("pin"))
	mesh := approval.Mesh{
		Mode: "simulation", MarbleRunManifest: pin.String(), RootCertificate: pin.String(), Coordinator: pin.String(), Ledger: ledgerID,
	}
	submit(l, state.Init{Ledger: ledgerID, Founders: []string{l.owner.Public().String()}, Mesh: mesh})
	b, err := document.LoadFS(fstest.MapFS{
		"manifest.yaml": &fstest.MapFile{Data: fmt.Appendf(nil, `
{apiVersion: concordat.dev/v1, kind: Manifest, collaboration: room, version: 1, purpose: testing, expires: 2099-12-31,
participants: [{id: clinic, name: C, keys: [%q]}], people: [{id: dana, participant: clinic, roles: [steward], keys: [%q]}],
namespaces: {patient: {normalize: trim}}, datasets: [{id: clinic.patients, owner: clinic, policy: c.yaml}],
witnesses: {keys: [%s], quorum: %d},
mesh: {mode: simulation, marblerun_manifest: %q, root_certificate: %q, coordinator: %q, ledger: %q}}`,
			l.owner.Public(), seeded(t, 3).Public(), quoted(witnesses), len(witnesses), pin, pin, pin, ledgerID)},
		"c.yaml": &fstest.MapFile{Data: []byte(`{apiVersion: concordat.dev/v1, kind: Policy, dataset: clinic.patients, owner: clinic,
unit: {column: id, namespace: patient, unique: true}, columns: {id: {type: varchar, role: identifier}}, aggregates: [count],
release: {mechanism: differential_privacy, min_units: 10}, budget: {rho: 1, delta: 1e-6, period: 30d, lifetime_rho: 3}}`)},
	})
	must(t, err)
	form, err := b.Signable()
	must(t, err)
	l.digest = form.Digest()
	submit(l, state.Propose{Manifest: form.Manifest, Policies: form.Policies, Proposal: l.says(statement.Propose)})
	submit(l, state.Approve{Collaboration: "room", Approval: l.says(statement.Approve)})
	return l
}

func quoted(all []string) string {
	out := ""
	for i, s := range all {
		if i > 0 {
			out += ", "
		}
		out += fmt.Sprintf("%q", s)
	}
	return out
}

func (l *ledger) says(action statement.Action) []byte {
	s := statement.Statement{Action: action, Ledger: ledgerID, Collaboration: "room", Version: 1, Subject: l.digest}
	if action != statement.Propose && action != statement.Approve {
		s.Nonce, s.Issued, s.Reason = fmt.Sprintf("%032x", l.state.Tree().Size()), time.Now().UTC().Format(time.RFC3339), "because"
	}
	e, err := statement.Sign(s, l.owner)
	must(l.t, err)
	raw, err := e.Marshal()
	must(l.t, err)
	return raw
}

// pauses adds n entries, which need no witness.
func (l *ledger) pauses(n int) {
	l.t.Helper()
	for range n {
		submit(l, state.Statement{Collaboration: "room", Statement: l.says(statement.Pause)})
	}
}

// grow adds n entries.
func (l *ledger) grow(n int) {
	l.t.Helper()
	for range n {
		l.uploads++
		id := fmt.Sprint("u", l.uploads)
		submit(l, state.OpenUpload{Upload: state.Upload{
			ID: id, Collaboration: "room", Dataset: "clinic.patients", Version: l.uploads, Key: id, Participant: "clinic", Person: "dana", Manifest: l.digest,
		}})
		submit(l, state.CloseUpload{Upload: id})
	}
}

// collect asks the witnesses until the test ends.
func (l *ledger) collect(addresses map[string]string) *witness.Collector {
	c := witness.New(witness.Config{State: l.state, Replica: l, Addresses: addresses, Now: time.Now, Logger: zerolog.Nop()})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Run(ctx, l.signer)
	}()
	l.t.Cleanup(func() { cancel(); <-done })
	return c
}

// cosigned waits until witnesses cosigned all of the log.
func (l *ledger) cosigned(c *witness.Collector) {
	l.t.Helper()
	limit := time.After(30 * time.Second)
	for {
		changed := l.state.Changed()
		if d, ok := l.state.Demand("room", 1); ok && d.Size == l.state.Tree().Size() {
			return
		}
		select {
		case <-changed:
		case <-limit:
			l.t.Fatalf("not cosigned: %v", c.Status())
		}
	}
}

// The log as log.Handler serves it.

func (l *ledger) Tree() *log.Tree                  { return l.state.Tree() }
func (l *ledger) Leaves(start, end int64) [][]byte { return l.state.Leaves(start, end) }
func (l *ledger) Published() ([]byte, error) {
	signed, _, _ := l.state.Head()
	return []byte(signed), nil
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
