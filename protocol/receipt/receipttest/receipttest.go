// Package receipttest makes receipts that verify, in a mesh of its own, for tests that need one.
//
// Sees: nothing real
package receipttest

import (
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"concordat.dev/protocol/answer"
	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/checkpoint"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/dsse"
	"concordat.dev/protocol/endorse"
	"concordat.dev/protocol/endorse/endorsetest"
	"concordat.dev/protocol/evidence"
	"concordat.dev/protocol/evidence/sgx/sgxtest"
	"concordat.dev/protocol/grant"
	"concordat.dev/protocol/key"
	"concordat.dev/protocol/marble"
	"concordat.dev/protocol/receipt"
	"concordat.dev/protocol/statement"
	"concordat.dev/protocol/webauthn/webauthntest"
)

// Ledger is the ledger id of every World.
const Ledger = "00112233445566778899aabbccddeeff"

// SQL is the text of the query of every World.
const SQL = "SELECT male, count(*) AS n FROM clinic.patients GROUP BY male"

// World is all that a receipt is made of. Its fields may be changed before Receipt is called.
type World struct {
	Mesh     *endorsetest.Mesh
	Owners   []key.Private // keys of the participants clinic and lab, in this order
	Log      key.Private
	GrantKey key.Private
	Bundle   *document.Bundle
	Result   answer.Result
	Grant    grant.Grant     // set by Receipt where it is zero
	Release  receipt.Release // set by Receipt where it is zero
	Leaves   int             // other leaves in the log before this one
	Cosign   []note.Signer   // further signers of the checkpoint

	Lab *webauthntest.Passkey // that approves for the lab, where it is set

	MarbleRun []byte              // MarbleRun's manifest
	Worker    string              // the worker's measurement in it
	Evidence  []evidence.Evidence // of MarbleRun's coordinator
	Verifiers []evidence.Verifier // that Receipt's options bring
}

// program is the measurement of MarbleRun's coordinator in every World.
var program = canon.Sum([]byte("MarbleRun's coordinator"))

// Reserved is the time of the reservation in every World.
const Reserved = "2026-11-23T15:00:00Z"

// SSH makes the first participant's key one of SSH, and has it approve as ssh-keygen does.
func (w *World) SSH(t testing.TB) {
	t.Helper()
	w.Owners[0] = w.Owners[0].AsSSH()
	w.Bundle.Manifest.Participants[0].Keys = []string{w.Owners[0].Public().String()}
}

// Passkey makes the second participant's key a passkey, and has it approve in a browser.
func (w *World) Passkey(t testing.TB) {
	t.Helper()
	p := webauthntest.New(t, "room.example")
	w.Lab = &p
	w.Bundle.Manifest.Participants[1].Keys = []string{p.Public(t).String()}
}

func marbleRun(t testing.TB) (manifest []byte, worker string) {
	t.Helper()
	worker = strings.TrimPrefix(canon.Sum([]byte("worker")).String(), "sha256:")
	manifest, err := marble.Manifest(marble.Measurements{Coordinator: strings.TrimPrefix(canon.Sum([]byte("coordinator")).String(), "sha256:"), Worker: worker})
	must(t, err)
	return manifest, worker
}

// SGX puts the world's mesh onto hardware of its own: mode sgx, with a quote over the root. change, if any, spoils what the quote says.
func (w *World) SGX(t testing.TB, change func(*sgxtest.Platform, *sgxtest.Enclave)) {
	t.Helper()
	at, err := time.Parse(time.RFC3339, Reserved)
	must(t, err)
	sum := sha256.Sum256(w.Mesh.Root.Raw)
	p, e := sgxtest.New(t, at.AddDate(0, 0, -3)), sgxtest.Enclave{Measurement: program.Raw(), Data: sum[:]}
	if change != nil {
		change(p, &e)
	}
	w.Bundle.Manifest.Mesh.Mode = "sgx"
	w.Evidence, w.Verifiers = []evidence.Evidence{p.Evidence(t, e)}, []evidence.Verifier{p.Verifier()}
}

// New makes a world of two participants and one dataset each, in simulation mode and without witnesses.
func New(t testing.TB) *World {
	t.Helper()
	w := &World{Mesh: endorsetest.New(t), Log: newKey(t), GrantKey: newKey(t), Owners: []key.Private{newKey(t), newKey(t)}, Leaves: 5}
	policy := func(dataset, owner string) *document.Policy {
		p := document.Policy{
			APIVersion: document.APIVersion, Kind: "Policy", Dataset: dataset, Owner: owner, Unit: document.Unit{Column: "id", Namespace: "patient", Unique: true},
			Columns: map[string]document.Column{
				"id":   {Type: "varchar", Role: "identifier"},
				"male": {Type: "integer", Role: "dimension", Domain: &document.Domain{Values: []any{int64(0), int64(1)}}},
			},
			Aggregates: []string{"count"}, Release: &document.Release{Mechanism: document.DifferentialPrivacy, MinUnits: 10},
			Budget: &document.Budget{Rho: 0.5, Delta: 1e-6, Period: "30d", LifetimeRho: 3},
		}
		return p.WithDefaults()
	}
	w.MarbleRun, w.Worker = marbleRun(t)
	m := document.Manifest{
		APIVersion: document.APIVersion, Kind: "Manifest", Collaboration: "nafld-outcomes", Version: 1, Purpose: "test", Expires: "2028-12-31",
		Participants: []document.Participant{
			{ID: "clinic", Name: "Clinic", Keys: []string{w.Owners[0].Public().String()}}, {ID: "lab", Name: "Laboratory", Keys: []string{w.Owners[1].Public().String()}},
		},
		People:     []document.Person{{ID: "dana@clinic.example", Participant: "clinic", Roles: []string{"analyst"}, Keys: []string{newKey(t).Public().String()}}},
		Namespaces: map[string]document.Namespace{"patient": {Normalize: "trim"}},
		Datasets: []document.Dataset{
			{ID: "clinic.patients", Owner: "clinic", Policy: "policies/clinic.patients.yaml"}, {ID: "lab.tests", Owner: "lab", Policy: "policies/lab.tests.yaml"},
		},
		Mesh: &document.Mesh{Mode: "simulation", MarbleRunManifest: canon.Sum(w.MarbleRun).String(), RootCertificate: w.Mesh.Pin().String(), Coordinator: program.String(), Ledger: Ledger},
	}
	w.Bundle = &document.Bundle{Manifest: &m, Policies: map[string]*document.Policy{
		"clinic.patients": policy("clinic.patients", "clinic"), "lab.tests": policy("lab.tests", "lab"),
	}}
	w.Result = answer.Result{
		Columns:   []answer.Column{{Name: "male", Type: "integer", Kind: answer.Key}, {Name: "n", Type: "bigint", Kind: answer.Aggregate}},
		Rows:      [][]any{{0, 120}, {1, 98}},
		Intervals: [][]*answer.Interval{{nil, {100, 140}}, {nil, {78, 118}}},
		Mechanism: document.DifferentialPrivacy, WithheldPossible: true, Notes: []string{},
	}
	return w
}

// Receipt signs everything and returns a receipt with the options under which it verifies.
func (w *World) Receipt(t testing.TB) (receipt.Receipt, receipt.Options) {
	t.Helper()
	docs, err := w.Bundle.Signable()
	must(t, err)
	approval := statement.Statement{
		Action: statement.Approve, Ledger: Ledger, Collaboration: w.Bundle.Manifest.Collaboration, Version: w.Bundle.Manifest.Version, Subject: docs.Digest(),
	}
	r := receipt.Receipt{Manifest: docs.Manifest, Root: w.Mesh.Root.Raw, SQL: SQL, Index: int64(w.Leaves)}
	for _, p := range docs.Policies {
		r.Policies = append(r.Policies, p)
	}
	for i, k := range w.Owners {
		e, err := statement.Sign(approval, k)
		must(t, err)
		if i == 1 && w.Lab != nil {
			e.Signatures[0] = dsse.Signature{KeyID: w.Lab.Public(t).String(), Sig: w.Lab.Sign(t, dsse.PAE(e.PayloadType, e.Payload))}
		}
		if k.Public().SSH() {
			e.Signatures[0].Sig = k.SignSSH(dsse.SSHNamespace, dsse.PAE(e.PayloadType, e.Payload))
		}
		r.Approvals = append(r.Approvals, e)
	}
	r.Approvals = receipt.Approvals(w.Bundle.Manifest, append(r.Approvals, dsse.Sign(statement.PayloadType, nil, w.Log)))
	w.fill(docs.Digest(), canon.Sum(docs.Policies[0]))
	keys, err := grant.EndorseKeys(grant.Keys{Ledger: Ledger, Log: w.Log.Public(), Grant: w.GrantKey.Public()}, w.Mesh.Marble(t, endorse.Coordinator))
	must(t, err)
	r.Grant, err = grant.Sign(w.Grant, w.GrantKey, keys)
	must(t, err)
	w.Release.Grant = canon.Sum(r.Grant.Grant.Payload)
	r.Result, err = w.Result.Marshal()
	must(t, err)
	r.Body, err = receipt.Sign(w.Release, r.Result, w.Mesh.Marble(t, endorse.Worker))
	must(t, err)
	w.log(t, &r)
	return r, receipt.Options{Manifest: docs.Digest(), Verifiers: w.Verifiers}
}

// fill says what the coordinators and the worker say of this query.
func (w *World) fill(manifest, policy canon.Digest) {
	plan := "scan clinic.patients\n"
	if w.Grant.Query == "" {
		w.Grant = grant.Grant{
			Query: "q1", Ledger: Ledger, Collaboration: "nafld-outcomes", Version: 1, Manifest: manifest, Person: "dana@clinic.example", Participant: "clinic",
			SQL: canon.Sum([]byte(SQL)), Plan: receipt.DigestPlan(plan), Question: canon.Sum([]byte("question")),
			Datasets: []grant.Dataset{{ID: "clinic.patients", Version: 1, Sealed: canon.Sum([]byte("sealed"))}},
			Price:    []grant.Price{{Owner: "clinic", Namespace: "patient", Rho: 5_000_000, SpentBefore: 10_000_000}}, Index: 42, Reserved: Reserved,
		}
	}
	if w.Release.Query == "" {
		g := w.Grant
		w.Release = receipt.Release{
			Ledger: g.Ledger, Collaboration: g.Collaboration, Version: g.Version, Manifest: manifest, Mode: w.Bundle.Manifest.Mesh.Mode, Query: g.Query,
			Policies: []receipt.Policy{{Dataset: "clinic.patients", Digest: policy}}, Datasets: g.Datasets, SQL: g.SQL, Plan: plan, PlanDigest: g.Plan, Question: g.Question,
			Mechanism: document.DifferentialPrivacy, Parameters: []byte(`{"min_units": 10}`), Price: g.Price, Worker: receipt.Worker{Version: "1", Noise: "1", Measure: w.Worker, MarbleRun: w.MarbleRun, Evidence: w.Evidence},
		}
	}
}

// log makes the body a leaf after others, proves it and signs a checkpoint of the tree with two more leaves.
func (w *World) log(t testing.TB, r *receipt.Receipt) {
	t.Helper()
	body, err := r.Body.Marshal()
	must(t, err)
	salt := sha256.Sum256([]byte("salt"))
	r.Salt = salt[:]
	var hashes []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, x := range indexes {
			out[i] = hashes[x]
		}
		return out, nil
	})
	size := int64(w.Leaves) + 3
	for i := range size {
		leaf := checkpoint.Leaf(r.Salt, []byte{byte(i)})
		if i == r.Index {
			leaf = checkpoint.Leaf(r.Salt, body)
		}
		more, err := tlog.StoredHashes(i, leaf, reader)
		must(t, err)
		hashes = append(hashes, more...)
	}
	root, err := tlog.TreeHash(size, reader)
	must(t, err)
	proof, err := tlog.ProveRecord(size, r.Index, reader)
	must(t, err)
	r.Proof = nil
	for _, h := range proof {
		r.Proof = append(r.Proof, h[:])
	}
	signed, err := note.Sign(&note.Note{Text: checkpoint.Text(Ledger, size, root)}, append([]note.Signer{w.signer(t)}, w.Cosign...)...)
	must(t, err)
	r.Checkpoint = string(signed)
}

// signer signs checkpoints by the log key.
func (w *World) signer(t testing.TB) note.Signer {
	t.Helper()
	v, err := checkpoint.LogVerifier(Ledger, w.Log.Public())
	must(t, err)
	return logSigner{Verifier: v, key: w.Log}
}

type logSigner struct {
	note.Verifier
	key key.Private
}

func (s logSigner) Sign(msg []byte) ([]byte, error) { return s.key.Sign(msg), nil }

func newKey(t testing.TB) key.Private {
	t.Helper()
	k, err := key.Generate()
	must(t, err)
	return k
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
