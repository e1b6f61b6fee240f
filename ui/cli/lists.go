package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/ui/client"
	"concordat.dev/ui/present"
	"github.com/spf13/cobra"
)

// listCommand is a command that fetches a JSON array in the name of the caller and prints it; table chooses and words the columns, and
// is nil where all fields are shown as they are.
func (a *app) listCommand(c *cobra.Command, empty string, fetch func(context.Context, session, []string) ([]byte, error), table func([]byte) (present.Grid, error)) *cobra.Command {
	format := formatFlag(c, present.Table, present.JSON, present.JSONLines, present.CSV)
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
		if len(raw) == 0 {
			raw = []byte("[]")
		}
		if f != present.Table || table == nil {
			table = func(raw []byte) (present.Grid, error) { return present.Records(raw) }
		}
		g, err := table(raw)
		if err != nil {
			return err
		}
		if len(g.Rows) == 0 && f == present.Table {
			a.say("%s", empty)
			return nil
		}
		return g.List(a.Out, f, raw)
	}
	return c
}

func (a *app) historyCommand() *cobra.Command {
	r := &concordatv1.HistoryRequest{}
	var all bool
	c := &cobra.Command{
		Use:   "history",
		Short: "Queries that you may see, newest first; with --audit the whole trail",
		Long: `Who asked what when, under which version, at which price, with which receipt. Analysts see their own queries, stewards and
organisations also those that read their data, auditors all. --audit adds queries that were refused and calls that were denied.
json, jsonl and csv hold the whole text. Times are 2026-05-01 or 2026-05-01T12:00:00Z, in UTC.`,
		Example: lines("concordat history", "concordat history --all --audit --format jsonl",
			"concordat history --person ann@clinic.example --dataset clinic.patients --since 2026-05-01 --format csv"),
		Args: cobra.NoArgs,
	}
	flags := c.Flags()
	flags.Uint32Var(&r.Limit, "limit", 20, "how many")
	flags.BoolVar(&all, "all", false, "as many as there are, up to 10000")
	flags.BoolVar(&r.Audit, "audit", false, "refused queries and denied calls too")
	flags.StringVar(&r.Person, "person", "", "only what this person asked")
	flags.StringVar(&r.Dataset, "dataset", "", "only what read this dataset")
	flags.StringVar(&r.Since, "since", "", "only from this time on")
	flags.StringVar(&r.Until, "until", "", "only before this time")
	flags.StringVar(&r.Text, "text", "", "only queries whose SQL holds this text")
	return a.listCommand(c, "no queries yet", func(ctx context.Context, s session, _ []string) ([]byte, error) {
		r.Collaboration = s.collaboration
		if all {
			r.Limit = 10_000
		}
		for _, t := range []*string{&r.Since, &r.Until} {
			if day, err := time.Parse(time.DateOnly, *t); err == nil {
				*t = day.Format(time.RFC3339)
			}
		}
		found, err := client.Unary(ctx, s.Client, r, client.Services.History)
		return found.GetEntries(), err
	}, historyTable)
}

func historyTable(raw []byte) (present.Grid, error) {
	var queries []struct {
		Query    string  `json:"query"`
		At       string  `json:"at"`
		Person   string  `json:"person"`
		Status   string  `json:"status"`
		SQL      string  `json:"sql"`
		Rho      float64 `json:"rho"`
		Receipt  string  `json:"receipt"`
		Incident string  `json:"incident"`
		Reason   string  `json:"reason"`
		Called   string  `json:"operation"`
	}
	g := present.Grid{Columns: []present.Column{
		{Name: "at"}, {Name: "person"}, {Name: "status"}, {Name: "rho, all owners", Right: true}, {Name: "receipt, incident or reason"}, {Name: "query"},
	}}
	if err := json.Unmarshal(raw, &queries); err != nil {
		return g, fmt.Errorf("read the history: %w", err)
	}
	for _, q := range queries {
		g.Rows = append(g.Rows, []string{q.At, q.Person, q.Status, present.Short(q.Rho), cmp.Or(q.Receipt, q.Incident, short(q.Reason, 60)), cmp.Or(short(q.SQL, 80), q.Called)})
	}
	return g, nil
}

// short is a text on one line of at most n characters.
func short(s string, n int) string {
	r := []rune(strings.Join(strings.Fields(s), " "))
	if len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return string(r)
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
	}, budgetTable)
}

func budgetTable(raw []byte) (present.Grid, error) {
	var accounts []struct {
		Owner            string   `json:"owner"`
		Namespace        string   `json:"namespace"`
		Rho              *float64 `json:"rho"`
		Period           string   `json:"period"`
		LifetimeRho      *float64 `json:"lifetime_rho"`
		SpentRho         float64  `json:"spent_rho"`
		RemainingRho     *float64 `json:"remaining_rho"`
		Delta            *float64 `json:"delta"`
		EpsilonSpent     *float64 `json:"epsilon_spent"`
		SpentQueries     int64    `json:"spent_queries"`
		RemainingQueries *int64   `json:"remaining_queries"`
		Used             *float64 `json:"used"`
		YourRho          *float64 `json:"your_rho_left"`
		YourQueries      *int64   `json:"your_queries_left"`
	}
	g := present.Grid{Columns: []present.Column{
		{Name: "owner"}, {Name: "namespace"}, {Name: "allowed"}, {Name: "spent so far", Right: true}, {Name: "left", Right: true}, {Name: "used", Right: true}, {Name: "epsilon spent"},
	}}
	if err := json.Unmarshal(raw, &accounts); err != nil {
		return g, fmt.Errorf("read the budgets: %w", err)
	}
	for _, b := range accounts {
		row := []string{b.Owner, b.Namespace, "", "", "", "", ""}
		if b.Used != nil {
			row[5] = fmt.Sprintf("%.0f %%", 100**b.Used)
		}
		switch {
		case b.Rho != nil && b.RemainingRho != nil:
			row[2] = "rho " + present.Short(*b.Rho) + " per " + days(b.Period)
			if b.LifetimeRho != nil {
				row[2] += ", " + present.Short(*b.LifetimeRho) + " for good"
			}
			row[3], row[4] = present.Short(b.SpentRho), present.Short(*b.RemainingRho)
			if b.EpsilonSpent != nil && b.Delta != nil {
				row[6] = fmt.Sprintf("%s at delta %g", present.Short(*b.EpsilonSpent), *b.Delta)
			}
		case b.RemainingQueries != nil:
			row[2], row[3], row[4] = "queries", present.Integer(b.SpentQueries), present.Integer(*b.RemainingQueries)
		}
		switch {
		case b.YourRho != nil:
			row[4] += " (you: " + present.Short(*b.YourRho) + ")"
		case b.YourQueries != nil:
			row[4] += " (you: " + present.Integer(*b.YourQueries) + ")"
		}
		g.Rows = append(g.Rows, row)
	}
	return g, nil
}

// days writes a period of whole days as "30d".
func days(period string) string {
	d, err := time.ParseDuration(period)
	if err != nil || d < 24*time.Hour || d%(24*time.Hour) != 0 {
		return strings.TrimSuffix(period, "0m0s")
	}
	return fmt.Sprintf("%dd", d/(24*time.Hour))
}
