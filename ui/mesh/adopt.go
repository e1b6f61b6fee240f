package mesh

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/marble"
)

// Adopt writes down, in a home that has no mesh of its own, where one is that runs elsewhere, so that commands need not be told each time.
// Everything that it says of itself comes over the channel that the root pins; addresses are as given.
func Adopt(ctx context.Context, home string, root canon.Digest, coordinators []string, marbleRun string) (*Mesh, error) {
	m, err := adopting(home)
	if err != nil {
		return nil, err
	}
	s, err := learn(ctx, root, coordinators)
	if err != nil {
		return nil, err
	}
	if was := m.State(); was.RootCertificate != "" && was.RootCertificate != root && !inherited(was, s) {
		return nil, fmt.Errorf("mesh: adopt: %w: %s says where the mesh with root %s is, whose ledger this one did not take over; choose another --home",
			ErrChanged, home, was.RootCertificate)
	}
	if marbleRun != "" {
		roots, err := marble.NewMarbleRun(marbleRun).Roots(ctx)
		if err != nil {
			return nil, fmt.Errorf("mesh: adopt: %w", err)
		}
		if roots.RootDigest() != root {
			return nil, fmt.Errorf("mesh: adopt: %w: the MarbleRun at %s has the root %s", ErrChanged, marbleRun, roots.RootDigest())
		}
		s.MarbleRun.Clients = marbleRun
	}
	return m, m.update(func(now *State) { *now = s })
}

// adopting is a home without a mesh, or one that says already where one is.
func adopting(home string) (*Mesh, error) {
	m, err := Open(home)
	switch {
	case errors.Is(err, ErrNone):
		if err := os.MkdirAll(home, 0o700); err != nil {
			return nil, fmt.Errorf("mesh: adopt: %w", err)
		}
		return &Mesh{home: home, running: map[string]*child{}, unlock: func() {}}, nil
	case err != nil:
		return nil, err
	case !m.State().Elsewhere:
		return nil, fmt.Errorf("mesh: adopt: %w: %s has a mesh of its own; choose another --home", ErrRunning, home)
	}
	return m, nil
}

// inherited says whether a mesh has the ledger of another one by a handover.
func inherited(before, now State) bool {
	return before.Ledger != "" && before.Ledger == now.Ledger && slices.Contains(now.Inherits, string(before.RootCertificate))
}

// learn asks the coordinators what the mesh is; one that has the ledger is enough.
func learn(ctx context.Context, root canon.Digest, coordinators []string) (State, error) {
	s := State{Elsewhere: true, RootCertificate: root}
	var silent []error
	for i, address := range coordinators {
		s.Coordinators = append(s.Coordinators, CoordinatorAddress{Name: fmt.Sprint("coordinator-", i+1), API: address})
		asking, cancel := context.WithTimeout(ctx, askTimeout)
		status, err := ask(asking, root, address)
		cancel()
		if err != nil {
			silent = append(silent, err)
		}
		if status.GetLedger() == "" {
			continue
		}
		s.Mode, s.MarbleRunManifest = status.GetMode(), canon.Digest(status.GetMarblerunManifest())
		s.Coordinator, s.Ledger, s.Inherits = canon.Digest(status.GetCoordinator()), status.GetLedger(), status.GetInherits()
		s.Workers = nil
		for _, w := range status.GetWorkers() {
			s.Workers = append(s.Workers, WorkerAddress{Name: w.GetId(), Mesh: w.GetAddress()})
		}
	}
	if s.Ledger == "" {
		return s, fmt.Errorf("mesh: adopt: no coordinator tells of a ledger yet: %w", errors.Join(silent...))
	}
	return s, nil
}
