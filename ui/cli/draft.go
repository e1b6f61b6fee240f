package cli

import (
	"fmt"

	"concordat.dev/ui/sample"
	"github.com/spf13/cobra"
)

func (a *app) policyNew() *cobra.Command {
	var from, out string
	var d sample.Draft
	c := &cobra.Command{
		Use:   "new --from FILE [--dataset OWNER.NAME]",
		Short: "Draft a policy from the first rows of a file, on this machine",
		Long: `Types and roles are guessed from names and values, domains from columns with few values, bounds from quantiles rounded outward. Nothing leaves this
machine. Guesses that a steward has to confirm are marked "check me": a policy protects what it says, not what a sample showed.`,
		Example: lines("concordat policy new --from patients.csv --dataset clinic.patients --out room/policies/clinic.patients.yaml",
			"concordat policy new --from export.txt --delimiter ';' --unit insurance_no --namespace patient"),
		Args: cobra.NoArgs,
	}
	f := c.Flags()
	f.StringVar(&from, "from", "", "CSV or JSON lines file, gzip and zstd too")
	f.StringVar(&d.Dataset, "dataset", "", "id of the dataset, such as clinic.patients")
	f.StringVar(&d.Owner, "owner", "", "the participant that owns it (else what stands before the dataset's dot)")
	f.StringVar(&d.Namespace, "namespace", "", "of the identifiers (else guessed)")
	f.StringVar(&d.Unit, "unit", "", "column that identifies the privacy unit (else guessed)")
	f.StringVar(&out, "out", "", "file to write, which must not exist (else printed)")
	reading := readingFlags(c)
	c.RunE = func(*cobra.Command, []string) error {
		if from == "" {
			return usagef("policy new: --from FILE is missing")
		}
		u, err := reading()
		if err != nil {
			return err
		}
		t, err := sampleOf(from, u.Dialect, u.Columns)
		if err != nil {
			return err
		}
		text, err := t.Policy(d)
		if err != nil {
			return fmt.Errorf("%s: %w", from, err)
		}
		if out == "" {
			_, err = fmt.Fprint(a.Out, text)
			return err
		}
		if err := keepDraft(out, text); err != nil {
			return err
		}
		a.say("%s is drafted; look for \"check me\", then: concordat policy lint %s", out, out)
		return nil
	}
	return c
}
