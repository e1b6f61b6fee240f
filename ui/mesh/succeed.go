package mesh

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"

	"concordat.dev/protocol/document"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/gen/concordat/v1/concordatv1connect"
	"concordat.dev/protocol/marble"
	"connectrpc.com/connect"
)

// succeed makes a new mesh one that waits for the ledger of another: with the same object store, and its witnesses and founders.
func (m *Mesh) succeed() error {
	if m.options.Succeeds == "" {
		return nil
	}
	before, err := Open(m.options.Succeeds)
	if err != nil {
		return fmt.Errorf("the mesh to succeed: %w", err)
	}
	s := before.State()
	switch {
	case before.home == m.home:
		return fmt.Errorf("mesh: a mesh cannot succeed itself: give the new one another folder")
	case s.Ledger == "":
		return fmt.Errorf("mesh: %s has no ledger that could be taken over", before.home)
	case m.options.ObjectStore != "" && m.options.ObjectStore != s.ObjectStore:
		return fmt.Errorf("mesh: the data of %s lie in %s: a mesh that takes it over has to use the same object store", before.home, s.ObjectStore)
	}
	m.options.ObjectStore = s.ObjectStore
	m.state.Succeeds, m.state.Witnesses, m.state.Founders = before.home, s.Witnesses, s.Founders
	return nil
}

// awaitsLedger returns once a mesh that is to take a ledger over has made what that is sealed to.
func (m *Mesh) awaitsLedger(ctx context.Context) error {
	s := m.State()
	if s.Succeeds == "" || s.Ledger != "" {
		return nil
	}
	transport := &http.Transport{TLSClientConfig: marble.ClientConfig(s.RootCertificate, marble.Coordinator), ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	api := concordatv1connect.NewHandoverServiceClient(&http.Client{Transport: transport, Timeout: askTimeout}, "https://"+s.Coordinators[0].API)
	for {
		told, err := api.Successor(ctx, connect.NewRequest(&concordatv1.SuccessorRequest{}))
		if err == nil && len(told.Msg.GetSuccessor()) > 0 {
			return nil
		}
		if status, asked := ask(ctx, s.RootCertificate, s.Coordinators[0].API); asked == nil && status.GetLedger() != "" {
			return nil // it took the ledger over before
		}
		if !pause(ctx, pollEvery) {
			return fmt.Errorf("mesh: the new mesh does not wait for the ledger: %w; last: %w", ctx.Err(), err)
		}
	}
}

// Home is the folder of the mesh, from the root of the file system.
func (m *Mesh) Home() string { return m.home }

// HandedOver notes that the mesh of another home has the ledger now.
func (m *Mesh) HandedOver(to string) error {
	to, err := filepath.Abs(to)
	if err != nil {
		return fmt.Errorf("mesh: %w", err)
	}
	return m.update(func(s *State) { s.Successor = to })
}

// Inherited notes which ledger this mesh took over, and the meshes that had it before.
func (m *Mesh) Inherited(pins document.Mesh) error {
	return m.update(func(s *State) { s.Ledger, s.Inherits = pins.Ledger, slices.Clone(pins.Inherits) })
}

// Heir is the mesh of a home, or where that was handed over, of the home that has its ledger now.
func Heir(home string) (*Mesh, error) {
	seen := map[string]bool{}
	for {
		m, err := Open(home)
		if err != nil {
			return nil, err
		}
		next := m.State().Successor
		if next == "" || seen[next] {
			return m, nil
		}
		seen[m.home], home = true, next
	}
}

// SuccessorPins are what manifests pin of a mesh that waits for the ledger of the one with these pins.
func (s State) SuccessorPins(before document.Mesh) document.Mesh {
	pins := s.Pins()
	pins.Ledger = before.Ledger
	pins.Inherits = append(slices.Clone(before.Inherits), before.RootCertificate)
	return pins
}
