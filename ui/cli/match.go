package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"concordat.dev/protocol/answer"
	"concordat.dev/protocol/document"
	"concordat.dev/ui/client"
	"concordat.dev/ui/present"
	"github.com/spf13/cobra"
)

func (a *app) datasetMatch() *cobra.Command {
	var units int64
	var rho float64
	c := &cobra.Command{
		Use:   "match DATASET OTHER",
		Short: "In which band lies the share of one dataset's units that another one has too",
		Long: `Asks how many units of DATASET are in OTHER, as an ordinary query: judged by the policies of both, noisy, paid from both budgets, with receipts. Of
the answer only a band is shown, of below 20 %, 20 to 50 %, 50 to 80 % and above 80 %, or several where the noise leaves it open. A second query asks how many units DATASET
has; its owner knows that from the ingest report and saves the price by --units. The same question again is free.`,
		Example: lines("concordat dataset match clinic.patients registry.events --units 17549", "concordat dataset match clinic.patients registry.events"),
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			if units < 0 {
				return usagef("dataset match: --units is not negative")
			}
			return a.match(c.Context(), args[0], args[1], units, rho)
		},
	}
	c.Flags().Int64Var(&units, "units", 0, "units of DATASET, as its ingest report says (else they are asked for, which costs a query)")
	c.Flags().Float64Var(&rho, "rho", 0, "rho of each query, at most what the policies say; 0: what they say")
	return c
}

func (a *app) match(ctx context.Context, dataset, other string, units int64, rho float64) error {
	s, err := a.session(ctx)
	if err != nil {
		return err
	}
	d, err := a.entrusted(ctx, s)
	if err != nil {
		return err
	}
	own, both, err := matchQueries(d.Bundle, dataset, other)
	if err != nil {
		return err
	}
	a.banner(d.Manifest.Mesh.Mode)
	matched, err := a.counted(ctx, s, both, rho)
	if err != nil {
		return err
	}
	all := &answer.Interval{float64(units), float64(units)}
	if units == 0 {
		if all, err = a.counted(ctx, s, own, rho); err != nil {
			return err
		}
	}
	if matched == nil || all == nil {
		_, err = fmt.Fprintln(a.Out, "too few units to say: the release was withheld")
		return err
	}
	_, err = fmt.Fprintf(a.Out, "%s of the units of %s are in %s\n", matchBand(*matched, *all), present.Clean(dataset), present.Clean(other))
	return err
}

// counted runs a query for one number, and gives its 95 % interval; nil where it is withheld.
func (a *app) counted(ctx context.Context, s session, sql string, rho float64) (*answer.Interval, error) {
	progress := newProgress(a.Err)
	reply, err := s.Query(ctx, client.Question{Collaboration: s.collaboration, SQL: sql, Rho: rho}, progress.phase)
	progress.clear()
	if err != nil {
		return nil, err
	}
	got, err := answer.Parse(reply.Answer)
	if err != nil {
		return nil, err
	}
	if got.Verdict != answer.Released {
		if err := present.Answer(a.Out, a.Err, present.Table, got, reply.Answer, sql); err != nil {
			return nil, err
		}
		return nil, silent(got.Verdict.ExitCode())
	}
	if err := keepReceipt(a.home, got, reply.Receipt); err != nil {
		return nil, err
	}
	present.Prices(a.Err, got.Price)
	if len(got.Rows) == 0 {
		return nil, nil //nolint:nilnil // as the doc says
	}
	if len(got.Intervals) != 1 || len(got.Intervals[0]) != 1 || got.Intervals[0][0] == nil {
		return nil, fmt.Errorf("dataset match: the release holds no count with an interval")
	}
	return got.Intervals[0][0], nil
}

// matchQueries are how many units a dataset has, and how many of them another one has.
func matchQueries(b *document.Bundle, dataset, other string) (own, both string, err error) {
	var units [2]document.Unit
	for i, id := range []string{dataset, other} {
		p := b.Policies[id]
		if p == nil {
			return "", "", usagef("the collaboration has no dataset %q", id)
		}
		if p.Unit.None {
			return "", "", usagef("%s is public data: it has no units", id)
		}
		units[i] = p.Unit
	}
	if dataset == other {
		return "", "", usagef("dataset match: name two datasets")
	}
	if units[0].Namespace != units[1].Namespace {
		return "", "", usagef("%s has units of namespace %s and %s of %s: they cannot match", dataset, units[0].Namespace, other, units[1].Namespace)
	}
	quote := func(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
	mine, theirs := quote(units[0].Column), quote(units[1].Column)
	own = fmt.Sprintf("SELECT count(DISTINCT %s) AS units FROM %s", mine, dataset)
	both = fmt.Sprintf("SELECT count(DISTINCT a.%s) AS units FROM %s AS a JOIN %s AS b ON a.%s = b.%s", mine, dataset, other, mine, theirs)
	return own, both, nil
}

// matchBand names the bands in which the share may lie.
func matchBand(matched, units answer.Interval) string {
	share := func(n, of float64) float64 {
		if of <= 0 {
			return 1
		}
		return min(max(n/of, 0), 1)
	}
	edges := []float64{0.2, 0.5, 0.8}
	band := func(x float64) (n int) {
		for n < len(edges) && x >= edges[n] {
			n++
		}
		return n
	}
	percent := func(x float64) string { return strconv.FormatFloat(100*x, 'f', -1, 64) + " %" }
	low, high := band(share(matched[0], units[1])), band(share(matched[1], units[0]))
	switch {
	case low == 0 && high == len(edges):
		return "an unknown share (the noise leaves every band open)"
	case low == 0:
		return "below " + percent(edges[high])
	case high == len(edges):
		return "above " + percent(edges[low-1])
	}
	return percent(edges[low-1]) + " to " + percent(edges[high])
}
