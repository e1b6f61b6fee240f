package state_test

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/cockroachdb/datadriven"

	"concordat.dev/coordinator/state"
	"concordat.dev/policies/budget"
	"concordat.dev/policies/mechanism"
	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/key"
	"concordat.dev/protocol/statement"
)

var ledger = strings.Repeat("ab", 16)

// script drives one machine. Keys are derived from names, so that every digest in a script's output is stable.
type script struct {
	t     *testing.T
	m     *state.Machine
	index uint64
	now   time.Time
	forms map[int]document.SignedForm
	also  func(kind string, now time.Time, body any) // hears of each command; nil: nobody does
}

func TestScripts(t *testing.T) {
	logged := map[string]bool{}
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		s := &script{t: t, m: state.New(), now: begun, forms: map[int]document.SignedForm{}}
		datadriven.RunTest(t, path, func(_ *testing.T, d *datadriven.TestData) string { return s.run(d) })
		for i := range s.m.Tree().Size() {
			e, _ := s.m.Entry(i)
			logged[e.Kind] = true
		}
	})
	for _, kind := range []string{
		"found", "propose", "approve", "activate", "reject", "pause", "resume", "revoke", "offboard", "leave", "approve_plan",
		"dataset", "reject_upload", "forget_upload", "delete", "reserve", "fail", "release", "budget_level", "hand_over", "inherit",
	} {
		if !logged[kind] {
			t.Errorf("no script has a leaf of the kind %s", kind)
		}
	}
}

func (s *script) run(d *datadriven.TestData) string {
	switch d.Cmd {
	case "init":
		return s.apply("init", state.Init{Ledger: ledger, Founders: []string{name(d, "founder")}, Mesh: running()})
	case "time":
		by, err := time.ParseDuration(text(d, "by"))
		must(s.t, err)
		s.now = s.now.Add(by)
		return ""
	case "propose":
		return s.propose(d)
	case "approve":
		return s.apply("approve", state.Approve{Collaboration: "room", Approval: s.says(d, statement.Approve)})
	case "say":
		return s.apply("statement", state.Statement{Collaboration: "room", Statement: s.says(d, statement.Action(text(d, "action")))})
	case "open-upload":
		return s.apply("open_upload", state.OpenUpload{Upload: s.upload(d)})
	case "open-uploads":
		return s.openUploads(d)
	case "close-upload":
		return s.closeUpload(d)
	case "delete":
		return s.apply("delete", state.Delete{
			Collaboration: "room", Dataset: text(d, "dataset"), Version: uint32(number(d, "dataset-version", 1)), Statement: s.says(d, statement.Delete),
		})
	case "reserve":
		return s.reserve(d)
	case "record":
		return s.apply("record", state.Record{
			Query: text(d, "id"), Body: []byte("receipt of " + text(d, "id")), Object: text(d, "object"), Digest: canon.Sum([]byte(text(d, "object"))),
			Held: text(d, "held"), Lost: text(d, "lost"),
		})
	case "fail":
		return s.apply("fail", state.Fail{Query: text(d, "id"), Incident: "i"})
	case "manifest":
		return s.manifestView(number(d, "version", 0))
	case "balance":
		return s.balance(text(d, "owner"))
	case "cosign":
		return s.cosign(d)
	case "demand":
		return s.demand(number(d, "version", 1))
	case "expire":
		return s.apply("expire", state.Expire{})
	case "due":
		return fmt.Sprintln(s.m.Due(s.now))
	case "plans":
		return s.plans()
	case "note":
		return s.apply("note", state.NoteDown{Note: state.Note{ID: text(d, "id"), Collaboration: "room", Kind: "denied", Person: text(d, "person")}})
	case "log":
		return s.log()
	case "restore":
		return s.restore()
	case "prepare-handover", "hand-over", "take-over":
		return s.handover(d)
	default:
		s.t.Fatalf("%s: unknown command %s", d.Pos, d.Cmd)
		return ""
	}
}

// apply sends a command, twice: the second one must change nothing and tell the same.
func (s *script) apply(kind string, body any) string {
	s.t.Helper()
	if s.also != nil {
		s.also(kind, s.now, body)
	}
	raw, err := json.Marshal(body)
	must(s.t, err)
	salt := sha256.Sum256(fmt.Append(nil, s.index))
	command, err := json.Marshal(state.Command{
		V: 1, Kind: kind, ID: fmt.Sprint("command ", s.index), Time: s.now.UnixMilli(), Salt: salt[:], Body: raw,
	})
	must(s.t, err)
	s.index++
	agreed, leaves := s.agreed(), s.m.Tree().Size()
	first := s.m.Apply(s.index, [][]byte{command})[0]()
	entries := s.m.Tree().Size()
	settles := kind == "settle_nodes" // that raft has done what a leaf said
	if now := s.agreed(); entries == leaves && now != agreed && !settles {
		s.t.Errorf("%s changed the state without a leaf:\n%s\n%s", kind, agreed, now)
	}
	s.index++
	if again := s.m.Apply(s.index, [][]byte{command})[0](); !bytes.Equal(first, again) || s.m.Tree().Size() != entries {
		s.t.Errorf("a command that came twice was applied twice:\n%s\n%s", first, again)
	}
	var data json.RawMessage
	if kind == "reserve" {
		var r state.Reserved
		_, err = state.Told(first, &r)
		data, _ = json.Marshal(r)
	} else {
		_, err = state.Told(first, &data)
	}
	var rejected *state.Rejection
	if errors.As(err, &rejected) {
		return fmt.Sprintf("%s: %s\n", rejected.Kind, rejected.Message)
	}
	must(s.t, err)
	return summary(kind, data) + "\n"
}

func (s *script) agreed() string {
	b, err := s.m.Agreed()
	must(s.t, err)
	return string(b)
}

// summary shows of a result what the scripts are about.
func summary(kind string, data []byte) string {
	var v struct {
		Collaboration, Object, State, Message string
		Version                               uint32
		Receipt, Size                         int64
		Query                                 struct {
			ID, Status, PaidBy string
			Price              []state.Price
		}
		Answer    *struct{ ID string }
		Short     *state.Shortage
		Objects   []string
		Destroyed []string
		ID        string
		Status    string
		PaidBy    string `json:"paid_by"`
	}
	_ = json.Unmarshal(data, &v) //nolint:errcheck // results differ; what fits is shown
	switch kind {
	case "cosign":
		return string(data)
	case "reserve":
		if v.Short != nil {
			return "short: " + v.Short.Message
		}
		var r state.Reserved
		_ = json.Unmarshal(data, &r)
		if len(r.Review) > 0 {
			return fmt.Sprintf("approval of the plan missing: %v", r.Review)
		}
		out := fmt.Sprintf("%s %s, paid by %s:", r.Query.ID, r.Query.Status, r.Query.PaidBy)
		for _, p := range r.Query.Price {
			out += fmt.Sprintf(" %s %g (before %g)", p.Owner, p.Amount.Rho.Float(), p.Before.Float())
		}
		if r.Answer != nil {
			out += "; answered by " + r.Answer.ID
		}
		return out
	case "record":
		var r state.Recorded
		_ = json.Unmarshal(data, &r)
		return fmt.Sprintf("%s %s at %d of %d, object %s", r.Query.ID, r.Query.Status, r.Receipt, r.Size, r.Query.Object)
	case "open_upload", "close_upload":
		return fmt.Sprintf("%s %s version %d", v.ID, v.State, v.Version)
	case "note":
		return string(data)
	case "delete", "expire":
		return fmt.Sprintf("destroyed %v", v.Objects)
	case "fail":
		return v.ID + " " + v.Status
	case "init":
		return "ok"
	default:
		return strings.TrimSuffix(fmt.Sprintf("%s version %d %v", v.Collaboration, v.Version, v.Destroyed), " []")
	}
}

func private(name string) key.Private {
	seed := sha256.Sum256([]byte(name))
	k, err := key.FromSeed(seed[:])
	if err != nil {
		panic(err)
	}
	return k
}

// propose builds the manifest of two owners with the options of the script, and proposes it.
func (s *script) propose(d *datadriven.TestData) string {
	version := number(d, "version", 1)
	pins := running()
	if d.HasArg("other-mesh") {
		pins.RootCertificate = canon.Sum([]byte("other")).String()
	}
	inherits := ""
	if to := text(d, "successor"); to != "" {
		pins = successor(to, d.HasArg("forgets"))
		inherits = fmt.Sprintf(", inherits: [%q]", pins.Inherits[0])
	}
	keys := func(role string) string {
		names := strings.Split(cmp.Or(text(d, role), role), "+")
		for i, n := range names {
			names[i] = fmt.Sprintf("%q", private(n).Public())
		}
		return strings.Join(names, ", ")
	}
	namespace := cmp.Or(text(d, "namespace"), "patient")
	third, people, datasets := "", "", ", {id: registry.events, owner: registry, policy: r.yaml}"
	if !d.HasArg("without-registry") {
		third = fmt.Sprintf(", {id: registry, name: R, keys: [%s]}", keys("registry"))
	}
	if d.HasArg("third") {
		third += fmt.Sprintf(", {id: %s, name: T, keys: [%s]}", text(d, "third"), keys(text(d, "third")))
	}
	for _, p := range strings.FieldsFunc(text(d, "people"), func(r rune) bool { return r == '+' }) {
		people += fmt.Sprintf(", {id: %s, participant: clinic, roles: [analyst], keys: [%q]}", p, private(p).Public())
	}
	if d.HasArg("without-registry") {
		datasets = ""
	}
	policy := func(dataset, owner string) *fstest.MapFile {
		release, budget := "mechanism: differential_privacy, min_units: 10", "rho: 1, delta: 1e-6, period: 30d, lifetime_rho: 3"
		if text(d, "threshold") == owner {
			release, budget = "mechanism: threshold, min_units: 10", "queries: 200"
		}
		if k := text(d, owner+"-min-units"); k != "" {
			release = strings.Replace(release, "10", k, 1)
		}
		if share := text(d, "share"); share != "" {
			budget += ", per_person_share: " + share
		}
		kept := ""
		if day := text(d, owner+"-until"); day != "" {
			kept = ", expires: " + day
		}
		return &fstest.MapFile{Data: fmt.Appendf(nil, `{apiVersion: concordat.dev/v1, kind: Policy, dataset: %s, owner: %s,
unit: {column: id, namespace: %s, unique: true}, columns: {id: {type: varchar, role: identifier}}, aggregates: [count],
release: {%s}, budget: {%s}%s}`, dataset, owner, namespace, release, budget, kept)}
	}
	b, err := document.LoadFS(fstest.MapFS{
		"manifest.yaml": &fstest.MapFile{Data: fmt.Appendf(nil, `
{apiVersion: concordat.dev/v1, kind: Manifest, collaboration: room, version: %d, purpose: %s, expires: %s,
participants: [{id: clinic, name: C, keys: [%s]}%s],
people: [{id: dana, participant: clinic, roles: [steward], keys: [%q]}%s], %s
namespaces: {%s: {normalize: trim}}, %s
datasets: [{id: clinic.patients, owner: clinic, policy: c.yaml}%s],
mesh: {mode: simulation, marblerun_manifest: %q, root_certificate: %q, coordinator: %q, ledger: %q%s}}`,
			version, cmp.Or(text(d, "purpose"), "testing"), cmp.Or(text(d, "expires"), "2030-12-31"), keys("clinic"), third,
			private(cmp.Or(text(d, "dana"), "dana")).Public(), people, options(d), namespace, s.witnesses(d), datasets, pins.MarbleRunManifest, pins.RootCertificate, pins.Coordinator, pins.Ledger, inherits)},
		"c.yaml": policy("clinic.patients", "clinic"), "r.yaml": policy("registry.events", "registry"),
	})
	must(s.t, err)
	form, err := b.Signable()
	must(s.t, err)
	if d.HasArg("tamper") {
		form.Policies[0] = bytes.Replace(form.Policies[0], []byte(`"min_units":10`), []byte(`"min_units":01`), 1)
	}
	s.forms[version] = form
	return s.apply("propose", state.Propose{Manifest: form.Manifest, Policies: form.Policies, Proposal: s.says(d, statement.Propose)})
}

// says signs a statement about the manifest of version (or, to delete, about a sealed file) as by.
func (s *script) says(d *datadriven.TestData, action statement.Action) []byte {
	version := number(d, "version", 1)
	said := statement.Statement{Action: action, Ledger: ledger, Collaboration: "room", Version: version, Subject: s.forms[version].Digest()}
	if o := text(d, "ledger"); o != "" {
		said.Ledger = strings.Repeat(o, 16)
	}
	if o := text(d, "collaboration"); o != "" {
		said.Collaboration = o
	}
	if action == statement.Offboard {
		said.Person = text(d, "person")
	}
	if action == statement.ApprovePlan {
		said.Subject = canon.Sum([]byte(text(d, "plan")))
	}
	if action == statement.Delete {
		said.Subject = canon.Sum([]byte(text(d, "sealed")))
	}
	if action != statement.Propose && action != statement.Approve {
		said.Nonce, said.Issued, said.Reason = strings.Repeat(cmp.Or(text(d, "nonce"), "0"), 16), s.now.Format(time.RFC3339), "because"
	}
	var signers []key.Private
	for _, n := range strings.Split(text(d, "by"), "+") {
		signers = append(signers, private(n))
	}
	e, err := statement.Sign(said, signers...)
	must(s.t, err)
	if d.HasArg("forge") {
		e.Signatures[0].Sig[0] ^= 1
	}
	raw, err := e.Marshal()
	must(s.t, err)
	return raw
}

func (s *script) upload(d *datadriven.TestData) state.Upload {
	dataset := text(d, "dataset")
	return state.Upload{
		ID: text(d, "id"), Collaboration: "room", Dataset: dataset, Version: uint32(number(d, "dataset-version", 1)), Key: text(d, "key"),
		Participant: cmp.Or(text(d, "as"), strings.Split(dataset, ".")[0]), Person: "dana", Manifest: s.forms[number(d, "version", 1)].Digest(),
		IdentityWrap: []byte("wrap"), Recipient: []byte("recipient"),
	}
}

func (s *script) closeUpload(d *datadriven.TestData) string {
	c := state.CloseUpload{Upload: text(d, "id"), Report: []byte("report")}
	if !d.HasArg("reject") {
		c.Sealed = &state.DatasetVersion{Digest: canon.Sum([]byte(text(d, "id"))).String(), Objects: []string{"o/" + text(d, "id")}, Wrap: []byte("w")}
	}
	return s.apply("close_upload", c)
}

func (s *script) reserve(d *datadriven.TestData) string {
	q := state.Query{
		ID: text(d, "id"), Collaboration: "room", Person: cmp.Or(text(d, "person"), "ann"), Participant: "clinic", Key: text(d, "key"),
		Request: canon.Sum([]byte(text(d, "question") + text(d, "rho"))), Question: canon.Sum([]byte(text(d, "question"))).String(), Plan: canon.Sum([]byte(cmp.Or(text(d, "plan"), "p"))).String(),
		Manifest: s.forms[number(d, "version", 1)].Digest(), Owners: []string{"clinic", "registry"},
	}
	rho := 0.1
	if r := text(d, "rho"); r != "" {
		_, err := fmt.Sscan(r, &rho)
		must(s.t, err)
	}
	for _, owner := range []string{"clinic", "registry"} {
		q.Price = append(q.Price, state.Price{
			Owner: owner, Namespace: cmp.Or(text(d, "namespace"), "patient"), Amount: budget.Amount{Rho: mechanism.FromFloat(rho)},
		})
	}
	for _, id := range []string{"clinic.patients", "registry.events"} {
		if v, ok := s.m.Dataset("room", id).Current(); ok && !d.HasArg("no-data") {
			if d.HasArg("outdated") {
				v.Version--
			}
			q.Datasets = append(q.Datasets, state.DatasetRef{Dataset: id, Version: v.Version, Digest: v.Digest})
		}
	}
	return s.apply("reserve", state.Reserve{Query: q})
}

func (s *script) manifestView(version int) string {
	m, ok := s.m.Manifest("room", version)
	if !ok {
		return "none\n"
	}
	out := fmt.Sprintf("version %d %s, signed %v, missing %v, paused by %v, %q\n",
		m.Bundle.Manifest.Version, m.Status, m.Signed, m.Missing, m.PausedBy, m.Rejection)
	if m.By != "" {
		out += fmt.Sprintf("by %s over version %d\n", m.By, m.Base.Bundle.Manifest.Version)
	}
	if !m.NotBefore.IsZero() {
		out += "not before " + m.NotBefore.Format(time.RFC3339) + "\n"
	}
	if len(m.Off)+len(m.Left) > 0 {
		out += fmt.Sprintf("off %v, left %v\n", m.Off, m.Left)
	}
	return out
}

func (s *script) plans() string {
	var out strings.Builder
	for _, p := range s.m.Plans("room") {
		fmt.Fprintf(&out, "%.12s asked by %q, approved %v, missing %v\n", p.Digest, p.Person, p.Approved, p.Missing(p.Owners))
	}
	return out.String()
}

// options are the sections of a manifest that say who may do what.
func options(d *datadriven.TestData) string {
	var out strings.Builder
	if d.HasArg("tightening") {
		out.WriteString("amendments: {tightening: owner}, ")
	}
	if d.HasArg("recovery") {
		out.WriteString("amendments: {recovery: others}, ")
	}
	if d.HasArg("review") {
		out.WriteString("review: plan, ")
	}
	return out.String()
}

func (s *script) balance(owner string) string {
	var out strings.Builder
	for _, b := range s.m.Balances("room", "ann") {
		if b.Owner == owner {
			fmt.Fprintf(&out, "%s %s: spent %g, left %g, epsilon %.4f\n", b.Owner, b.Namespace, b.Spent.Rho.Float(), b.Left.Rho.Float(), *b.Epsilon)
		}
	}
	return out.String()
}

func (s *script) log() string {
	var out strings.Builder
	for _, e := range s.m.Entries("room", 0, 1000) {
		fmt.Fprintf(&out, "%d %s %s\n", e.Index, e.Kind, e.At.Format(time.RFC3339))
	}
	root, err := s.m.Tree().Root(s.m.Tree().Size())
	must(s.t, err)
	fmt.Fprintf(&out, "size %d root %s\n", s.m.Tree().Size(), root)
	return out.String()
}

// restore goes on with a machine that was restored from a snapshot, which must snapshot to the same bytes.
func (s *script) restore() string {
	before := s.snapshot(s.m)
	s.m = state.New()
	index, err := s.m.Restore(bytes.NewReader(before))
	must(s.t, err)
	if index != s.index {
		s.t.Errorf("restored index %d, want %d", index, s.index)
	}
	if after := s.snapshot(s.m); !bytes.Equal(before, after) {
		s.t.Errorf("a restored state differs:\n%s\n%s", before, after)
	}
	return "same\n"
}

func (s *script) snapshot(m *state.Machine) []byte {
	write, err := m.Snapshot()
	must(s.t, err)
	var b bytes.Buffer
	must(s.t, write(&b))
	return b.Bytes()
}

func text(d *datadriven.TestData, arg string) string {
	if !d.HasArg(arg) {
		return ""
	}
	var v string
	d.ScanArgs(&testing.T{}, arg, &v)
	return v
}

func name(d *datadriven.TestData, arg string) string { return private(text(d, arg)).Public().String() }

func number(d *datadriven.TestData, arg string, otherwise int) int {
	if t := text(d, arg); t != "" {
		_, _ = fmt.Sscan(t, &otherwise)
	}
	return otherwise
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
