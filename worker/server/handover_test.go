package server_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"filippo.io/age"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/gen/concordat/v1/concordatv1connect"
	"concordat.dev/protocol/handover"
	"concordat.dev/protocol/key"
	"concordat.dev/protocol/marble"
	"concordat.dev/protocol/statement"
)

// calls that concern a handover, as a coordinator of the worker's mesh.
func (w *world) heirs() concordatv1connect.WorkerHandoverServiceClient {
	transport := &http.Transport{TLSClientConfig: w.mesh.Identity(w.t, marble.Coordinator).ClientTLS(marble.Worker), ForceAttemptHTTP2: true}
	w.t.Cleanup(transport.CloseIdleConnections)
	return concordatv1connect.NewWorkerHandoverServiceClient(&http.Client{Transport: transport}, "https://"+w.cfg.Listen)
}

// successor is what another mesh tells of itself, with the recipient that its worker made.
func (w *world) successor() (handover.Successor, *concordatv1.MakeHeirResponse) {
	t := w.t
	made := must[*connect.Response[concordatv1.MakeHeirResponse]](t)(w.heirs().MakeHeir(t.Context(), connect.NewRequest(&concordatv1.MakeHeirRequest{})))
	identity := w.mesh.Identity(t, marble.Coordinator)
	id := must[*age.HybridIdentity](t)(age.GenerateHybridIdentity())
	s := handover.Successor{Root: identity.Root.Raw, MarbleRun: identity.Manifest, Worker: parseEndorsement(t, made.Msg.GetOffer())}
	var err error
	if s.Coordinator, err = handover.SignHeir(marble.Coordinator, id.Recipient(), identity.Certificate); err != nil {
		t.Fatal(err)
	}
	return s, made.Msg
}

// next is the version after the world's manifest, changed, and signed by some.
func (w *world) next(to handover.Successor, change func(*document.Manifest), by ...key.Private) *concordatv1.Documents {
	t := w.t
	before := w.bundle.Manifest
	m := *before
	m.Version++
	mesh := *before.Mesh
	mesh.RootCertificate, mesh.MarbleRunManifest = canon.Sum(to.Root).String(), canon.Sum(to.MarbleRun).String()
	mesh.Inherits = []string{before.Mesh.RootCertificate}
	m.Mesh, m.Participants, m.Datasets = &mesh, slices.Clone(before.Participants), slices.Clone(before.Datasets)
	if change != nil {
		change(&m)
	}
	for i := range m.Datasets {
		m.Datasets[i].PolicyDigest, m.Datasets[i].Policy = "", "policies/"+m.Datasets[i].ID+".yaml"
	}
	bundle := document.Bundle{Manifest: &m, Policies: w.bundle.Policies}
	form := must[document.SignedForm](t)(bundle.Signable())
	out := &concordatv1.Documents{Manifest: form.Manifest, Policies: form.Policies, Founding: canon.Sum(w.documents().GetManifest()).String()}
	for _, k := range by {
		signed := must[interface{ Marshal() ([]byte, error) }](t)(statement.Sign(statement.Statement{
			Action: statement.Approve, Ledger: m.Mesh.Ledger, Collaboration: m.Collaboration, Version: m.Version, Subject: form.Digest(),
		}, k))
		out.Approvals = append(out.Approvals, must[[]byte](t)(signed.Marshal()))
	}
	return out
}

// Keys leave a worker for the mesh that all participants signed for, and for no other; what it seals opens there alone.
func TestBequeath(t *testing.T) {
	w, n, other := newWorld(t), newWorld(t), newWorld(t)
	to, made := n.successor()
	foreign, _ := other.successor()
	stranger := must[key.Private](t)(key.Generate())
	raw := func(s handover.Successor) []byte { return must[[]byte](t)(s.Marshal()) }
	bequeath := func(s handover.Successor, inForce, agreed *concordatv1.Documents) ([]byte, error) {
		r, err := w.heirs().Bequeath(t.Context(), connect.NewRequest(&concordatv1.BequeathRequest{
			Successor: raw(s), Ledger: ledger, Bequests: []*concordatv1.Bequest{{InForce: inForce, Agreed: agreed}},
		}))
		if err != nil {
			return nil, err
		}
		return r.Msg.GetSealed(), nil
	}
	sealed, err := bequeath(to, w.documents(), w.next(to, nil, w.clinic))
	if err != nil {
		t.Fatal(err)
	}
	taken, err := n.heirs().Inherit(t.Context(), connect.NewRequest(&concordatv1.InheritRequest{IdentityWrap: made.GetIdentityWrap(), Sealed: sealed, Ledger: ledger}))
	if err != nil || !slices.Equal(taken.Msg.GetFoundings(), []string{canon.Sum(w.documents().GetManifest()).String()}) {
		t.Fatal(taken, err)
	}
	for name, by := range map[string]*world{"the mesh that hands over": w, "another mesh": other} {
		_, wrap := by.successor()
		if _, err := by.heirs().Inherit(t.Context(), connect.NewRequest(&concordatv1.InheritRequest{IdentityWrap: wrap.GetIdentityWrap(), Sealed: sealed, Ledger: ledger})); err == nil {
			t.Errorf("%s inherits", name)
		}
	}
	mixed := to
	mixed.Worker = foreign.Worker
	forged := w.next(to, nil, w.clinic)
	forged.Founding = canon.Sum([]byte("another collaboration of this name")).String()
	alone := func(m *document.Manifest) {
		m.Participants = []document.Participant{{ID: "clinic", Name: "Clinic", Keys: []string{stranger.Public().String()}}}
	}
	for name, c := range map[string]struct {
		to              handover.Successor
		inForce, agreed *concordatv1.Documents
		want            string
	}{
		"signed by nobody":             {to, w.documents(), w.next(to, nil), "not signed by clinic"},
		"signed by a stranger":         {to, w.documents(), w.next(to, nil, stranger), "not signed by clinic"},
		"by new keys alone":            {to, w.documents(), w.next(to, alone, stranger), "lacks [clinic]"},
		"another mesh than signed for": {foreign, w.documents(), w.next(to, nil, w.clinic), "root_certificate"},
		"a worker of another mesh":     {mixed, w.documents(), w.next(to, nil, w.clinic), "recipient of its workers"},
		"a version is left out":        {to, w.documents(), w.next(to, func(m *document.Manifest) { m.Version++ }, w.clinic), "not what follows"},
		"another collaboration":        {to, w.documents(), w.next(to, func(m *document.Manifest) { m.Collaboration = "other" }, w.clinic), "not what follows"},
		"another ledger":               {to, w.documents(), w.next(to, func(m *document.Manifest) { m.Mesh.Ledger = strings.Repeat("ab", 16) }, w.clinic), "not what follows"},
		"another founding":             {to, w.documents(), forged, "not what follows"},
		"does not name this mesh":      {to, w.documents(), w.next(to, func(m *document.Manifest) { m.Mesh.Inherits = nil }, w.clinic), "pins no successor"},
		"names a mesh too many": {to, w.documents(), w.next(to, func(m *document.Manifest) {
			m.Mesh.Inherits = append([]string{canon.Sum(nil).String()}, m.Mesh.Inherits...)
		}, w.clinic), "mesh.inherits has to be"},
		"another mode":                   {to, w.documents(), w.next(to, func(m *document.Manifest) { m.Mesh.Mode = "sgx" }, w.clinic), "mesh.mode"},
		"in force on another mesh":       {to, n.documents(), w.next(to, nil, w.clinic), "version in force"},
		"this mesh as its own heir":      {to, w.documents(), w.documents(), "version that pins the successor"},
		"what is in force is not signed": {to, &concordatv1.Documents{Manifest: w.documents().GetManifest(), Policies: w.documents().GetPolicies()}, w.next(to, nil, w.clinic), "not signed by clinic"},
	} {
		if _, err := bequeath(c.to, c.inForce, c.agreed); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := w.heirs().Bequeath(t.Context(), connect.NewRequest(&concordatv1.BequeathRequest{Successor: raw(to), Ledger: ledger})); err == nil {
		t.Error("handed over without any collaboration")
	}
}

// A manifest that names meshes before this one is executed with what they handed over, or not at all.
func TestNothingWithoutWhatWasInherited(t *testing.T) {
	w, n := newWorld(t), newWorld(t)
	to, made := n.successor()
	signed := must[*connect.Response[concordatv1.BequeathResponse]](t)(w.heirs().Bequeath(t.Context(), connect.NewRequest(&concordatv1.BequeathRequest{
		Successor: must[[]byte](t)(to.Marshal()), Ledger: ledger, Bequests: []*concordatv1.Bequest{{InForce: w.documents(), Agreed: w.next(to, nil, w.clinic)}},
	})))
	taken := must[*connect.Response[concordatv1.InheritResponse]](t)(n.heirs().Inherit(t.Context(), connect.NewRequest(&concordatv1.InheritRequest{
		IdentityWrap: made.GetIdentityWrap(), Sealed: signed.Msg.GetSealed(), Ledger: ledger,
	})))
	here := func(m *document.Manifest) { m.Mesh.MarbleRunManifest = n.bundle.Manifest.Mesh.MarbleRunManifest } // as the worker is configured
	open := func(inheritance []byte, change func(*document.Manifest)) error {
		d := w.next(to, func(m *document.Manifest) {
			here(m)
			if change != nil {
				change(m)
			}
		}, w.clinic)
		d.Inheritance = inheritance
		_, err := n.client.OpenUpload(t.Context(), connect.NewRequest(&concordatv1.WorkerOpenUploadRequest{Documents: d, Dataset: dataset, Version: 1, UploadId: "u"}))
		return err
	}
	if err := open(taken.Msg.GetInheritance(), nil); err != nil {
		t.Fatal(err)
	}
	bent := slices.Clone(taken.Msg.GetInheritance())
	bent[len(bent)-1] ^= 1
	for name, err := range map[string]error{
		"missing":       open(nil, nil),
		"changed":       open(bent, nil),
		"other lineage": open(taken.Msg.GetInheritance(), func(m *document.Manifest) { m.Mesh.Inherits = []string{canon.Sum(nil).String()} }),
	} {
		if err == nil || !strings.Contains(err.Error(), "the meshes from which this one inherits") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
