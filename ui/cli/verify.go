package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/evidence/sgx"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/handover"
	"concordat.dev/protocol/marble"
	"concordat.dev/protocol/receipt"
	"concordat.dev/ui/attestation"
	"concordat.dev/ui/client"
	"concordat.dev/ui/mesh"
	"github.com/spf13/cobra"
)

// meshFlags say where MarbleRun is and where the vendor's word for its machine comes from.
type meshFlags struct {
	marbleRun  string
	collateral string
	service    string
}

func (f *meshFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.marbleRun, "marblerun", "", "address HOST:PORT of MarbleRun's client API (default: that of HOME/mesh.json)")
	c.Flags().StringVar(&f.service, "pcs", "", "URL of a cache of Intel's certification service (default: Intel's own)")
}

func (a *app) meshCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "mesh", Short: "What the mesh is, before anything is entrusted to it",
		Long:    "Checks what runs against the pins that participants signed, and fetches what the processor's vendor says of the machine. Sets a mesh up that other means run.",
		Example: lines("concordat mesh verify room", "concordat mesh collateral --out collateral.json", "concordat mesh handover --to NEW"),
	}
	c.AddCommand(a.meshVerify(), a.meshCollateral(), a.meshHandover(), a.meshSetup(), a.meshAdopt())
	return c
}

func (a *app) meshVerify() *cobra.Command {
	var f meshFlags
	c := &cobra.Command{
		Use:   "verify [DIR]",
		Short: "Check the mesh against the pins of a manifest: programs, root certificate, hardware",
		Long: `Holds what runs against what is pinned in DIR/manifest.yaml, else in the manifest of --collaboration that was signed from here, else in HOME/mesh.json, and
says of each check whether it is proved or only claimed:

  coordinators  certificate under the pinned root, of a coordinator; mode, ledger and pins
  MarbleRun     root certificate, manifest in force, the programs that it admits
  hardware      the quote of MarbleRun's enclave: over this root, of the pinned measurement, not in debug mode, up to date by Intel's tables

In simulation there is no hardware whose quote could be checked: what passes then is the right mesh by its keys, on a host that must be trusted.
Intel's tables are fetched, or read from --collateral.`,
		Example: lines("concordat mesh verify room", "concordat mesh verify", "concordat mesh verify room --coordinator c1.example:7300 --marblerun m.example:4433"),
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.verifyMesh(c.Context(), args, f)
		},
	}
	f.add(c)
	c.Flags().StringVar(&f.collateral, "collateral", "", "file of Intel's tables ('concordat mesh collateral'), so that nothing is fetched")
	return c
}

func (a *app) meshCollateral() *cobra.Command {
	var f meshFlags
	var out string
	c := &cobra.Command{
		Use:   "collateral",
		Short: "Fetch what Intel says of the machine that MarbleRun runs on",
		Long: `Asks MarbleRun for its quote and Intel's certification service for tables and revocation lists of that processor. Workers put the file into receipts
(collateral in their configuration), so that these can be verified offline; it has to be renewed every month. Intel signs all of it.`,
		Example: lines("concordat mesh collateral --out collateral.json", "concordat mesh collateral --pcs https://localhost:8081 > collateral.json"),
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.fetchCollateral(c.Context(), f, out)
		},
	}
	f.add(c)
	c.Flags().StringVar(&out, "out", "", "file to write it to (default: standard output)")
	return c
}

// localMesh is the mesh of the home, nil where there is none.
func (a *app) localMesh() (*mesh.State, error) {
	m, err := mesh.Heir(a.home)
	if errors.Is(err, mesh.ErrNone) {
		return nil, nil //nolint:nilnil // no mesh is no error
	}
	if err != nil {
		return nil, err
	}
	s := m.State()
	return &s, nil
}

func (a *app) fetchCollateral(ctx context.Context, f meshFlags, out string) error {
	if f.marbleRun == "" {
		local, err := a.localMesh()
		if err != nil {
			return err
		}
		if local == nil {
			return usagef("mesh collateral: which MarbleRun? name it with --marblerun HOST:PORT")
		}
		f.marbleRun = local.MarbleRun.Clients
	}
	roots, err := marble.NewMarbleRun(f.marbleRun).Roots(ctx)
	if err != nil {
		return err
	}
	if len(roots.Quote) == 0 {
		return fmt.Errorf("MarbleRun at %s has no quote: it runs in simulation, where there is no hardware to ask about", f.marbleRun)
	}
	c, err := sgx.Service{URL: f.service}.Fetch(ctx, roots.Quote)
	if err != nil {
		return err
	}
	raw, err := c.Marshal()
	if err != nil {
		return err
	}
	if out == "" {
		_, err = fmt.Fprintf(a.Out, "%s\n", raw)
		return err
	}
	return os.WriteFile(out, raw, 0o600)
}

func (a *app) verifyMesh(ctx context.Context, args []string, f meshFlags) error {
	local, err := a.localMesh()
	if err != nil {
		return err
	}
	pins, from, err := a.pinsOf(args, local)
	if err != nil {
		return err
	}
	addresses := a.coordinators
	if local != nil {
		if len(addresses) == 0 {
			for _, c := range local.Coordinators {
				addresses = append(addresses, c.API)
			}
		}
		if f.marbleRun == "" {
			f.marbleRun = local.MarbleRun.Clients
		}
	}
	if len(addresses) == 0 {
		return usagef("mesh verify: no coordinator is known: name them with --coordinator HOST:PORT")
	}
	checks := []receipt.Check{from}
	for _, address := range addresses {
		c := receipt.Check{Name: "coordinator", Status: receipt.Proved, Detail: address + " is a coordinator under the pinned root and says that all is as pinned"}
		if waits, err := a.verifyCoordinator(ctx, address, pins); err != nil {
			c.Status, c.Detail = receipt.Failed, address+": "+err.Error()
		} else if waits {
			c.Detail += "; it has no ledger yet and waits for that of another mesh"
		}
		checks = append(checks, c)
	}
	more, err := a.verifyMarbleRun(ctx, f, pins)
	if err != nil {
		return err
	}
	return a.printChecks(pins.Mode, append(checks, more...))
}

func (a *app) printChecks(mode string, checks []receipt.Check) error {
	fmt.Fprintf(a.Out, "mode: %s\n", mode)
	a.banner(mode)
	failed := 0
	for _, c := range checks {
		fmt.Fprintf(a.Out, "%-8s %-12s %s\n", c.Status, c.Name, c.Detail)
		if c.Status == receipt.Failed {
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of the checks failed: entrust nothing to this mesh", failed)
	}
	return nil
}

// verifyMarbleRun checks MarbleRun itself. Without its address that is only claimed in simulation, and fails in mode sgx.
func (a *app) verifyMarbleRun(ctx context.Context, f meshFlags, pins document.Mesh) ([]receipt.Check, error) {
	if f.marbleRun == "" {
		c := receipt.Check{Name: attestation.CheckMarbleRun, Status: receipt.Claimed, Detail: "not asked: its address is not known (--marblerun HOST:PORT); coordinators say that it is as pinned"}
		if pins.Mode == modeSGX {
			c.Status, c.Detail = receipt.Failed, "not asked: mode sgx needs its quote; name its address with --marblerun HOST:PORT"
		}
		return []receipt.Check{c}, nil
	}
	verifiers, err := verifiers(f.collateral)
	if err != nil {
		return nil, err
	}
	m := attestation.Mesh{Address: f.marbleRun, Pins: pins, Verifiers: verifiers, Now: time.Now()}
	if f.collateral == "" {
		m.Collateral = func(ctx context.Context, quote []byte) (json.RawMessage, error) {
			c, err := sgx.Service{URL: f.service}.Fetch(ctx, quote)
			if err != nil {
				return nil, err
			}
			return c.Marshal()
		}
	}
	return m.Verify(ctx), nil
}

// pinsOf takes the pins of a manifest directory, else of the manifest that was signed from here, else those of the home's mesh, and says how
// good they are.
func (a *app) pinsOf(args []string, local *mesh.State) (document.Mesh, receipt.Check, error) {
	from := receipt.Check{Name: "pins", Status: receipt.Claimed}
	if len(args) > 0 {
		b, err := document.LoadDir(args[0])
		if err != nil {
			return document.Mesh{}, from, err
		}
		if b.Manifest.Mesh == nil {
			return document.Mesh{}, from, fmt.Errorf("%w: %s has no mesh section", client.ErrNotPinned, args[0])
		}
		from.Detail = "those of " + args[0] + ": that all participants sign the same ones, 'concordat manifest status' says"
		return *b.Manifest.Mesh, from, nil
	}
	if a.collaboration != "" {
		anchor, err := client.LoadAnchor(a.home, a.collaboration)
		if err != nil {
			return document.Mesh{}, from, err
		}
		if anchor.Digest != "" {
			from.Status, from.Detail = receipt.Proved, fmt.Sprintf("those of %s version %d, signed from here: %s", anchor.Collaboration, anchor.Version, anchor.Digest)
			return anchor.Mesh, from, nil
		}
	}
	if local == nil {
		return document.Mesh{}, from, usagef("mesh verify: which pins? name a manifest directory, or a collaboration whose manifest was signed from here (-c)")
	}
	from.Detail = "those that 'concordat up' noted in this home: nobody signed them"
	return local.Pins(), from, nil
}

// verifyCoordinator asks one coordinator. One that waits for a ledger tells what its mesh is by what it hands over to: which ledger it will have is then as
// pinned, since the mesh that has it compares that.
func (a *app) verifyCoordinator(ctx context.Context, address string, pins document.Mesh) (waits bool, err error) {
	c, err := client.New(client.Config{Addresses: []string{address}, Root: canon.Digest(pins.RootCertificate)})
	if err != nil {
		return false, err
	}
	status, err := c.Status(ctx)
	if err != nil {
		return false, err
	}
	running := client.Running(status)
	if running.Ledger == "" {
		told, err := client.Unary(ctx, c, &concordatv1.SuccessorRequest{}, client.Services.Successor)
		if err != nil {
			return false, fmt.Errorf("it has no ledger, and does not say that it waits for one: %w", err)
		}
		if waits = len(told.GetSuccessor()) > 0; waits {
			s, err := handover.ParseSuccessor(told.GetSuccessor())
			if err != nil {
				return false, err
			}
			running = successorPins(told, s)
			running.Ledger, running.Inherits = pins.Ledger, pins.Inherits
		}
	}
	return waits, client.CheckPins(&pins, running)
}
