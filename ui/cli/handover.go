package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	signing "concordat.dev/policies/approval"
	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/evidence/sgx"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/handover"
	"concordat.dev/protocol/key"
	"concordat.dev/ui/client"
	"concordat.dev/ui/mesh"
	"github.com/spf13/cobra"
)

// handoverFlags say to which mesh, and how.
type handoverFlags struct {
	to         string   // home on this machine
	addresses  []string // of coordinators elsewhere
	root       string
	draft      string
	collateral string
	service    string
	drain      time.Duration
}

// packageFile keeps the sealed package in the new mesh's home, so that an interrupted handover goes on without asking the old one again.
const packageFile = "handover.age"

func (a *app) meshHandover() *cobra.Command {
	var f handoverFlags
	c := &cobra.Command{
		Use:   "handover --to HOME",
		Short: "Hand this mesh's ledger over to another mesh, such as one of a new build",
		Long: `A new build is a new mesh: other programs, another root certificate, other secrets. The ledger goes over to it, with budgets, log, data and releases:

  1. concordat up --home NEW --succeeds OLD          with the new binaries; it waits
  2. concordat mesh handover --home OLD --to NEW --draft DIR
                                                     writes version and mesh of the next manifest of a collaboration into DIR
  3. propose and sign it as any amendment            every collaboration in force has to, for the same new mesh; they check it by
                                                     'concordat mesh verify DIR --coordinator … --marblerun …' before
  4. concordat mesh handover --home OLD --to NEW     hands over; requests wait meanwhile, and clients go on with the new mesh

Nothing is handed over before all participants of all collaborations in force signed: the old programs check it, and the certificates and, in mode
sgx, the hardware of the new mesh. From then on the old mesh decides nothing; it only says where the ledger is. Every step can be repeated: a
handover that was interrupted goes on where it was. Asked for by a participant's or a founder's key.

Another machine's mesh is named by --to-coordinator and --to-root instead of --to.`,
		Example: lines("concordat mesh handover --home old --to new --draft room", "concordat mesh handover --home old --to new --key clinic.key",
			"concordat mesh handover --to-coordinator c1.example:7300 --to-root sha256:… --key clinic.key"),
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.handover(c.Context(), f)
		},
	}
	flags := c.Flags()
	flags.StringVar(&f.to, "to", "", "home of the new mesh on this machine")
	flags.StringArrayVar(&f.addresses, "to-coordinator", nil, "address HOST:PORT of a coordinator of the new mesh, repeatable")
	flags.StringVar(&f.root, "to-root", "", "digest sha256:… of the new mesh's root certificate")
	flags.StringVar(&f.draft, "draft", "", "write the next version and the pins of the new mesh into DIR/manifest.yaml, and hand nothing over")
	flags.DurationVar(&f.drain, "drain", 20*time.Second, "how long queries under way may take to end; those that take longer are asked again at the new mesh")
	flags.StringVar(&f.collateral, "collateral", "", "mode sgx: file of Intel's tables for the new mesh's machine (default: they are fetched)")
	flags.StringVar(&f.service, "pcs", "", "URL of a cache of Intel's certification service (default: Intel's own)")
	return c
}

// handingOver is a handover under way.
type handingOver struct {
	*app
	f         handoverFlags
	from      *mesh.Mesh // nil where it is elsewhere
	to        *mesh.Mesh
	old       session
	fresh     *client.Client // nobody's: a mesh that waits knows no person
	successor handover.Successor
	told      *concordatv1.SuccessorResponse
}

func (a *app) handover(ctx context.Context, f handoverFlags) error {
	if (f.to == "") == (len(f.addresses) == 0 || f.root == "") {
		return usagef("mesh handover: name the new mesh by --to HOME, or by --to-coordinator and --to-root")
	}
	h := &handingOver{app: a, f: f}
	if err := h.connect(ctx); err != nil {
		return err
	}
	there, err := h.fresh.Status(ctx)
	if err != nil {
		return fmt.Errorf("the new mesh: %w", err)
	}
	if there.GetLedger() != "" {
		return h.finish(ctx, there)
	}
	if err := h.ask(ctx); err != nil {
		return err
	}
	if f.draft != "" {
		return h.draft(ctx)
	}
	if err := h.handOver(ctx); err != nil {
		return err
	}
	if err := h.carry(ctx); err != nil {
		return err
	}
	if there, err = h.settled(ctx); err != nil {
		return err
	}
	return h.finish(ctx, there)
}

// connect finds both meshes. The old one is the home's itself, also where it has handed over already.
func (h *handingOver) connect(ctx context.Context) error {
	cfg := client.Config{Addresses: h.f.addresses, Root: canon.Digest(h.f.root)}
	var err error
	if h.f.to != "" {
		if h.to, err = mesh.Open(h.f.to); err != nil {
			return err
		}
		cfg = configOf(h.to.State())
	}
	cfg.Ledger, cfg.Patience = "", time.Minute
	if h.fresh, err = client.New(cfg); err != nil {
		return fmt.Errorf("the new mesh: %w", err)
	}
	if h.from, err = mesh.Open(h.home); errors.Is(err, mesh.ErrNone) {
		h.from = nil
		h.old, err = h.signedIn(ctx)
		return err
	}
	if err != nil {
		return err
	}
	cfg = configOf(h.from.State())
	if cfg.Key, err = h.handoverKey(); err != nil {
		return err
	}
	c, err := client.New(cfg)
	h.old = session{Client: c, key: cfg.Key}
	return err
}

// handoverKey is the key of --key, or one of the mesh's founders in the home.
func (h *handingOver) handoverKey() (key.Private, error) {
	if h.keyFile == "" {
		files, err := filepath.Glob(filepath.Join(h.home, keyFolder, "*"+keyEnding))
		if err != nil {
			return key.Private{}, err
		}
		for _, file := range files {
			k, err := key.Load(file)
			if err != nil {
				return key.Private{}, err
			}
			for _, f := range h.from.State().Founders {
				if k.Public().String() == f {
					return k, nil
				}
			}
		}
	}
	return h.key()
}

func configOf(s mesh.State) client.Config {
	cfg := client.Config{Root: s.RootCertificate, Ledger: s.Ledger}
	for _, c := range s.Coordinators {
		cfg.Addresses = append(cfg.Addresses, c.API)
	}
	return cfg
}

// ask has the new mesh tell of itself.
func (h *handingOver) ask(ctx context.Context) error {
	told, err := client.Unary(ctx, h.fresh, &concordatv1.SuccessorRequest{}, client.Services.Successor)
	if err != nil {
		return fmt.Errorf("the new mesh: %w", err)
	}
	if len(told.GetSuccessor()) == 0 {
		return errors.New("the new mesh waits for no ledger yet: start it with 'concordat up --succeeds', and give its workers a moment")
	}
	h.told = told
	if h.successor, err = handover.ParseSuccessor(told.GetSuccessor()); err != nil {
		return err
	}
	h.successor.Addresses = h.f.addresses
	if h.to != nil {
		h.successor.Addresses = configOf(h.to.State()).Addresses
	}
	if told.GetMode() != modeSGX {
		return nil
	}
	for i := range h.successor.Evidence {
		e := &h.successor.Evidence[i]
		if h.f.collateral != "" {
			raw, err := os.ReadFile(h.f.collateral)
			if err != nil {
				return err
			}
			if e.Collateral, err = canon.Transform(raw); err != nil {
				return fmt.Errorf("%s: %w", h.f.collateral, err)
			}
			continue
		}
		c, err := sgx.Service{URL: h.f.service}.Fetch(ctx, e.Report)
		if err != nil {
			return err
		}
		if e.Collateral, err = c.Marshal(); err != nil {
			return err
		}
	}
	return nil
}

// pins are what manifests have to say of the new mesh.
func (h *handingOver) pins(running document.Mesh) document.Mesh {
	pins := successorPins(h.told, h.successor)
	pins.Ledger, pins.Inherits = running.Ledger, signing.Lineage(running)
	return pins
}

// successorPins are those of a mesh that waits, without the ledger.
func successorPins(told *concordatv1.SuccessorResponse, s handover.Successor) document.Mesh {
	return document.Mesh{
		Mode: told.GetMode(), MarbleRunManifest: canon.Sum(s.MarbleRun).String(), RootCertificate: canon.Sum(s.Root).String(), Coordinator: told.GetCoordinator(),
	}
}

var versionLine = regexp.MustCompile(`(?m)^(version:[ \t]*)(\d+)`)

// draft writes the next version and the new pins into a manifest directory.
func (h *handingOver) draft(ctx context.Context) error {
	status, err := h.old.Status(ctx)
	if err != nil {
		return err
	}
	pins := h.pins(client.Running(status))
	if err := pinFile(h.f.draft, pins); err != nil {
		return err
	}
	file := filepath.Join(h.f.draft, document.ManifestFile)
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	b, err := document.LoadDir(h.f.draft)
	if err != nil {
		return err
	}
	id := b.Manifest.Collaboration
	if now, err := h.old.InForce(ctx, id); err == nil && b.Manifest.Version <= now.Manifest.Version {
		next := strconv.Itoa(now.Manifest.Version + 1)
		if len(versionLine.FindAll(text, -1)) != 1 {
			return fmt.Errorf("%s has no line 'version: N' of its own: write version %s there", file, next)
		}
		text = versionLine.ReplaceAll(text, []byte("${1}"+next))
		if err := os.WriteFile(file, text, 0o644); err != nil { //nolint:gosec // G306: a manifest is no secret
			return err
		}
	}
	h.banner(pins.Mode)
	fmt.Fprint(h.Out, pinSection(pins))
	h.say("written into %s. next: every participant compares these pins with what 'concordat mesh verify' says of the new mesh; then 'concordat manifest propose %s' and 'concordat manifest sign', for every collaboration in force", file, h.f.draft)
	return nil
}

// pinsHereOrNext accepts a version that pins this mesh, or one that is to take its ledger over, and says so.
func (a *app) pinsHereOrNext(pinned *document.Mesh, running document.Mesh) error {
	err := client.CheckPins(pinned, running)
	if err == nil || !signing.Succeeds(pinned, running) {
		return err
	}
	raw, marshalErr := json.Marshal(pinned)
	if marshalErr != nil {
		return marshalErr
	}
	a.say("HANDOVER: this version hands state and keys of the collaboration over to another mesh, whose programs then can read its data:\n  %s\ncheck it with 'concordat mesh verify DIR --coordinator … --marblerun …' before signing", raw)
	return nil
}
