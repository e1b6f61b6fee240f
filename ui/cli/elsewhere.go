package cli

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/key"
	"concordat.dev/ui/mesh"
)

func (a *app) meshSetup() *cobra.Command {
	var p mesh.Plan
	var measurements, credentials, succeeds string
	var witnesses []string
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "setup",
		Short: "Set up a mesh whose processes other means run, such as docker-compose.yml",
		Long: `Waits for MarbleRun, sets its manifest for the binaries that --measurements names (lines of sha256sum), and writes below HOME a configuration for each
coordinator and worker: HOME/NAME/config.yaml. NAME is the host name at which the others reach it. Said again it checks that the mesh is the
same, and writes the configurations anew. It starts nothing: 'concordat up' does that on one machine.

--credentials makes a file in AWS's format with new credentials for an object store of one's own, if it is missing.`,
		Example: lines("concordat mesh setup --home /run/mesh --measurements measurements --marblerun marblerun --coordinator-name c1 --coordinator-name c2 --coordinator-name c3 " +
			"--worker-name w1 --object-store file:///objects --founder ed25519:…"),
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(c.Context(), timeout)
			defer cancel()
			p.Home, p.AwaitsHandover = a.home, succeeds != ""
			given := func(s string) bool { return s != "" }
			var err error
			if p.Witnesses, err = parseWitnesses(slices.DeleteFunc(witnesses, func(s string) bool { return !given(s) })); err != nil {
				return err
			}
			if p.Measured, err = mesh.ReadMeasurements(measurements); err != nil {
				return err
			}
			return a.setUp(ctx, p, credentials)
		},
	}
	flags := c.Flags()
	flags.StringVar(&measurements, "measurements", "", "file of sha256sum's lines for the binaries as they run")
	flags.StringVar(&p.Mode, "mode", modeSimulation, "what the mesh runs on: simulation, or sgx with measurements as 'make enclave' prints them")
	flags.StringVar(&p.MarbleRun, "marblerun", "marblerun", "host name of MarbleRun")
	flags.StringVar(&p.Domain, "domain", "", "domain in which the processes reach one another: NAME.DOMAIN")
	flags.StringArrayVar(&p.Coordinators, "coordinator-name", nil, "host name of a coordinator, repeatable, always in the same order")
	flags.StringArrayVar(&p.Workers, "worker-name", nil, "host name of a worker, repeatable")
	flags.StringVar(&p.Data, "data", "/var/lib/concordat", "folder for its own data at each of them")
	flags.StringVar(&p.ObjectStore, "object-store", "", "URL of the object store: file, s3 or azblob")
	flags.StringArrayVar(&p.Founders, "founder", nil, "public key that may propose the first manifest, repeatable")
	flags.StringArrayVar(&witnesses, "witness", nil, "VERIFIERKEY=URL of a witness, repeatable")
	flags.StringVar(&succeeds, "succeeds", "", "name of the mesh, for people, whose ledger the coordinators wait for ('concordat mesh handover') instead of founding one")
	flags.StringVar(&credentials, "credentials", "", "file for new credentials of the object store")
	flags.DurationVar(&timeout, "timeout", 2*time.Minute, "how long to wait for MarbleRun")
	return c
}

func (a *app) setUp(ctx context.Context, p mesh.Plan, credentials string) error {
	if len(p.Coordinators) == 0 || len(p.Workers) == 0 || p.ObjectStore == "" {
		return usagef("mesh setup: name coordinators, workers and the object store: --coordinator-name, --worker-name, --object-store")
	}
	if len(p.Founders) == 0 {
		return usagef("mesh setup: --founder: name the public key that may propose the first manifest; `concordat key show` prints it")
	}
	if p.Mode != modeSimulation && p.Mode != modeSGX {
		return usagef("mesh setup: --mode %q is neither %s nor %s", p.Mode, modeSimulation, modeSGX)
	}
	for _, f := range p.Founders {
		if _, err := key.ParsePublic(f); err != nil {
			return usagef("mesh setup: --founder: %w", err)
		}
	}
	if credentials != "" {
		if err := makeCredentials(credentials); err != nil {
			return err
		}
	}
	p.Progress = func(step string) { a.say("%s", step) }
	m, err := mesh.SetUp(ctx, p)
	if err != nil {
		return err
	}
	a.banner(m.State().Mode)
	fmt.Fprintf(a.Out, "root to pin        %s\nmarblerun_manifest %s\ncoordinator        %s\n", m.State().RootCertificate, m.State().MarbleRunManifest, m.State().Coordinator)
	return nil
}

// makeCredentials writes new ones for an object store that nobody else uses, once.
func makeCredentials(file string) error {
	if _, err := os.Stat(file); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var id [10]byte
	var secret [32]byte
	_, _ = rand.Read(id[:]) // never fails
	_, _ = rand.Read(secret[:])
	text := fmt.Sprintf("[default]\naws_access_key_id=%s\naws_secret_access_key=%s\n", hex.EncodeToString(id[:]), hex.EncodeToString(secret[:]))
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("mesh setup: credentials of the object store: %w", err)
	}
	if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
		return fmt.Errorf("mesh setup: credentials of the object store: %w", err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		return fmt.Errorf("mesh setup: credentials of the object store: %w", err)
	}
	return nil
}

func (a *app) meshAdopt() *cobra.Command {
	var marbleRun string
	c := &cobra.Command{
		Use:   "adopt",
		Short: "Note in HOME where a mesh is that runs elsewhere, so that other commands need not be told",
		Long: `Asks the coordinators that --coordinator names over the channel that --root pins, and writes HOME/mesh.json. The root's digest is what makes it the right
mesh: take it from whoever set the mesh up, and compare it with the other participants. 'concordat mesh verify' checks the rest. A HOME that says where
another mesh is takes the one that inherited its ledger, and no other.`,
		Example: lines("concordat mesh adopt --coordinator 127.0.0.1:7301 --coordinator 127.0.0.1:7302 --marblerun 127.0.0.1:4433 --root sha256:…"),
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			root, err := canon.ParseDigest(a.rootDigest)
			if err != nil || len(a.coordinators) == 0 {
				return usagef("mesh adopt: name the mesh by --coordinator HOST:PORT, repeatable, and --root sha256:…")
			}
			m, err := mesh.Adopt(c.Context(), a.home, root, a.coordinators, marbleRun)
			if err != nil {
				return err
			}
			a.banner(m.State().Mode)
			a.addresses(m.State())
			a.say("next: 'concordat status', 'concordat mesh verify DIR', 'concordat manifest propose DIR --pin'")
			return nil
		},
	}
	c.Flags().StringVar(&marbleRun, "marblerun", "", "address HOST:PORT of MarbleRun's client API")
	return c
}
