package server

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"connectrpc.com/connect"
	"filippo.io/age"
	"golang.org/x/mod/sumdb/tlog"

	"concordat.dev/policies/approval"
	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/checkpoint"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/dsse"
	"concordat.dev/protocol/evidence"
	"concordat.dev/protocol/evidence/sgx"
	"concordat.dev/protocol/fault"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/gen/concordat/v1/concordatv1connect"
	"concordat.dev/protocol/handover"
	"concordat.dev/protocol/key"
	"concordat.dev/protocol/marble"
	"concordat.dev/worker/admit"
	"concordat.dev/worker/storage"
)

var _ concordatv1connect.WorkerHandoverServiceHandler = service{}

// errAgreed is why nothing is handed over.
var errAgreed = errors.New("not agreed by all participants for one successor")

// MakeHeir makes the identity to which a mesh before seals what workers need; its private half leaves the enclave wrapped only.
func (s service) MakeHeir(context.Context, *connect.Request[concordatv1.MakeHeirRequest]) (*connect.Response[concordatv1.MakeHeirResponse], error) {
	out, err := s.makeHeir()
	if err != nil {
		return nil, connectError(fault.New("make heir", fault.Internal, err))
	}
	return connect.NewResponse(out), nil
}

func (s *Server) makeHeir() (*concordatv1.MakeHeirResponse, error) {
	id, err := age.GenerateHybridIdentity()
	if err != nil {
		return nil, err
	}
	signed, err := handover.SignHeir(marble.Worker, id.Recipient(), s.identity.Certificate)
	if err != nil {
		return nil, err
	}
	out := &concordatv1.MakeHeirResponse{}
	if out.Offer, err = signed.Marshal(); err != nil {
		return nil, err
	}
	out.IdentityWrap, err = s.secrets.Wrap(storage.HeirIdentity, storage.Binding{}, []byte(id.String()))
	return out, err
}

// Bequeath seals keys to a successor: those of the collaborations whose participants all signed a version that pins it, and of no others.
func (s service) Bequeath(_ context.Context, req *connect.Request[concordatv1.BequeathRequest]) (*connect.Response[concordatv1.BequeathResponse], error) {
	const op = "bequeath"
	sealed, err := s.bequeath(req.Msg)
	if err != nil {
		return nil, connectError(fault.New(op, fault.Forbidden, err))
	}
	return connect.NewResponse(&concordatv1.BequeathResponse{Sealed: sealed}), nil
}

func (s *Server) bequeath(m *concordatv1.BequeathRequest) ([]byte, error) {
	successor, err := handover.ParseSuccessor(m.GetSuccessor())
	if err != nil {
		return nil, err
	}
	root, err := x509.ParseCertificate(successor.Root)
	if err != nil {
		return nil, err
	}
	if len(m.GetBequests()) == 0 {
		return nil, fmt.Errorf("%w: no collaboration is named", errAgreed)
	}
	var pins *document.Mesh
	e := handover.WorkerEstate{Keys: map[string][][]byte{}}
	for _, b := range m.GetBequests() {
		agreed, keys, err := s.bequest(b, root)
		if err != nil {
			return nil, err
		}
		if pins == nil {
			pins = agreed.Bundle.Manifest.Mesh
		}
		if !approval.SameMesh(pins, agreed.Bundle.Manifest.Mesh) || pins.Ledger != m.GetLedger() {
			return nil, fmt.Errorf("%w: %s pins another mesh than the others", errAgreed, agreed.Bundle.Manifest.Collaboration)
		}
		e.Keys[agreed.Founding.String()] = keys.roots
		e.Roots = nil
		for _, c := range append(slices.Clone(keys.before), s.mesh.Root) {
			e.Roots = append(e.Roots, c.Raw)
		}
	}
	verifiers, err := verifiers()
	if err != nil {
		return nil, err
	}
	to, err := successor.Check(*pins, verifiers, time.Now())
	if err != nil {
		return nil, err
	}
	e.Ledger, e.To = pins.Ledger, canon.Sum(root.Raw)
	if !slices.Equal(e.Lineage(), pins.Inherits) {
		return nil, fmt.Errorf("%w: mesh.inherits has to be %v", errAgreed, e.Lineage())
	}
	seen, err := s.ledgers.Newest(e.Ledger)
	if err != nil {
		return nil, err
	}
	if seen.Size > 0 {
		e.Size, e.Root = seen.Size, seen.Root[:]
	}
	return handover.SealWorker(e, s.identity.Certificate, to.Worker)
}

// bequest checks one collaboration: the version in force here, the one after it that pins the mesh with this root, and that all participants of both
// signed the latter.
func (s *Server) bequest(b *concordatv1.Bequest, root *x509.Certificate) (*admit.Documents, collaborationKeys, error) {
	var none collaborationKeys
	now, err := s.mesh.Documents(b.GetInForce())
	if err != nil {
		return nil, none, fmt.Errorf("version in force: %w", err)
	}
	m, err := document.ParseManifestJSON(b.GetAgreed().GetManifest())
	if err != nil || m.Mesh == nil {
		return nil, none, fmt.Errorf("%w: a manifest is missing: %w", errAgreed, err)
	}
	there := admit.Mesh{Mode: s.mesh.Mode, MarbleRunManifest: m.Mesh.MarbleRunManifest, Coordinator: m.Mesh.Coordinator, Root: root}
	next, err := there.Documents(b.GetAgreed())
	if err != nil {
		return nil, none, fmt.Errorf("version that pins the successor: %w", err)
	}
	was, is := now.Bundle.Manifest, next.Bundle.Manifest
	if is.Collaboration != was.Collaboration || is.Version != was.Version+1 || next.Founding != now.Founding || is.Mesh.Ledger != was.Mesh.Ledger || b.GetAgreed().GetPrevious() != nil {
		return nil, none, fmt.Errorf("%w: %s version %d is not what follows %s version %d", errAgreed, is.Collaboration, is.Version, was.Collaboration, was.Version)
	}
	if !approval.Succeeds(is.Mesh, *was.Mesh) {
		return nil, none, fmt.Errorf("%w: %s version %d pins no successor of this mesh", errAgreed, is.Collaboration, is.Version)
	}
	var signers []key.Public
	for _, raw := range b.GetAgreed().GetApprovals() {
		envelope, err := dsse.Parse(raw)
		if err != nil {
			return nil, none, err
		}
		by, err := approval.Approve(envelope, is, was, next.Digest)
		if err != nil {
			return nil, none, err
		}
		signers = append(signers, by...)
	}
	if status := approval.StatusOf(is, was, signers); !status.Complete() {
		return nil, none, fmt.Errorf("%w: %s version %d lacks %v", errAgreed, is.Collaboration, is.Version, status.Missing)
	}
	keys, err := s.keys(now, b.GetInForce())
	return next, keys, err
}

func verifiers() ([]evidence.Verifier, error) {
	v, err := sgx.New()
	if err != nil {
		return nil, err
	}
	return []evidence.Verifier{v}, nil
}

// Inherit opens what workers of another mesh handed over and seals it for those of this one. That it is the mesh which participants signed for
// is checked with each use, against the manifest that is used.
func (s service) Inherit(_ context.Context, req *connect.Request[concordatv1.InheritRequest]) (*connect.Response[concordatv1.InheritResponse], error) {
	out, err := s.inherit(req.Msg)
	if err != nil {
		return nil, connectError(fault.New("inherit", fault.Forbidden, err))
	}
	return connect.NewResponse(out), nil
}

func (s *Server) inherit(m *concordatv1.InheritRequest) (*concordatv1.InheritResponse, error) {
	secret, err := s.secrets.Unwrap(storage.HeirIdentity, storage.Binding{}, m.GetIdentityWrap())
	if err != nil {
		return nil, err
	}
	id, err := age.ParseHybridIdentity(string(secret))
	if err != nil {
		return nil, err
	}
	e, err := handover.OpenWorker(m.GetSealed(), id, s.mesh.RootDigest(), m.GetLedger())
	if err != nil {
		return nil, err
	}
	plain, err := canon.Marshal(e)
	if err != nil {
		return nil, err
	}
	out := &concordatv1.InheritResponse{}
	for founding := range e.Keys {
		out.Foundings = append(out.Foundings, founding)
	}
	slices.Sort(out.Foundings)
	out.Inheritance, err = s.secrets.Wrap(storage.Inheritance, inheritanceOf(e.Ledger), plain)
	return out, err
}

// follow goes on from what the workers before saw of the ledger.
func (s *Server) follow(e handover.WorkerEstate) error {
	if e.Size == 0 {
		return nil
	}
	if len(e.Root) != tlog.HashSize {
		return fmt.Errorf("inherited checkpoint of %d bytes", len(e.Root))
	}
	return s.ledgers.Begin(e.Ledger, checkpoint.Checkpoint{Size: e.Size, Root: tlog.Hash(e.Root)})
}
