package api

import (
	"fmt"
	"slices"

	"concordat.dev/coordinator/seal"
	"concordat.dev/coordinator/state"
	"concordat.dev/protocol/canon"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/handover"
)

// What is sealed under the key of handovers.
const (
	estateContext = "estate"
	heirContext   = "heir"
)

// openEstate opens what this mesh inherited, if it did.
func (a *API) openEstate() error {
	e := a.State.Estate()
	if e == nil || a.held.Load() != nil {
		return nil
	}
	plain, err := a.Root.Key(seal.Handover).Open(e.Coordinator, estateContext)
	if err != nil {
		return fmt.Errorf("open what the mesh before handed over: %w", err)
	}
	var held handover.LedgerEstate
	if err := canon.Unmarshal(plain, &held); err != nil {
		return fmt.Errorf("open what the mesh before handed over: %w", err)
	}
	a.held.Store(&held)
	return nil
}

// seeds are those of the keys that sign the ledger's log and its grants. They go with the ledger, so that witnesses and receipts know one log.
func (a *API) seeds(ledger string) (log, grant []byte) {
	if held := a.held.Load(); held != nil {
		return held.Log, held.Grant
	}
	return a.Root.Derive(seal.Log, ledger), a.Root.Derive(seal.Grant, ledger)
}

// texts are the keys of a collaboration that seal what people asked and what they got, of all meshes so far, oldest first. They belong to the
// manifest that founded it: nothing that is handed over for one collaboration opens another of the same name.
func (a *API) texts(founding canon.Digest) (out handover.Texts) {
	context := a.State.Basis().Ledger + "\x00" + founding.String()
	if held := a.held.Load(); held != nil {
		out = held.Texts[founding.String()]
	}
	return handover.Texts{
		History: append(slices.Clone(out.History), a.Root.Derive(seal.History, context)),
		Release: append(slices.Clone(out.Release), a.Root.Derive(seal.Release, context)),
	}
}

func ring(keys [][]byte) seal.Ring {
	own := len(keys) - 1
	return seal.NewRing(keys[own], keys[:own]...)
}

// history seals texts of queries, and releases what the object store keeps.
func (a *API) history(collaboration string) seal.Ring {
	return ring(a.texts(a.State.Founding(collaboration)).History)
}

func (a *API) releases(collaboration string) seal.Ring {
	return ring(a.texts(a.State.Founding(collaboration)).Release)
}

// roots are the MarbleRun roots (DER) of the meshes before this one and of this one.
func (a *API) roots() [][]byte {
	var out [][]byte
	if e := a.State.Estate(); e != nil {
		out = slices.Clone(e.Roots)
	}
	return append(out, a.Identity.Root.Raw)
}

// rootOf is the root that a version of a manifest pins: that of the mesh on which it was in force.
func (a *API) rootOf(m state.Manifest) []byte {
	for _, root := range a.roots() {
		if mesh := m.Bundle.Manifest.Mesh; mesh != nil && mesh.RootCertificate == canon.Sum(root).String() {
			return root
		}
	}
	return a.Identity.Root.Raw
}

// documents are what workers are told, with what they need to derive the collaboration's keys.
func (a *API) documents(m state.Manifest) *concordatv1.Documents {
	out := documents(m)
	for d, v := out, &m; d != nil; d = d.GetPrevious() {
		d.Founding = v.Founding.String()
		v = v.Base
	}
	if e := a.State.Estate(); e != nil && m.Bundle.Manifest.Mesh != nil && len(m.Bundle.Manifest.Mesh.Inherits) > 0 {
		out.Inheritance = e.Worker
	}
	return out
}
