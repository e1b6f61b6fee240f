package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"concordat.dev/protocol/answer"
	"concordat.dev/ui/client"
	"concordat.dev/ui/present"
	"github.com/spf13/cobra"
)

// receiptFolder holds the receipts of one's own queries, in the home.
const receiptFolder = "receipts"

type queryFlags struct {
	explain bool
	rho     float64
	out     string
	file    string
	key     string
}

func (a *app) queryCommand() *cobra.Command {
	var f queryFlags
	c := &cobra.Command{
		Use:   "query [SQL]",
		Short: "Run one SELECT over the collaboration's data, or say what it would cost",
		Long: `Runs one SELECT. Only aggregates are released, each with its 95 % interval, its price and a receipt, which is kept in
HOME/receipts. The identical query gives the identical release and is free. A refusal (exit code 3) touches and charges nothing;
a failed query (exit code 1) stays charged. Without SQL and --file the text is read from standard input.

--explain prints verdict, price and expected intervals without touching data.
csv, arrow and parquet hold the rows with NAME_low and NAME_high beside each aggregate; all remarks go to standard error.`,
		Example: lines(
			"concordat query 'SELECT male, count(DISTINCT id) AS patients FROM clinic.patients GROUP BY male'",
			"concordat query --explain --file study.sql", "concordat query --format parquet --out burden.parquet --file burden.sql"),
		Args: cobra.MaximumNArgs(1),
	}
	c.AddCommand(a.queryPending(), a.queryApprove())
	format := formatFlag(c, present.Formats...)
	flags := c.Flags()
	flags.BoolVar(&f.explain, "explain", false, "judge and price only, with the interval to expect")
	flags.Float64Var(&f.rho, "rho", 0, "rho of each aggregate, at most what the policies say; 0: what they say")
	flags.StringVar(&f.out, "out", "", "file to write the result to (default: standard output)")
	flags.StringVar(&f.file, "file", "", "file that holds the query, - for standard input")
	flags.StringVar(&f.key, "idempotency-key", "", "name of this request: the same name is the same request (default: drawn)")
	c.RunE = func(c *cobra.Command, args []string) error {
		chosen, err := format()
		if err != nil {
			return err
		}
		sql, err := queryText(args, f.file, a.In)
		if err != nil {
			return err
		}
		if chosen == present.Parquet && f.out == "" && terminal(a.Out) {
			return usagef("query: --format parquet to a terminal: say --out FILE")
		}
		return a.query(c.Context(), sql, f, chosen)
	}
	return c
}

func queryText(args []string, file string, in io.Reader) (string, error) {
	if len(args) == 0 {
		return readSQL(file, in)
	}
	if file != "" {
		return "", usagef("query: give SQL or --file, not both")
	}
	return args[0], nil
}

func (a *app) query(ctx context.Context, sql string, f queryFlags, format present.Format) error {
	s, err := a.session(ctx)
	if err != nil {
		return err
	}
	status, err := s.Status(ctx)
	if err != nil {
		return err
	}
	a.banner(status.GetMode())
	progress := newProgress(a.Err)
	reply, err := s.Query(ctx, client.Question{Collaboration: s.collaboration, SQL: sql, Rho: f.rho, Explain: f.explain, Idempotency: f.key}, progress.phase)
	progress.clear()
	if err != nil {
		return err
	}
	got, err := answer.Parse(reply.Answer)
	if err != nil {
		return err
	}
	if err := keepReceipt(a.home, got, reply.Receipt); err != nil {
		return err
	}
	if err := a.print(f.out, format, got, reply.Answer, sql); err != nil {
		return err
	}
	if code := got.Verdict.ExitCode(); code != exitDone {
		return silent(code)
	}
	return nil
}

// print shows an answer on standard output, or writes it to a file that exists only when all of it was written.
func (a *app) print(file string, format present.Format, got answer.Answer, raw []byte, sql string) (err error) {
	if file == "" || got.Verdict != answer.Released {
		return present.Answer(a.Out, a.Err, format, got, raw, sql)
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".concordat-*")
	if err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	if err := errors.Join(present.Answer(f, a.Err, format, got, raw, sql), f.Close()); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	if err := os.Rename(f.Name(), file); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	a.say("wrote %s", file)
	return nil
}

func receiptFile(home, id string) string {
	return filepath.Join(home, receiptFolder, filepath.Base(id)+".json")
}

// keepReceipt saves the receipt of a release under its id.
func keepReceipt(home string, got answer.Answer, receipt []byte) error {
	if got.Receipt == nil || len(receipt) == 0 {
		return nil
	}
	return saveReceipt(receiptFile(home, got.Receipt.ID), receipt)
}

func saveReceipt(file string, receipt []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("keep the receipt: %w", err)
	}
	if err := os.WriteFile(file, receipt, 0o600); err != nil {
		return fmt.Errorf("keep the receipt: %w", err)
	}
	return nil
}
