package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"concordat.dev/protocol/answer"
	"concordat.dev/ui/present"
	"github.com/spf13/cobra"
)

// workerBinary links DuckDB, which this command does not.
const workerBinary = "concordat-worker"

type sandboxFlags struct {
	manifest string
	data     []string
	sql      []string
	file     string
	rho      float64
	explain  bool
	memory   string
	threads  int
	format   string
}

func (a *app) sandboxCommand() *cobra.Command {
	var f sandboxFlags
	c := &cobra.Command{
		Use:   "sandbox --manifest DIR --data DATASET=FILE … [--sql TEXT | --file F]",
		Short: "Policies and engine in one process: no mesh, no signatures, no log",
		Long: `Try policies before signing them. The sandbox parses, decides, executes and releases with the same code as a worker of the
mesh, on files of this machine. Keys are fresh on each run, so noise differs; budgets are priced but not kept.

--sql may be repeated: data loads once, json prints one object a line, and the exit code is the worst.
Without --sql and --file the SQL is read from standard input.`,
		Example: lines(
			"concordat sandbox --manifest room --data clinic.patients=patients.csv \\",
			"  --sql 'SELECT male, count(DISTINCT id) AS patients FROM clinic.patients GROUP BY male'"),
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			format, err := present.ParseFormat(f.format, present.Table, present.JSON, present.CSV, present.Arrow)
			if err != nil {
				return usagef("--format: %w", err)
			}
			return a.sandbox(c.Context(), f, format)
		},
	}
	flags := c.Flags()
	flags.StringVar(&f.manifest, "manifest", "", "folder of manifest.yaml and policies (keys, people and mesh may be missing)")
	flags.StringArrayVar(&f.data, "data", nil, "DATASET=FILE, repeatable")
	flags.StringArrayVar(&f.sql, "sql", nil, "a query, repeatable")
	flags.StringVar(&f.file, "file", "", "file that holds a query")
	flags.Float64Var(&f.rho, "rho", 0, "rho of each aggregate, at most what the policies say; 0: what they say")
	flags.BoolVar(&f.explain, "explain", false, "judge and price only, with the interval to expect")
	flags.StringVar(&f.memory, "memory", "", "the engine's memory, such as 4GB")
	flags.IntVar(&f.threads, "threads", 0, "the engine's threads, 0: one a core")
	flags.StringVar(&f.format, "format", "table", "table, json, csv or arrow")
	return c
}

// arguments are what the child is called with.
func (f sandboxFlags) arguments() []string {
	args := []string{"sandbox", "--format", "json"}
	add := func(name, value string) {
		if value != "" {
			args = append(args, name, value)
		}
	}
	add("--manifest", f.manifest)
	for _, d := range f.data {
		add("--data", d)
	}
	for _, s := range f.sql {
		add("--sql", s)
	}
	add("--file", f.file)
	if f.rho != 0 {
		add("--rho", strconv.FormatFloat(f.rho, 'g', -1, 64))
	}
	add("--memory", f.memory)
	if f.threads != 0 {
		add("--threads", strconv.Itoa(f.threads))
	}
	if f.explain {
		args = append(args, "--explain")
	}
	return args
}

func (a *app) sandbox(ctx context.Context, f sandboxFlags, format present.Format) error {
	switch {
	case f.manifest == "":
		return usagef("sandbox: --manifest is missing: the folder that holds manifest.yaml")
	case f.file != "" && len(f.sql) > 0:
		return usagef("sandbox: --sql and --file exclude one another")
	case len(f.sql) > 1 && (format == present.CSV || format == present.Arrow):
		return usagef("sandbox: --format %s takes one query; use json for several", format)
	}
	binary, err := sibling(workerBinary)
	if err != nil {
		return err
	}
	texts, err := f.texts(a.In)
	if err != nil {
		return err
	}
	f.sql, f.file = texts, ""
	child := exec.CommandContext(ctx, binary, f.arguments()...) //nolint:gosec // G204: our own binary, with the arguments of this call
	child.Stderr = a.Err
	if format == present.JSON {
		child.Stdout = a.Out
		return childError(child.Run())
	}
	out, err := child.StdoutPipe()
	if err != nil {
		return fmt.Errorf("start the sandbox: %w", err)
	}
	if err := child.Start(); err != nil {
		return fmt.Errorf("start the sandbox: %w", err)
	}
	shown := a.showAll(out, format, texts)
	if shown != nil {
		_, _ = io.Copy(io.Discard, out) // so that the child can end
	}
	if err := childError(child.Wait()); err != nil {
		return err
	}
	return shown
}

// texts are the queries in order: the child gets them as --sql, so that refusals can be shown beside their text.
func (f sandboxFlags) texts(in io.Reader) ([]string, error) {
	if len(f.sql) > 0 {
		return f.sql, nil
	}
	text, err := readSQL(f.file, in)
	return []string{text}, err
}

// readSQL reads a query from a file, or from standard input where the file is "" or "-".
func readSQL(file string, in io.Reader) (string, error) {
	if file != "" && file != "-" {
		b, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("read the query: %w", err)
		}
		return string(b), nil
	}
	if terminal(in) {
		return "", usagef("no query: give SQL, --file, or pipe it in")
	}
	b, err := io.ReadAll(io.LimitReader(in, 1<<20))
	if err != nil {
		return "", fmt.Errorf("read the query: %w", err)
	}
	if len(b) == 0 {
		return "", usagef("no query: give SQL, --file, or pipe it in")
	}
	return string(b), nil
}

func (a *app) showAll(out io.Reader, format present.Format, texts []string) error {
	d := json.NewDecoder(out)
	for i := 0; ; i++ {
		var raw json.RawMessage
		if err := d.Decode(&raw); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read the sandbox's answer: %w", err)
		}
		got, err := answer.Parse(raw)
		if err != nil {
			return err
		}
		text := ""
		if i < len(texts) {
			text = texts[i]
		}
		if i > 0 {
			fmt.Fprintln(a.Out)
		}
		if err := present.Answer(a.Out, a.Err, format, got, raw, text); err != nil {
			return err
		}
	}
}

// childError turns the exit code of a child that has said everything into ours.
func childError(err error) error {
	exit := (*exec.ExitError)(nil)
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return silent(exit.ExitCode())
	}
	if err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	return nil
}

// sibling finds another of Concordat's binaries: beside this one, else in the PATH.
func sibling(name string) (string, error) {
	if self, err := os.Executable(); err == nil {
		if self, err = filepath.EvalSymlinks(self); err == nil {
			beside := filepath.Join(filepath.Dir(self), name)
			if info, err := os.Stat(beside); err == nil && info.Mode().IsRegular() {
				return beside, nil
			}
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%s is neither beside this command nor in the PATH: 'make build' puts both into bin/", name)
	}
	return path, nil
}
