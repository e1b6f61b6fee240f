package cli

import (
	"fmt"

	"concordat.dev/protocol/version"
	"github.com/spf13/cobra"
)

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "The version of this program",
		Long:    "Prints the semantic version of the source that this program was built from. Coordinators and workers print theirs by --version, and in 'concordat status'.",
		Example: lines("concordat version"),
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(a.Out, "concordat", version.Number)
			return err
		},
	}
}
