package cli

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/marble"
	"concordat.dev/ui/client"
	"concordat.dev/ui/mesh"
	"github.com/spf13/cobra"
)

func (a *app) meshCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "mesh", Short: "What the mesh is, before anything is entrusted to it",
		Example: lines("concordat mesh verify room"),
	}
	c.AddCommand(&cobra.Command{
		Use:   "verify [DIR]",
		Short: "Check the mesh against the pins of a manifest, or of HOME/mesh.json",
		Long: `Connects to every coordinator, checks that its certificate chains to the pinned root and is of a coordinator, and compares what runs
with what is pinned: mode, MarbleRun manifest, root certificate, measurement of MarbleRun's coordinator, ledger. Where MarbleRun's
own address is known (HOME/mesh.json), its manifest is fetched from there too. In simulation mode there is no hardware whose quote
could be checked: what passes then is the right mesh by its keys, on a host that must be trusted.`,
		Example: lines("concordat mesh verify room", "concordat mesh verify", "concordat mesh verify room --coordinator c1.example:7300"),
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.verifyMesh(c.Context(), args)
		},
	})
	return c
}

func (a *app) verifyMesh(ctx context.Context, args []string) error {
	var local *mesh.State
	if m, err := mesh.Open(a.home); err == nil {
		s := m.State()
		local = &s
	} else if !errors.Is(err, mesh.ErrNone) {
		return err
	}
	pins, err := pinsOf(args, local)
	if err != nil {
		return err
	}
	addresses := a.coordinators
	if len(addresses) == 0 && local != nil {
		for _, c := range local.Coordinators {
			addresses = append(addresses, c.API)
		}
	}
	if len(addresses) == 0 {
		return usagef("mesh verify: no coordinator is known: name them with --coordinator HOST:PORT")
	}
	failed := 0
	check := func(what string, err error) {
		mark := "ok  "
		if err != nil {
			mark, failed = "FAIL", failed+1
			what += ": " + err.Error()
		}
		fmt.Fprintf(a.Out, "%s  %s\n", mark, what)
	}
	for _, address := range addresses {
		check("coordinator "+address+" runs what is pinned", a.verifyCoordinator(ctx, address, pins))
	}
	if local != nil {
		check("MarbleRun "+local.MarbleRun.Clients+" has the pinned root and manifest", verifyMarbleRun(ctx, *local, pins))
	}
	if pins.Mode == "sgx" {
		check("quote of MarbleRun's coordinator", errors.New("this build checks no SGX quotes: use 'marblerun manifest verify' as well"))
	}
	a.banner(pins.Mode)
	if failed > 0 {
		return fmt.Errorf("%d of the checks failed: entrust nothing to this mesh", failed)
	}
	return nil
}

// pinsOf takes the pins of a manifest directory, else those of the home's mesh.
func pinsOf(args []string, local *mesh.State) (document.Mesh, error) {
	if len(args) == 0 {
		if local == nil {
			return document.Mesh{}, usagef("mesh verify: which pins? name a manifest directory")
		}
		return local.Pins(), nil
	}
	b, err := document.LoadDir(args[0])
	if err != nil {
		return document.Mesh{}, err
	}
	if b.Manifest.Mesh == nil {
		return document.Mesh{}, fmt.Errorf("%w: %s has no mesh section", client.ErrNotPinned, args[0])
	}
	return *b.Manifest.Mesh, nil
}

func (a *app) verifyCoordinator(ctx context.Context, address string, pins document.Mesh) error {
	c, err := client.New(client.Config{Addresses: []string{address}, Root: canon.Digest(pins.RootCertificate)})
	if err != nil {
		return err
	}
	status, err := c.Status(ctx)
	if err != nil {
		return err
	}
	return client.CheckPins(&pins, client.Running(status))
}

func verifyMarbleRun(ctx context.Context, local mesh.State, pins document.Mesh) error {
	raw, err := os.ReadFile(local.RootFile)
	if err != nil {
		return fmt.Errorf("read the root certificate: %w", err)
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return fmt.Errorf("%s holds no certificate", local.RootFile)
	}
	root, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return fmt.Errorf("read the root certificate: %w", err)
	}
	if got := canon.Sum(root.Raw).String(); got != pins.RootCertificate {
		return fmt.Errorf("root certificate %s is not the pinned %s", got, pins.RootCertificate)
	}
	manifest, err := marble.NewMarbleRun(local.MarbleRun.Clients).Manifest(ctx, root)
	if err != nil {
		return err
	}
	if got := canon.Sum(manifest).String(); got != pins.MarbleRunManifest {
		return fmt.Errorf("MarbleRun manifest %s is not the pinned %s", got, pins.MarbleRunManifest)
	}
	return nil
}
