package server

import (
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/fault"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/handover"
	"concordat.dev/worker/admit"
	"concordat.dev/worker/noise"
	"concordat.dev/worker/storage"
)

// collaborationLabel derives the root of one collaboration's keys from the workers' secret; ledger and the digest of the collaboration's first
// manifest follow. So nothing that is handed over for one collaboration opens another, whatever it calls itself.
const collaborationLabel = "concordat/v1/collaboration"

// noiseLabel derives the key of all noise from the root of a collaboration.
const noiseLabel = "concordat/v1/noise"

// errInherited is told where a manifest names other meshes before this one than those that handed over to it.
var errInherited = errors.New("the manifest does not name the meshes from which this one inherits")

// collaborationKeys are the keys of one collaboration. Tokens and noise derive from the root of the mesh that it was founded on, so that a
// handover changes neither; wraps are made under this mesh's own.
type collaborationKeys struct {
	roots   [][]byte // of all meshes so far, oldest first; this mesh's own last
	wrapper *storage.Wrapper
	noise   noise.Key
	before  []*x509.Certificate // MarbleRun roots of the meshes before
}

// tokens is what tokenizers derive from.
func (k collaborationKeys) tokens() []byte { return k.roots[0] }

// keys gives the keys of the collaboration whose documents were admitted. What a mesh before handed over comes with the request, sealed.
func (s *Server) keys(d *admit.Documents, raw *concordatv1.Documents) (collaborationKeys, error) {
	var k collaborationKeys
	mesh := d.Bundle.Manifest.Mesh
	own, err := s.identity.Derive(collaborationLabel+"\x00"+mesh.Ledger+"\x00"+d.Founding.String(), sha256.Size)
	if err != nil {
		return k, err
	}
	if len(mesh.Inherits) > 0 {
		e, err := s.inherited(raw.GetInheritance(), mesh.Ledger)
		if err != nil {
			return k, err
		}
		if !slices.Equal(e.Lineage(), mesh.Inherits) {
			return k, fault.Newf("keys", fault.Forbidden, "%w: it names %v, they are %v", errInherited, mesh.Inherits, e.Lineage())
		}
		k.roots = slices.Clone(e.Keys[d.Founding.String()])
		if k.before, err = e.Certificates(); err != nil {
			return k, err
		}
	}
	older := slices.Clone(k.roots)
	slices.Reverse(older)
	k.roots = append(k.roots, own)
	if k.wrapper, err = storage.NewWrapper(own, older...); err != nil {
		return k, err
	}
	secret, err := hkdf.Key(sha256.New, k.roots[0], nil, noiseLabel, len(k.noise))
	if err != nil {
		return k, fmt.Errorf("derive the noise key: %w", err)
	}
	k.noise = noise.Key(secret)
	return k, nil
}

// estates remembers what was inherited, by the digest of its sealed form.
type estates struct {
	mu   sync.Mutex
	open map[canon.Digest]handover.WorkerEstate
}

func inheritanceOf(ledger string) storage.Binding { return storage.Binding{Ledger: ledger} }

// inherited opens what a worker of this mesh sealed when the ledger was handed over to it.
func (s *Server) inherited(sealed []byte, ledger string) (handover.WorkerEstate, error) {
	s.estates.mu.Lock()
	defer s.estates.mu.Unlock()
	name := canon.Sum(sealed)
	if e, ok := s.estates.open[name]; ok && e.Ledger == ledger {
		return e, nil
	}
	plain, err := s.secrets.Unwrap(storage.Inheritance, inheritanceOf(ledger), sealed)
	if err != nil {
		return handover.WorkerEstate{}, fault.Newf("keys", fault.Forbidden, "%w: what they handed over is missing or not for this ledger", errInherited)
	}
	var e handover.WorkerEstate
	if err := canon.Unmarshal(plain, &e); err != nil {
		return e, err
	}
	if err := s.follow(e); err != nil {
		return e, err
	}
	s.estates.open = map[canon.Digest]handover.WorkerEstate{name: e} // a mesh inherits once
	return e, nil
}
