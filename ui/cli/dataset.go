package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"concordat.dev/protocol/canon"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/statement"
	"concordat.dev/ui/client"
	"concordat.dev/ui/present"
	"github.com/spf13/cobra"
)

// program names this client in upload statements.
const program = "concordat cli/1"

func (a *app) datasetCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "dataset",
		Short:   "Hand data in, encrypted to the workers; see its versions; delete it",
		Long:    "Each upload becomes a new version of the dataset; queries read the newest. The report of an ingest goes to the owner only.",
		Example: lines("concordat dataset upload clinic.patients patients.csv --key dana.key", "concordat dataset list"),
	}
	c.AddCommand(a.datasetUpload(),
		a.listCommand(&cobra.Command{
			Use:     "list",
			Short:   "Datasets of the collaboration and their newest versions",
			Example: lines("concordat dataset list", "concordat dataset list --format json"),
			Args:    cobra.NoArgs,
		}, "no datasets", fetchDatasets, withoutReports),
		a.listCommand(&cobra.Command{
			Use:     "versions DATASET",
			Short:   "All versions of one dataset",
			Example: lines("concordat dataset versions clinic.patients"),
			Args:    cobra.ExactArgs(1),
		}, "nothing was uploaded yet", fetchDatasets, withoutReports),
		a.datasetMatch(), a.datasetDelete())
	return c
}

// withoutReports is the list as a table: the sealed reports in it open for whoever uploaded, who has seen them.
func withoutReports(raw []byte) (present.Grid, error) { return present.Records(raw, "report") }

func fetchDatasets(ctx context.Context, s session, args []string) ([]byte, error) {
	request := &concordatv1.ListDatasetsRequest{Collaboration: s.collaboration}
	if len(args) > 0 {
		request.Dataset = args[0]
	}
	r, err := client.Unary(ctx, s.Client, request, client.Services.ListDatasets)
	return r.GetDatasets(), err
}

func (a *app) datasetUpload() *cobra.Command {
	c := &cobra.Command{
		Use:   "upload DATASET FILE... --key STEWARD",
		Short: "Encrypt files to the workers and have them become the next version",
		Long: `First the mesh is checked: the manifest must be signed by all, be the one that was signed from here, and pin the mesh that answers.
Then a worker's recipient, endorsed by its certificate below the pinned root, is fetched, and the file is encrypted here in parts of
up to 64 MiB; the operator and the object store see ciphertext only. An upload that was interrupted goes on where it ended when the
same command is given again. The worker's report names row, column, cause and value of errors; it is encrypted to this client alone. A file with bad rows is
rejected and changes nothing (exit code 1), unless --tolerate, which is signed with the upload, lets so many be left out.
CSV, JSON lines (either may be packed with gzip or zstd), Parquet and Arrow files are known by their beginnings; how a text is written is found
in its first rows, may be said by the flags, and is signed with the upload.`,
		Example: lines("concordat dataset upload clinic.patients patients.csv --key .concordat/keys/dana.key",
			"concordat dataset upload clinic.patients patients.csv --tolerate 0.1% --key dana.key",
			"concordat dataset upload clinic.patients 2024.parquet 2025.parquet --key dana.key",
			"concordat dataset upload clinic.patients export.txt --delimiter ';' --decimal , --date DD.MM.YYYY --key dana.key"),
		Args: cobra.MinimumNArgs(2),
	}
	format := formatFlag(c, present.Table, present.JSON)
	reading := readingFlags(c)
	tolerate := c.Flags().String("tolerate", "", "bad rows that may be left out: a number, or a share such as 0.1% (none)")
	c.RunE = func(c *cobra.Command, args []string) error {
		f, err := format()
		if err != nil {
			return err
		}
		u, err := reading()
		if err != nil {
			return err
		}
		if u.Tolerate, err = parseTolerance(*tolerate); err != nil {
			return err
		}
		u.Dataset, u.File, u.More = args[0], args[1], args[2:]
		return a.upload(c.Context(), u, f)
	}
	return c
}

func (a *app) upload(ctx context.Context, u client.Upload, format present.Format) error {
	s, err := a.session(ctx)
	if err != nil {
		return err
	}
	d, err := a.entrusted(ctx, s)
	if err != nil {
		return err
	}
	if _, known := d.Manifest.Dataset(u.Dataset); !known {
		return usagef("%s has no dataset %q", s.collaboration, u.Dataset)
	}
	a.banner(d.Manifest.Mesh.Mode)
	p := newProgress(a.Err)
	u.Client, u.Documents, u.Steward, u.Program, u.Home, u.Progress, u.Phase = s.Client, d, s.key, program, a.home, p.bytes, p.phase
	raw, err := u.Run(ctx)
	p.clear()
	if err != nil {
		if ctx.Err() != nil {
			a.say("the same command goes on with this upload where it ended")
		}
		return err
	}
	report, err := present.ParseReport(raw)
	if err != nil {
		return err
	}
	if format == present.JSON {
		_, err = fmt.Fprintf(a.Out, "%s\n", raw)
	} else {
		err = report.Write(a.Out)
	}
	if err == nil && !report.Accepted {
		return silent(exitFailed)
	}
	return err
}

// entrusted is the manifest in force after the checks that come before any data leaves: signed by all, the one that was signed
// from here, and pinning the mesh that answers.
func (a *app) entrusted(ctx context.Context, s session) (client.Documents, error) {
	d, err := a.documents(ctx, s, 0)
	if err == nil && d.State == "proposed" && d.Manifest.Version > 1 { // the version before it holds, also where all have signed for a handover
		d, err = s.InForce(ctx, s.collaboration)
	}
	if err != nil {
		return d, err
	}
	if !d.Complete() {
		return d, fmt.Errorf("%w: %s version %d lacks %s", client.ErrNotSigned, s.collaboration, d.Manifest.Version, strings.Join(d.Missing, ", "))
	}
	status, err := s.Status(ctx)
	if err != nil {
		return d, err
	}
	return d, client.CheckPins(d.Manifest.Mesh, client.Running(status))
}

func (a *app) datasetDelete() *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "delete DATASET VERSION --key FILE",
		Short: "Delete a version for good: its key and its objects",
		Long: `The owner signs that this version, named by the digest of its sealed file, is to go. The key that decrypts it and its objects are
deleted; what was spent of budgets stays spent, and receipts stay valid.`,
		Example: lines("concordat dataset delete clinic.patients 1 --key .concordat/keys/clinic.key"),
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			version, err := strconv.ParseUint(args[1], 10, 32)
			if err != nil || version == 0 {
				return usagef("dataset delete: VERSION is a number from 1, not %q", args[1])
			}
			return a.deleteDataset(c.Context(), args[0], uint32(version), yes)
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}

func (a *app) deleteDataset(ctx context.Context, dataset string, version uint32, yes bool) error {
	s, err := a.session(ctx)
	if err != nil {
		return err
	}
	raw, err := fetchDatasets(ctx, s, []string{dataset})
	if err != nil {
		return err
	}
	digest, err := sealedDigest(raw, dataset, version)
	if err != nil {
		return err
	}
	d, err := a.documents(ctx, s, 0)
	if err != nil {
		return err
	}
	if err := a.confirm(yes, fmt.Sprintf("Delete version %d of %s for good?", version, dataset)); err != nil {
		return err
	}
	d.Digest = digest
	signed, err := signedStatement(d, statement.Delete, "", s.key)
	if err != nil {
		return err
	}
	_, err = client.Unary(ctx, s.Client, &concordatv1.DeleteDatasetRequest{Collaboration: s.collaboration, Dataset: dataset, Version: version, Statement: signed},
		client.Services.DeleteDataset)
	if err != nil {
		return err
	}
	a.say("version %d of %s is deleted", version, dataset)
	return nil
}

// sealedDigest finds the digest of a version in a list of datasets.
func sealedDigest(raw []byte, dataset string, version uint32) (canon.Digest, error) {
	var versions []struct {
		Dataset string       `json:"dataset"`
		Version uint32       `json:"version"`
		Digest  canon.Digest `json:"digest"`
	}
	if err := json.Unmarshal(raw, &versions); err != nil {
		return "", fmt.Errorf("read the list of versions: %w", err)
	}
	for _, v := range versions {
		if v.Dataset == dataset && v.Version == version {
			return v.Digest, nil
		}
	}
	return "", fmt.Errorf("%s has no version %d", dataset, version)
}
