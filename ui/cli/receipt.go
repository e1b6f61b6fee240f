package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	judge "concordat.dev/policies/approval"
	"concordat.dev/protocol/answer"
	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/receipt"
	"concordat.dev/ui/client"
	"concordat.dev/ui/present"
	"github.com/spf13/cobra"
)

func (a *app) receiptCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "receipt",
		Short:   "The proof that travels with a release",
		Long:    "A receipt is named by its file, or by its id where it is in HOME/receipts.",
		Example: lines("concordat receipt show 7f3a", "concordat receipt verify 7f3a.json --manifest room"),
	}
	c.AddCommand(a.receiptShow(), a.receiptVerify(), a.receiptExport(), a.receiptFetch())
	return c
}

// readReceipt reads a file, or the receipt of that id in the home.
func (a *app) readReceipt(name string) (receipt.Receipt, error) {
	raw, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		if kept, err2 := os.ReadFile(receiptFile(a.home, name)); err2 == nil {
			raw, err = kept, nil
		}
	}
	if err != nil {
		return receipt.Receipt{}, fmt.Errorf("read the receipt: %w", err)
	}
	return receipt.Parse([]byte(strings.TrimSuffix(string(raw), "\n")))
}

func (a *app) receiptShow() *cobra.Command {
	return &cobra.Command{
		Use:     "show FILE",
		Short:   "What a receipt says: query, result, data, price",
		Long:    "Shows what is written in a receipt. It verifies nothing: 'concordat receipt verify' does.",
		Example: lines("concordat receipt show .concordat/receipts/7f3a.json"),
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := a.readReceipt(args[0])
			if err != nil {
				return err
			}
			a.say("not verified: this is what the file says")
			return a.showReceipt(r)
		},
	}
}

func (a *app) showReceipt(r receipt.Receipt) error {
	var s receipt.Statement
	if err := json.Unmarshal(r.Body.Payload, &s); err != nil {
		return fmt.Errorf("read the receipt: %w", err)
	}
	p := s.Predicate
	fmt.Fprintf(a.Out, "query %s of %s version %d, ledger %s, mode %s\n", p.Query, p.Collaboration, p.Version, p.Ledger, p.Mode)
	for _, d := range p.Datasets {
		fmt.Fprintf(a.Out, "data %s version %d, %s\n", d.ID, d.Version, d.Sealed)
	}
	fmt.Fprintf(a.Out, "log index %d, plan %s\n", r.Index, p.PlanDigest)
	for _, price := range p.Price {
		fmt.Fprintf(a.Out, "price %s/%s rho %s\n", price.Owner, price.Namespace, present.Short(float64(price.Rho)/1e9))
	}
	if r.SQL != "" {
		fmt.Fprintf(a.Out, "\n%s\n", strings.TrimSpace(r.SQL))
	}
	var raw struct {
		Verdict answer.Verdict `json:"verdict"`
		answer.Result
	}
	if err := json.Unmarshal(r.Result, &raw.Result); err != nil {
		return fmt.Errorf("read the receipt's result: %w", err)
	}
	raw.Verdict = answer.Released
	text, err := json.Marshal(raw)
	if err != nil {
		return fmt.Errorf("read the receipt's result: %w", err)
	}
	got, err := answer.Parse(text)
	if err != nil {
		return err
	}
	fmt.Fprintln(a.Out)
	return present.Answer(a.Out, a.Err, present.Table, got, text, r.SQL)
}

func (a *app) receiptVerify() *cobra.Command {
	var manifest, digest, mode, collateral string
	var any, online bool
	c := &cobra.Command{
		Use:   "verify FILE",
		Short: "Check every link of a receipt offline, from the file and the manifest alone",
		Long: `Checks signatures, digests, log inclusion and grant, and says of each whether it is proved or only claimed. What all rests on is the
manifest: --manifest DIR (or a file of its signed form), --digest, else the one that was signed from here (HOME/manifests).
With --any-manifest the one in the receipt is taken as it is: compare the digest that is printed with the participants.

The first line names the mode. Exit code 0 says that all holds that the manifest's mode demands: in mode sgx the quote of MarbleRun's enclave too. --require sgx
lets no receipt of a simulation pass. --log also asks the mesh, with --key, whether its log still holds the receipt: a ledger that was set back, or that
went on from an older state by a recovery, does not.`,
		Example: lines("concordat receipt verify 7f3a.json --manifest room", "concordat receipt verify 7f3a.json --digest sha256:… --require sgx"),
		Args:    cobra.ExactArgs(1),
	}
	format := formatFlag(c, present.Table, present.JSON)
	c.Flags().StringVar(&manifest, "manifest", "", "manifest directory, or file of the signed form, that is trusted")
	c.Flags().StringVar(&digest, "digest", "", "digest of the manifest that is trusted")
	c.Flags().StringVar(&mode, "require", "", "fail unless the mesh ran in this mode: sgx or simulation")
	c.Flags().StringVar(&collateral, "collateral", "", "file of what Intel says of the hardware ('concordat mesh collateral'), in place of the receipt's")
	c.Flags().BoolVar(&online, "log", false, "also check that the log of the mesh, as it is now, holds the receipt")
	c.Flags().BoolVar(&any, "any-manifest", false, "trust the manifest in the receipt")
	c.RunE = func(c *cobra.Command, args []string) error {
		f, err := format()
		if err != nil {
			return err
		}
		r, err := a.readReceipt(args[0])
		if err != nil {
			return err
		}
		if mode != "" && mode != modeSGX && mode != modeSimulation {
			return usagef("receipt verify: --require %.40q: write sgx or simulation", mode)
		}
		o := receipt.Options{AnyManifest: any, RequireMode: mode, Tightens: judge.Tightens}
		if o.Verifiers, err = verifiers(collateral); err != nil {
			return err
		}
		if o.Manifest, err = a.trusted(r, manifest, digest, any); err != nil {
			return err
		}
		report := receipt.Verify(r, o)
		if online {
			now, err := a.checkLog(c.Context(), r)
			if err != nil {
				return err
			}
			report.Checks = append(report.Checks, now)
		}
		return a.verifyReceipt(args[0], report, f)
	}
	return c
}

func (a *app) verifyReceipt(name string, report receipt.Report, f present.Format) error {
	var err error
	if f == present.JSON {
		err = present.Object(a.Out, struct {
			Verified bool `json:"verified"`
			receipt.Report
		}{report.OK(), report})
	} else {
		verdict := "verified"
		if !report.OK() {
			verdict = "NOT VERIFIED"
		}
		mode, checks, _ := strings.Cut(report.String(), "\n")
		_, err = fmt.Fprintf(a.Out, "%s\n%s: receipt of query %s, %d checks\n%s", mode, verdict, orNone(report.Release.Query), len(report.Checks), checks)
	}
	if err == nil && !report.OK() {
		a.say("%s: the receipt is not good", name)
		return silent(exitFailed)
	}
	return err
}

// trusted is the digest of the manifest that a receipt is held against; empty with any.
func (a *app) trusted(r receipt.Receipt, manifest, digest string, any bool) (canon.Digest, error) {
	switch {
	case digest != "":
		d, err := canon.ParseDigest(digest)
		if err != nil {
			return "", usagef("receipt verify: --digest: %w", err)
		}
		return d, nil
	case manifest != "":
		info, err := os.Stat(manifest)
		if err != nil {
			return "", fmt.Errorf("read the manifest: %w", err)
		}
		if info.IsDir() {
			d, err := localDocuments(manifest)
			return d.Digest, err
		}
		raw, err := os.ReadFile(manifest)
		if err != nil {
			return "", fmt.Errorf("read the manifest: %w", err)
		}
		raw = []byte(strings.TrimSuffix(string(raw), "\n"))
		_, err = document.ParseManifestJSON(raw)
		return canon.Sum(raw), err
	case any:
		return "", nil
	}
	m, err := document.ParseManifestJSON(r.Manifest)
	if err != nil {
		return "", err
	}
	anchor, err := client.LoadAnchor(a.home, m.Collaboration)
	if err != nil {
		return "", err
	}
	if anchor.Digest == "" || anchor.Version != m.Version {
		return "", usagef("receipt verify: which manifest is trusted? version %d of %s was not signed from here: say --manifest DIR, --digest, or --any-manifest", m.Version, m.Collaboration)
	}
	return anchor.Digest, nil
}

func (a *app) receiptFetch() *cobra.Command {
	var out string
	c := &cobra.Command{
		Use:     "fetch ID",
		Short:   "Fetch a receipt from the mesh into HOME/receipts",
		Long:    "Whoever ran the query, and those who oversee the data that it read, may fetch its receipt.",
		Example: lines("concordat receipt fetch 7f3a", "concordat receipt fetch 7f3a --out 7f3a.json"),
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.fetchReceipt(c.Context(), args[0], out)
		},
	}
	c.Flags().StringVar(&out, "out", "", "file to write it to (default: HOME/receipts/ID.json)")
	return c
}

func (a *app) fetchReceipt(ctx context.Context, id, out string) error {
	s, err := a.session(ctx)
	if err != nil {
		return err
	}
	response, err := client.Unary(ctx, s.Client, &concordatv1.ReceiptRequest{Collaboration: s.collaboration, Id: id}, client.Services.Receipt)
	if err != nil {
		return err
	}
	if _, err := receipt.Parse(response.GetReceipt()); err != nil {
		return err
	}
	if out == "" {
		out = receiptFile(a.home, id)
	}
	if err := saveReceipt(out, response.GetReceipt()); err != nil {
		return err
	}
	fmt.Fprintln(a.Out, out)
	return nil
}
