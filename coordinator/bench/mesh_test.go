package bench_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/rs/zerolog"

	"concordat.dev/coordinator/raft"
	"concordat.dev/coordinator/seal"
	"concordat.dev/coordinator/state"
	"concordat.dev/policies/approval"
	"concordat.dev/policies/budget"
	"concordat.dev/policies/mechanism"
	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/key"
	"concordat.dev/protocol/marble"
	"concordat.dev/protocol/marble/marbletest"
	"concordat.dev/protocol/statement"
)

// election is the timeout of heartbeats and elections, for ours and the plain library alike.
const election = time.Second

var ledger = strings.Repeat("ab", 16)

// replica is one coordinator without its API.
type replica struct {
	*raft.Node
	state *state.Machine
}

// cluster starts n replicas and returns the one that leads.
func cluster(b *testing.B, n int, fill func(*state.Machine)) (leader replica, config raft.Config) {
	b.Helper()
	ca, dir := marbletest.New(b), b.TempDir()
	var voters []raft.Voter
	for i, address := range ports(b, n) {
		voters = append(voters, raft.Voter{Name: fmt.Sprint("c", i), Address: address})
	}
	var all []replica
	for _, v := range voters {
		id := ca.Identity(b, marble.Coordinator)
		root, err := seal.NewRoot(id.Secret)
		must(b, err)
		config = raft.Config{
			Name: v.Name, Address: v.Address, DataDir: filepath.Join(dir, v.Name), Voters: voters, Root: root, TLS: id,
			Logger: zerolog.Nop(), Timeout: election,
		}
		m := state.New()
		if fill != nil {
			fill(m)
		}
		node, err := raft.Open(config, m)
		must(b, err)
		b.Cleanup(func() { _ = node.Close() }) // again where a benchmark did
		all = append(all, replica{node, m})
	}
	must(b, all[0].Bootstrap(b.Context()))
	for {
		for _, r := range all {
			must(b, r.Sync(b.Context()))
			if r.IsLeader() {
				return r, config
			}
		}
	}
}

func ports(b *testing.B, n int) (out []string) {
	b.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(b, err)
		defer func() { must(b, l.Close()) }()
		out = append(out, l.Addr().String())
	}
	return out
}

// room is a collaboration in force, whose budgets are never used up.
type room struct{ digest canon.Digest }

// open sets the collaboration up by commands at a time.
func open(b testing.TB, to state.Applier, now time.Time) room {
	b.Helper()
	var keys [3]key.Private
	for i := range keys {
		k, err := key.Generate()
		must(b, err)
		keys[i] = k
	}
	mesh := approval.Mesh{
		Mode: "simulation", MarbleRunManifest: canon.Sum([]byte("m")).String(), RootCertificate: canon.Sum([]byte("r")).String(),
		Coordinator: canon.Sum([]byte("c")).String(), Ledger: ledger,
	}
	policy := func(dataset, owner string) *fstest.MapFile {
		return &fstest.MapFile{Data: fmt.Appendf(nil, `{apiVersion: concordat.dev/v1, kind: Policy, dataset: %s, owner: %s,
unit: {column: id, namespace: patient, unique: true}, columns: {id: {type: varchar, role: identifier}}, aggregates: [count],
release: {mechanism: differential_privacy, min_units: 10}, budget: {rho: 1, delta: 1e-6, period: 30d, lifetime_rho: 1}}`, dataset, owner)}
	}
	bundle, err := document.LoadFS(fstest.MapFS{
		"manifest.yaml": &fstest.MapFile{Data: fmt.Appendf(nil, `
{apiVersion: concordat.dev/v1, kind: Manifest, collaboration: room, version: 1, purpose: measuring, expires: 2999-12-31,
participants: [{id: clinic, name: C, keys: [%q]}, {id: registry, name: R, keys: [%q]}],
people: [{id: dana, participant: clinic, roles: [steward], keys: [%q]}], namespaces: {patient: {normalize: trim}},
datasets: [{id: clinic.patients, owner: clinic, policy: c.yaml}, {id: registry.events, owner: registry, policy: r.yaml}],
mesh: {mode: simulation, marblerun_manifest: %q, root_certificate: %q, coordinator: %q, ledger: %q}}`,
			keys[0].Public(), keys[1].Public(), keys[2].Public(), mesh.MarbleRunManifest, mesh.RootCertificate, mesh.Coordinator, ledger)},
		"c.yaml": policy("clinic.patients", "clinic"), "r.yaml": policy("registry.events", "registry"),
	})
	must(b, err)
	form, err := bundle.Signable()
	must(b, err)
	says := func(a statement.Action, signers ...key.Private) []byte {
		e, err := statement.Sign(statement.Statement{Action: a, Ledger: ledger, Collaboration: "room", Version: 1, Subject: form.Digest()}, signers...)
		must(b, err)
		raw, err := e.Marshal()
		must(b, err)
		return raw
	}
	submit(b, to, now, state.Init{Ledger: ledger, Founders: []string{keys[0].Public().String()}, Mesh: mesh})
	submit(b, to, now, state.Propose{Manifest: form.Manifest, Policies: form.Policies, Proposal: says(statement.Propose, keys[0])})
	submit(b, to, now, state.Approve{Collaboration: "room", Approval: says(statement.Approve, keys[0], keys[1])})
	return room{form.Digest()}
}

// reservation is that of a query like many: two owners pay, the text is 200 bytes.
func (r room) reservation() state.Reserve {
	q := state.Query{
		ID: rand.Text(), Key: rand.Text(), Collaboration: "room", Person: "ann@clinic", Participant: "clinic", Request: canon.Sum([]byte(rand.Text())),
		SQL: []byte(strings.Repeat("x", 228)), Question: canon.Sum([]byte(rand.Text())).String(), Plan: canon.Sum([]byte("p")).String(),
		Manifest: r.digest, Owners: []string{"clinic", "registry"},
	}
	for _, owner := range q.Owners {
		q.Price = append(q.Price, state.Price{Owner: owner, Namespace: "patient", Amount: budget.Amount{Rho: mechanism.Rho(1)}})
	}
	return state.Reserve{Query: q}
}

// record is the release of a query; its leaf's body, a worker's endorsement with certificates, has the size of real ones.
func record(id string) state.Record {
	body := make([]byte, 4096)
	_, _ = rand.Read(body)
	return state.Record{Query: id, Body: body, Object: "releases/" + id, Digest: canon.Sum(body)}
}

func submit[R any](b testing.TB, to state.Applier, now time.Time, body state.Body[R]) R {
	b.Helper()
	out, _, err := state.Submit(b.Context(), to, now, body)
	must(b, err)
	return out
}

// direct applies commands to a machine without replication, and counts their bytes.
type direct struct {
	*state.Machine
	index uint64
	bytes int
}

func (d *direct) Apply(_ context.Context, command []byte) ([]byte, error) {
	d.index++
	d.bytes += len(command)
	return d.Machine.Apply(d.index, [][]byte{command})[0](), nil
}

func must(b testing.TB, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}
