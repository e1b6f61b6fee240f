package cli

import (
	"context"
	"io"
	"strings"

	"concordat.dev/ui/demo"
	"github.com/spf13/cobra"
)

func (a *app) demoCommand() *cobra.Command {
	var once bool
	var port int
	c := &cobra.Command{
		Use:   "demo",
		Short: "A whole study: mesh, three organisations, data, queries, receipts",
		Long: `Starts a mesh on this machine, has three organisations sign a manifest, uploads their data, runs a study of ten questions, verifies
every receipt and shows a refusal, all by the commands of this program. It stays up until Ctrl-C; all processes end with it.
Run again on the same --home it takes the same mesh, whose answers are the same and free. On a home that 'concordat mesh adopt' wrote, it starts
nothing and runs the study on that mesh, whose founder has to be the key HOME/keys/clinic.key.`,
		Example: lines("concordat demo", "concordat demo --once", "concordat --home /tmp/demo demo --port 7300"),
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return demo.Run(c.Context(), demo.Config{
				Home: a.home, Once: once, Port: port, Out: a.Out,
				Command: func(ctx context.Context, out, err io.Writer, args ...string) int {
					return Run(ctx, args, Streams{In: strings.NewReader(""), Out: out, Err: err})
				},
			})
		},
	}
	c.Flags().BoolVar(&once, "once", false, "end after the study")
	c.Flags().IntVar(&port, "port", 0, "first of consecutive ports of a new mesh, 0: free ones")
	return c
}
