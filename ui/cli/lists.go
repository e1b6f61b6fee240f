package cli

import (
	"context"

	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/ui/client"
	"concordat.dev/ui/present"
	"github.com/spf13/cobra"
)

// list prints a JSON array that a coordinator gave.
func (a *app) list(raw []byte, f present.Format, empty string, hide ...string) error {
	if len(raw) == 0 {
		raw = []byte("[]")
	}
	g, err := present.Records(raw, hide...)
	if err != nil {
		return err
	}
	if len(g.Rows) == 0 && f == present.Table {
		a.say("%s", empty)
		return nil
	}
	return g.List(a.Out, f, raw)
}

// listCommand is a command that fetches a list in the name of the caller and prints it.
func (a *app) listCommand(c *cobra.Command, empty string, fetch func(context.Context, session, []string) ([]byte, error), hide ...string) *cobra.Command {
	format := formatFlag(c, present.Table, present.JSON, present.CSV)
	c.RunE = func(c *cobra.Command, args []string) error {
		f, err := format()
		if err != nil {
			return err
		}
		s, err := a.session(c.Context())
		if err != nil {
			return err
		}
		raw, err := fetch(c.Context(), s, args)
		if err != nil {
			return err
		}
		return a.list(raw, f, empty, hide...)
	}
	return c
}

func (a *app) historyCommand() *cobra.Command {
	var limit uint32
	c := &cobra.Command{
		Use:     "history",
		Short:   "Queries that you may see, newest first",
		Example: lines("concordat history", "concordat history --limit 100 --format csv"),
		Args:    cobra.NoArgs,
	}
	c.Flags().Uint32Var(&limit, "limit", 20, "how many")
	return a.listCommand(c, "no queries yet", func(ctx context.Context, s session, _ []string) ([]byte, error) {
		r, err := client.Unary(ctx, s.Client, &concordatv1.HistoryRequest{Collaboration: s.collaboration, Limit: limit}, client.Services.History)
		return r.GetEntries(), err
	})
}

func (a *app) budgetCommand() *cobra.Command {
	return a.listCommand(&cobra.Command{
		Use:     "budget",
		Short:   "What every owner's budget has spent and has left",
		Long:    "For each owner and namespace: rho of the period and for good, what is spent and left, as epsilon at the policy's delta too.",
		Example: lines("concordat budget", "concordat budget --format json"),
		Args:    cobra.NoArgs,
	}, "no budgets: nothing is protected by one", func(ctx context.Context, s session, _ []string) ([]byte, error) {
		r, err := client.Unary(ctx, s.Client, &concordatv1.BudgetRequest{Collaboration: s.collaboration}, client.Services.Budget)
		return r.GetBudgets(), err
	})
}
