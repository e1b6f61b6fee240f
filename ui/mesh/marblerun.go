package mesh

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/marble"
)

// Names of the binaries. MarbleRun's process has the name of its folder.
const (
	marbleRunName       = "marblerun"
	marbleRunBinary     = "marblerun-coordinator"
	coordinatorBinary   = "concordat-coordinator"
	workerBinary        = "concordat-worker"
	marbleRunSealFolder = "state"
)

// measure takes the SHA-256 of the binaries, which stands for a measurement in simulation, and compares it with those of setup.
func (m *Mesh) measure(context.Context) error {
	m.options.Progress("measure the binaries")
	now := map[string]canon.Digest{}
	for _, name := range []string{marbleRunBinary, coordinatorBinary, workerBinary} {
		sum, err := measure(filepath.Join(m.bin, name))
		if err != nil {
			return err
		}
		now[name] = sum
	}
	return m.admit(now)
}

// admit takes the measurements of a new mesh, and compares those of an old one.
func (m *Mesh) admit(now map[string]canon.Digest) error {
	var errs []error
	for name, was := range m.State().Executables {
		if now[name] != was {
			errs = append(errs, fmt.Errorf("mesh: %w: binary %s changed since: it measures %s, the mesh admits %s", ErrChanged, name, now[name], was))
		}
	}
	if len(errs) > 0 {
		return errors.Join(append(errs, errors.New(
			"a new build is a new mesh: build the old version again, or give the old mesh up with all its data (`concordat down --wipe`, then `concordat up`)"))...)
	}
	return m.update(func(s *State) {
		s.Executables = now
		s.Coordinator = now[marbleRunBinary]
	})
}

func measure(file string) (canon.Digest, error) {
	f, err := os.Open(file) //nolint:gosec // G304: one of our binaries
	if err != nil {
		return "", fmt.Errorf("mesh: measure: %w; `make build` builds all binaries", err)
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("mesh: measure %s: %w", file, err)
	}
	return canon.Of([sha256.Size]byte(h.Sum(nil))), nil
}

// manifest is the MarbleRun manifest for the binaries as measured.
func (m *Mesh) manifest() ([]byte, error) {
	executables := m.State().Executables
	return marble.Manifest(marble.Measurements{
		Coordinator: strings.TrimPrefix(string(executables[coordinatorBinary]), "sha256:"),
		Worker:      strings.TrimPrefix(string(executables[workerBinary]), "sha256:"),
	})
}

func (m *Mesh) startMarbleRun(ctx context.Context) error {
	m.options.Progress("start MarbleRun")
	return m.start(ctx, marbleRunName)
}

func (m *Mesh) marbleRunProgram() program {
	s := m.State()
	return program{name: marbleRunName, executable: marbleRunBinary, env: []string{
		"EDG_COORDINATOR_MESH_ADDR=" + s.MarbleRun.Marbles,
		"EDG_COORDINATOR_CLIENT_ADDR=" + s.MarbleRun.Clients,
		"EDG_COORDINATOR_DNS_NAMES=localhost",
		"EDG_COORDINATOR_SEAL_DIR=" + m.path(marbleRunName, marbleRunSealFolder),
	}}
}

// pin sets the MarbleRun manifest of a new mesh, and checks that root and manifest of an old one are what they were.
func (m *Mesh) pin(ctx context.Context) error {
	manifest, err := m.manifest()
	if err != nil {
		return err
	}
	s := m.State()
	api := marble.NewMarbleRun(s.MarbleRun.Clients)
	state, err := api.State(ctx)
	if err != nil {
		return fmt.Errorf("mesh: %w", err)
	}
	switch {
	case state == marble.AwaitingManifest && s.RootCertificate == "":
		m.options.Progress("set the MarbleRun manifest")
		if err := api.SetManifest(ctx, manifest); err != nil {
			return fmt.Errorf("mesh: set the MarbleRun manifest: %w", err)
		}
	case state != marble.AcceptingMarbles:
		return fmt.Errorf("mesh: %w: MarbleRun lost the state in %s, and with it the secrets of this mesh; `concordat down --wipe` gives its data up",
			ErrChanged, m.path(marbleRunName, marbleRunSealFolder))
	}
	roots, err := api.Roots(ctx)
	if err != nil {
		return fmt.Errorf("mesh: %w", err)
	}
	if s.RootCertificate != "" && s.RootCertificate != roots.RootDigest() {
		return fmt.Errorf("mesh: %w: MarbleRun's root is %s, was %s", ErrChanged, roots.RootDigest(), s.RootCertificate)
	}
	inForce, err := api.Manifest(ctx, roots.Root)
	if err != nil {
		return fmt.Errorf("mesh: %w", err)
	}
	if !bytes.Equal(inForce, manifest) {
		return fmt.Errorf("mesh: %w: MarbleRun has the manifest %s, these binaries want %s", ErrChanged, canon.Sum(inForce), canon.Sum(manifest))
	}
	if err := writeFile(m.path(marbleRunName, "manifest.json"), manifest); err != nil {
		return err
	}
	if err := writeFile(m.path("root.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: roots.Root.Raw})); err != nil {
		return err
	}
	return m.update(func(s *State) {
		s.MarbleRunManifest, s.RootCertificate, s.RootFile = canon.Sum(manifest), roots.RootDigest(), m.path("root.pem")
	})
}
